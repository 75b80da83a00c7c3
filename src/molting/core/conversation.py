"""The one record that travels between stages, and what a stage says of it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant"]


class Turn(msgspec.Struct, frozen=True):
    """One message of a conversation."""

    role: Role
    text: str


class Source(msgspec.Struct, frozen=True):
    """Where a conversation was read: file as given by the person, line (or row) from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Conversation(msgspec.Struct, frozen=True, dict=True):
    """Turns and where they came from. Equal content means equal `id`, wherever it was read."""

    turns: tuple[Turn, ...]
    source: Source

    @functools.cached_property
    def id(self) -> str:
        """`b2:` and 32 hexadecimal digits: BLAKE2b over roles and texts, not over the source."""
        return content_id(self.turns)

    @property
    def prompt(self) -> str:
        """The first user turn, or the empty string."""
        return next((turn.text for turn in self.turns if turn.role == "user"), "")

    @property
    def replies(self) -> tuple[str, ...]:
        return tuple(turn.text for turn in self.turns if turn.role == "assistant")

    @property
    def reply(self) -> str:
        """The last assistant turn, or the empty string."""
        return self.replies[-1] if self.replies else ""

    @property
    def context(self) -> tuple[Turn, ...]:
        """Everything before the last assistant turn: what a model sees when it answers."""
        last = max((i for i, t in enumerate(self.turns) if t.role == "assistant"), default=0)
        return self.turns[:last]

    @property
    def messages(self) -> list[dict[str, str]]:
        return as_messages(self.turns)


class Verdict(msgspec.Struct, frozen=True):
    """What a step says of a row. Every row that came in has exactly one final verdict."""

    id: str
    kept: bool
    reason: str
    """A code from a closed list, `selected` for kept rows."""
    evidence: dict[str, Any] = {}
    """The twin's id and similarity, the matched span, the score."""


def as_messages(turns: Iterable[Turn]) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": turn.text} for turn in turns]


def content_id(turns: Sequence[Turn]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for turn in turns:
        for part in (turn.role, turn.text):
            raw = part.encode("utf-8", "surrogatepass")
            # The length goes first, so that no two different sequences hash the same bytes.
            digest.update(len(raw).to_bytes(8, "little"))
            digest.update(raw)
    return "b2:" + digest.hexdigest()
