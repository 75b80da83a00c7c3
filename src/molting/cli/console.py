"""What a person sees: progress with time left on standard error, results on standard output."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from molting.core.artifacts import to_json


def out() -> Console:
    return Console(highlight=False, soft_wrap=False)


def print_json(value: Any) -> None:
    """The one JSON object of `--json`."""
    sys.stdout.write(to_json(value).decode())
    sys.stdout.flush()


class Terminal:
    """Progress bars on a terminal; a plain line now and then where there is none."""

    quiet_seconds = 15.0

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._live = self.console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("· left"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._printed = time.monotonic()

    def __enter__(self) -> Terminal:
        if self._live:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._bars.stop()

    def step(self, task: str, done: float, total: float, note: str = "") -> None:
        now = time.monotonic()
        if self._live:
            if task not in self._tasks:
                self._tasks[task] = self._bars.add_task(task, total=total, note=note)
            self._bars.update(self._tasks[task], completed=done, total=total, note=note)
            if done >= total:
                self._bars.remove_task(self._tasks.pop(task))
            return
        begun = self._started.setdefault(task, now)
        if done >= total:
            self._started.pop(task, None)
        elif now - self._printed >= self.quiet_seconds:
            self._printed = now
            extra = f" · {note}" if note else ""
            if now > begun:
                # The first step has taken nobody knows how long.
                left = (now - begun) / max(done, 1e-9) * (total - done)
                extra += f" · {_clock(left)} left"
            self.say(f"  {task}: {done:g} of {total:g}{extra}")

    def say(self, line: str) -> None:
        # A log keeps a line as one line; a terminal breaks it by itself.
        self.console.print(line, markup=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """A callable that turns true on Ctrl-C or SIGTERM, so that training can save first.

    A second Ctrl-C stops at once; the last resume point is kept then.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        sys.stderr.write("\nstopping after this step; Ctrl-C again stops at once\n")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: asked
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
