"""Chats that are one another's continuation or copy, turn by turn: they belong on one side."""

from __future__ import annotations

from collections.abc import Sequence

from molting.core.conversation import Conversation
from molting.signals.chat_structure import KindFinding, read_chats, structures

_HABIT = 10
"""A beginning that at least four chats and a tenth of all of them share, and that none of them
ends with, is the set's habit (a greeting, a fixed first question) and ties nothing."""


def continuations(rows: Sequence[Conversation]) -> list[tuple[int, ...]]:
    """Places of chats that share their first turns, or the same messages cut up otherwise or in
    another order (`signals.chat_structure`): two or more, ascending.

    Sets of single exchanges have none: those are compared by prompt and reply as a whole.
    """
    spoken = [sum(turn.role != "system" for turn in row.turns) for row in rows]
    if max(spoken, default=0) <= 2:
        return []
    return [f.rows for f in structures(read_chats(rows)) if not _habit(f, len(rows))]


def _habit(finding: KindFinding, count: int) -> bool:
    return (
        finding.kind == "shared_prefix"
        and not finding.evidence["one_is_a_prefix"]
        and finding.evidence["shared_turns"] <= 2
        and len(finding.rows) >= max(4, count / _HABIT)
    )
