"""Molting's own training loop as a peer in the training benchmark; a process of its own.

`molting.train.loop.train` runs as it does in the product. What it is timed by is what it tells
anyone who asks: `interrupted` is called before each step, `Progress.step` after it.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.training_gate import Gate
from benchmarks.training_rows import from_json
from molting.core.config import Train
from molting.models.allocator import bound_memory
from molting.models.base import load_model
from molting.models.lora import attach_lora
from molting.models.sources import find_model
from molting.train.loop import train as train_adapter

_LOSS = re.compile(r"loss (\d+\.\d+)")


class _Clock:
    """Progress that stands at the gate."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.step_seconds: list[float] = []
        self._begun = 0.0

    def interrupted(self) -> bool:
        self.gate.before()
        self._begun = time.perf_counter()
        return False

    def step(self, task: str, done: float, total: float, note: str = "") -> None:
        if task != "training":
            return
        self.step_seconds.append(time.perf_counter() - self._begun)
        found = _LOSS.search(note)
        self.gate.after(float(found[1]) if found else float("nan"))

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def main() -> None:
    bound_memory()
    gate = Gate()
    wanted = json.loads(Path(sys.argv[1]).read_text())
    # Neither resume points nor stopping early: the other system has none either.
    train = Train(**wanted["train"], checkpoint_seconds=1e9, patience=10**6)
    rows, held_out = from_json(wanted["rows"]), from_json(wanted["held_out"])
    loaded = load_model(find_model(wanted["model"]), wanted["dtype"])
    model = attach_lora(loaded.model, train, "x", train.seed)
    import torch

    gate.ready(threads=torch.get_num_threads())
    clock = _Clock(gate)
    with tempfile.TemporaryDirectory() as folder:
        outcome: Any = train_adapter(
            model, rows, held_out, train, loaded.tokenizer.pad_token_id, Path(folder),
            clock, clock.interrupted,
        )  # fmt: skip
    curve = [record["validation_loss"] for record in outcome.position.history]
    gate.finish(
        curve=curve, losses_all=list(outcome.position.losses), step_seconds=clock.step_seconds
    )


if __name__ == "__main__":
    main()
