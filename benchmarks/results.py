"""What the long benchmarks share: finished cells as lines of a file, so that a killed run goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from molting.core.progress import Silent


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The finished cells; half a line that a killed run has left is none."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def add_line(path: Path, cell: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(cell) + "\n")


class Lines(Silent):
    """Progress that says its lines and draws no bars."""

    def say(self, line: str) -> None:
        print(f"    {line}", file=sys.stderr, flush=True)
