"""A resume point: everything the next step depends on, in one file that is whole or absent."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from molting.core.artifacts import atomic_write

_FILE = "resume.safetensors"


class Position(msgspec.Struct, frozen=True):
    """Where training stands. `step` steps are done; `evaluated` epochs have a validation loss."""

    step: int
    evaluated: int
    best_epoch: int
    best_loss: float
    seconds: float
    tokens: int
    history: tuple[dict[str, Any], ...]
    """One record an epoch (and one for epoch 0), as in metrics.jsonl."""
    losses: tuple[float, ...]
    """Training loss of each step."""
    norms: tuple[float, ...] = ()
    """Norm of each step's gradient, before it was clipped."""
    micro_tokens: int = 0
    """Padded tokens in a forward pass that have fitted in memory; 0 before the first step."""


def save_checkpoint(folder: Path, position: Position, tensors: dict[str, Any]) -> None:
    """Write the resume point atomically. `tensors`: master weights, moments, kept states."""
    from safetensors.torch import save_file

    raw = msgspec.json.encode(position).decode()
    metadata = {"position": raw, "check_sum": _check_sum(raw, tensors)}
    atomic_write(folder / _FILE, lambda path: save_file(tensors, path, metadata=metadata))


def load_checkpoint(folder: Path) -> tuple[Position, dict[str, Any]] | None:
    """The resume point, or None when there is none (or none that can be read: start again)."""
    from safetensors import SafetensorError, safe_open

    path = folder / _FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata["check_sum"] != _check_sum(metadata["position"], tensors):
                return None
            return msgspec.json.decode(metadata["position"], type=Position), tensors
    except (SafetensorError, ValueError, KeyError, TypeError):
        return None


def _check_sum(position: str, tensors: dict[str, Any]) -> str:
    """safetensors checks its header, not its numbers; training on from a wrong one goes unseen."""
    import torch

    digest = hashlib.blake2b(position.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\x00{name}\x00{tensor.dtype}\x00{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def drop_checkpoint(folder: Path) -> None:
    (folder / _FILE).unlink(missing_ok=True)
