"""Which learning rate suits which number of adapted layers? Held-out loss after each epoch.

    python -m benchmarks.rates --personas john_keating coriolanus --top 10 --rates 5e-4 1e-3 2e-3
    python -m benchmarks.rates --personas john_keating --top 30 --epochs 2
    python -m benchmarks.rates --personas john_keating --model fake --top 1    that the code works

The same rows, held-out rows and order for all; `--top` with the number of all layers is exact mode.
What lies below the adapted layers is computed once for all rates of a number. The rule that follows
from it is in molting/core/schedule.py. Needs ../shared/data, which does not ship.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.training_rows import DATA, draw, render
from molting.core.config import Train
from molting.core.progress import Silent
from molting.memory.boundaries import Boundaries
from molting.memory.store import Memory
from molting.models.base import load_model
from molting.models.lora import attach_lora
from molting.models.machine import choose_dtype
from molting.models.sources import find_model
from molting.train.loop import train


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--personas", nargs="+", required=True)
    parser.add_argument("--top", nargs="+", type=int, default=[10], help="adapted layers")
    parser.add_argument("--rates", nargs="+", type=float, default=[5e-4, 1e-3, 2e-3])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--held-out", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="smollm2-135m")
    options = parser.parse_args()
    for name in options.personas:
        if not (options.data / f"{name}.jsonl").exists():
            print(f"{name}: not here; this needs data that does not ship", file=sys.stderr)
            return 2
    print("| persona | top layers | rate | held-out loss before and after each epoch | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for name in options.personas:
        with tempfile.TemporaryDirectory() as folder, Memory(Path(folder)) as memory:
            for top in options.top:
                for rate in options.rates:
                    losses, seconds = _curve(options, name, top, rate, memory)
                    shown = ", ".join(f"{loss:.3f}" for loss in losses)
                    print(f"| {name} | {top} | {rate:g} | {shown} | {seconds:.0f} |", flush=True)
    return 0


def _curve(
    options: argparse.Namespace, name: str, top: int, rate: float, memory: Memory
) -> tuple[list[float], float]:
    base = load_model(find_model(options.model), choose_dtype("auto"))
    layers = int(base.model.config.num_hidden_layers)
    chosen = draw(options.data / f"{name}.jsonl", options.rows, options.held_out, options.seed)
    rows = render(base.tokenizer, *chosen, 0)
    config = Train(
        mode="exact" if top >= layers else "fast",
        top_layers=None if top >= layers else top,
        learning_rate=rate,
        epochs=options.epochs,
        patience=options.epochs,
        seed=options.seed,
        checkpoint_seconds=1e9,
    )
    model = attach_lora(base.model, config, "rates", config.seed)
    boundaries = Boundaries(memory, base, model) if top < layers else None
    pad_id = base.tokenizer.pad_token_id or 0
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(
            model, rows.train, rows.held_out, config, pad_id, Path(folder), Silent(),
            boundaries=boundaries,
        )  # fmt: skip
    curve = [float(record["validation_loss"]) for record in outcome.position.history]
    return curve, outcome.position.seconds


if __name__ == "__main__":
    sys.exit(main())
