"""How long work reports itself. Stages see this protocol; the command line draws it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """One method for a stage's steps, one for a line worth keeping."""

    def step(self, task: str, done: float, total: float, note: str = "") -> None:
        """`task` has done `done` of `total`; shown with the time left."""

    def say(self, line: str) -> None:
        """A line that stays on the screen."""


class Silent:
    """Reports nothing; what tests and scripts pass."""

    def step(self, task: str, done: float, total: float, note: str = "") -> None:
        return None

    def say(self, line: str) -> None:
        return None
