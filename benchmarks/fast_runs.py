"""One fast-mode training run on synthetic or example rows, for the checks of the memory."""

from __future__ import annotations

import hashlib
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from molting.core.config import Train
from molting.core.progress import Silent
from molting.curate.formats import read_file
from molting.memory.boundaries import Boundaries
from molting.memory.store import Memory
from molting.models.base import load_model
from molting.models.lora import attach_lora
from molting.models.render import Renderer
from molting.models.sources import find_model
from molting.train.loop import train

ROWS = Path(__file__).parent.parent / "examples" / "skerry" / "data" / "export.jsonl"


class FastRun(NamedTuple):
    """The adapter's hash, and what the memory had to do."""

    adapter: str
    told: dict[str, Any]


def fast_run(
    model: str, rows: int, epochs: int, folder: Path, train_with: Train | None = None
) -> FastRun:
    """Train on the example's first rows in fast mode, with the memory in `folder`."""
    base = load_model(find_model(model, None, Silent()), "float32")
    config = train_with or Train(mode="fast", epochs=epochs, patience=epochs)
    tuned = attach_lora(base.model, config, model, config.seed)
    renderer = Renderer(base.tokenizer)
    conversations = read_file(ROWS, ROWS.name, "auto").conversations[: rows + 8]
    rendered = [renderer.row(row, 512) for row in conversations]
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as checkpoints, Memory(folder) as memory:
        boundaries = Boundaries(memory, base, tuned)
        outcome = train(
            tuned, rendered[8:], rendered[:8], config, base.tokenizer.pad_token_id or 0,
            Path(checkpoints), Silent(), boundaries=boundaries,
        )  # fmt: skip
        told = boundaries.told() | {"seconds": round(time.perf_counter() - begun, 1)}
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(outcome.state.items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return FastRun(digest.hexdigest(), told)
