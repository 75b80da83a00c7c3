"""Molting's own training loop as a peer in the training benchmark; a process of its own.

`molting.train.loop.train` runs as it does in the product. What it is timed by is what it tells
anyone who asks: `interrupted` is called before each step, `Progress.step` after it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.training_gate import Gate
from benchmarks.training_rows import from_json
from molting.core.config import Train
from molting.memory.boundaries import Boundaries
from molting.memory.store import Memory
from molting.models.allocator import bound_memory
from molting.models.base import load_model
from molting.models.likelihood import mean_loss
from molting.models.lora import attach_lora
from molting.models.sources import find_model
from molting.train.steppers import stepper_for

# Not a plain import: the name that `_listen` replaces is the loop's own.
loop: Any = importlib.import_module("molting.train.loop")
_LOSS = re.compile(r"loss (\d+\.\d+)")


class _Clock:
    """Progress that stands at the gate."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def interrupted(self) -> bool:
        self.gate.before()
        return False

    def step(self, task: str, done: float, total: float, note: str = "") -> None:
        if task != "training":
            return
        found = _LOSS.search(note)
        self.gate.after(float(found[1]) if found else float("nan"))

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def main() -> None:
    bound_memory()
    gate = Gate()
    wanted = json.loads(Path(sys.argv[1]).read_text())
    # Neither resume points nor stopping early: the other system has none either.
    train = Train(
        **wanted["train"], mode=wanted.get("mode", "exact"), checkpoint_seconds=1e9, patience=10**6
    )
    rows, held_out = from_json(wanted["rows"]), from_json(wanted["held_out"])
    loaded = load_model(find_model(wanted["model"]), wanted["dtype"])
    model = attach_lora(loaded.model, train, "x", train.seed)
    import torch

    _listen(gate, held_out)
    gate.ready(
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        body_parameters=sum(
            p.numel()
            for name, p in loaded.model.model.layers.named_parameters()
            if p.ndim == 2 and ".lora_" not in name
        ),
        head_parameters=loaded.model.get_output_embeddings().weight.numel(),
    )
    clock = _Clock(gate)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        more: dict[str, Any] = {}
        if train.mode == "fast":
            memory = stack.enter_context(Memory(Path(folder) / "memory", 4.0))
            more["boundaries"] = Boundaries(memory, loaded, model)
        outcome: Any = loop.train(
            model, rows, held_out, train, loaded.tokenizer.pad_token_id, Path(folder),
            clock, clock.interrupted, **more,
        )  # fmt: skip
    gate.finish(curve=[record["validation_loss"] for record in outcome.position.history])


def _listen(gate: Gate, held_out: list[Any]) -> None:
    """The loop's own stepper, with the weights as they are, tells the held-out loss when asked."""
    made = stepper_for

    def remembered(*given: Any, **more: Any) -> Any:
        stepper = made(*given, **more)
        gate.evaluate = lambda: mean_loss(stepper.losses(held_out))
        return stepper

    setattr(loop, "stepper_for", remembered)  # noqa: B010


if __name__ == "__main__":
    main()
