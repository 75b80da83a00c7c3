"""Every detection head on every set beside the baselines, masked and unmasked, as a Markdown table.

Features are computed once and remembered; a task that stands in --out is not measured again, so
the benchmark can be run in parts (`--seconds` ends a part when that many have gone by).

    python -m benchmarks.detection --features minilm --out detection.jsonl
    python -m benchmarks.detection --features smollm2-135m --windows 4 --rows 300 --out detection.jsonl
    python -m benchmarks.detection --table --out detection.jsonl
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from molting.core.config import Detect
from molting.core.errors import MoltingError
from molting.evaluate.detection.bench import Bench, bench
from molting.evaluate.detection.datasets import read_dataset
from molting.evaluate.detection.features import FeatureSettings, open_reader
from molting.evaluate.detection.heads import HEADS
from molting.evaluate.detection.task import Task, make_task
from molting.memory.store import Memory
from molting.models.sources import cache_root
from molting.signals.stats import Estimate

DATA = Path("../shared/data/detection")
SETS = ("mbti_200_users.jsonl", "essays_247.jsonl", "friends_711_scenes.csv")


class TimeIsUp(Exception):
    """This part is over; what was computed is kept."""


class Clock:
    """Progress on standard error, and the end of this part."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._said = 0.0

    def step(self, task: str, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        if now - self._said > 15:
            self._said = now
            print(f"  {task}: {done:g} of {total:g} {note}", file=sys.stderr, flush=True)
        if now > self._end and done < total:
            raise TimeIsUp(f"{task}: {done:g} of {total:g}")

    def say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def tasks(data: Path, options: Detect, rows: int | None) -> list[Task]:
    """Every set, unmasked and, where that changes anything, masked."""
    found = []
    for name in SETS:
        one = read_dataset(data / name)
        plain, covered = (make_task(one, options, masked=m, rows=rows) for m in (False, True))
        found += [plain] if plain.texts == covered.texts else [plain, covered]
    return found


def run(arguments: argparse.Namespace, known: list[Bench]) -> None:
    options = msgspec.structs.replace(
        Detect(), features=arguments.features, windows=arguments.windows, seeds=arguments.seeds
    )
    clock = Clock(arguments.seconds)
    with Memory(arguments.memory or cache_root() / "memory") as memory:
        settings = FeatureSettings(options.features, arguments.layer, options.pooling)
        reader = open_reader(settings, memory, clock)
        shown = msgspec.to_builtins(reader.settings)
        for task in tasks(arguments.data, options, arguments.rows):
            key = (task.data.name, task.masked, shown, len(task.texts), _windows(task))
            if any((b.data, b.masked, b.features, b.rows, b.windows) == key for b in known):
                continue
            found = bench(task, reader, arguments.head or HEADS, options, clock)
            with arguments.out.open("ab") as file:
                file.write(msgspec.json.encode(found) + b"\n")
            print(f"{task.data.name}, masked: {task.masked}: done", file=sys.stderr, flush=True)


def _windows(task: Task) -> int:
    return sum(len(windows) for windows in task.texts)


def table(found: list[Bench]) -> str:
    """Markdown: one row a task and head."""
    lines = [
        "| set | features | head | macro-F1 | over bag of words | log loss (shares alone) | "
        "ECE | s of 25 fits |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for task in found:
        name = f"{task.data}{', masked' if task.masked else ''} (n={task.writers})"
        features = task.features["model"]
        if task.features["layer"] is not None:
            features += f", layer {task.features['layer']}"
        for line in task.lines:
            q = line.quality
            over = "" if line.over_words is None else _shown(line.over_words, "+")
            shown = "the words" if line.over_words is None else features
            lines.append(
                f"| {name} | {shown} | {line.name} | {_shown(q.macro_f1)} | {over} | "
                f"{q.log_loss:.3f} ({q.prior_log_loss:.3f}) | {q.calibration_error:.3f} | "
                f"{line.seconds:.0f} |"
            )
    return "\n".join(lines)


def _shown(estimate: Estimate, sign: str = "") -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "not measured"
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _known(file: Path) -> list[Bench]:
    if not file.exists():
        return []
    return [msgspec.json.decode(line, type=Bench) for line in file.read_bytes().splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--features", default=Detect().features)
    parser.add_argument("--layer", type=int)
    parser.add_argument("--windows", type=int, default=Detect().windows)
    parser.add_argument("--rows", type=int, help="a random part of each set")
    parser.add_argument("--seeds", type=int, default=Detect().seeds)
    parser.add_argument("--head", action="append", default=[])
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--memory", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one a task")
    parser.add_argument("--table", action="store_true", help="only print what --out holds")
    arguments: Any = parser.parse_args()
    if not arguments.table:
        if not arguments.data.is_dir():
            print(f"{arguments.data}: not here; this data does not ship", file=sys.stderr)
            return 2
        try:
            run(arguments, _known(arguments.out))
        except TimeIsUp as over:
            print(f"time is up at {over}; run it again to go on", file=sys.stderr)
            return 1
        except MoltingError as error:
            print(error, file=sys.stderr)
            return error.exit_code
    print(table(_known(arguments.out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
