"""Votes of people who compare replies blind: a table that only grows.

Table `votes` of .molting/project.db is a chain (core/chain.py). Who votes again on an item changes
nothing that was said before; the last word counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from molting.core.chain import Chain
from molting.core.errors import CheckFailed, UsageError
from molting.core.project import Project

Choice = Literal["left", "right", "tie"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
_CHAIN = Chain(
    "votes",
    "the table of votes",
    b"molting.votes.1",
    ("at", "voter", "sheet", "item", "choice", "previous"),
)


class Vote(msgspec.Struct, frozen=True):
    """One person's word on one item of one sheet."""

    number: int
    id: str
    at: str
    """UTC, ISO 8601."""
    voter: str
    sheet: str
    item: str
    choice: str
    previous: str


def append_votes(
    project: Project, voter: str, sheet: str, chosen: Sequence[tuple[str, Choice]]
) -> list[Vote]:
    """Write (item, choice) pairs, all or none; what says the same as the last word is left out."""
    if not voter.strip():
        raise UsageError("a voter needs a name")
    for _, choice in chosen:
        if choice not in CHOICES:
            raise UsageError(f"unknown choice {choice!r}; one of {', '.join(CHOICES)}")
    fresh: list[Vote] = []
    with project.database() as db:
        db.execute("PRAGMA synchronous=FULL")
        db.executescript(_CHAIN.schema)
        db.execute("BEGIN IMMEDIATE")
        known = _checked(db)
        standing = {(vote.voter, vote.sheet, vote.item): vote.choice for vote in known}
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        for item, choice in chosen:
            if standing.get((voter, sheet, item)) == choice:
                continue
            standing[voter, sheet, item] = choice
            last = (known + fresh)[-1].id if known or fresh else ""
            draft = Vote(len(known) + len(fresh) + 1, "", at, voter, sheet, item, choice, last)
            fresh.append(
                msgspec.structs.replace(draft, id=_CHAIN.id_of(draft.number, _texts(draft)))
            )
        db.executemany(_CHAIN.insert, [msgspec.structs.astuple(vote) for vote in fresh])
        db.commit()
    return fresh


def read_votes(project: Project, sheet: str) -> list[Vote]:
    """Everybody's last word on every item of a sheet. Raises CheckFailed when votes were changed."""
    if not (project.state / "project.db").exists():
        return []
    with project.database() as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'votes'").fetchone():
            return []
        known = _checked(db)
    standing = {(vote.voter, vote.item): vote for vote in known if vote.sheet == sheet}
    return list(standing.values())


def _checked(db: sqlite3.Connection) -> list[Vote]:
    """All entries, each of which must follow from the one before."""
    found = [Vote(*row) for row in db.execute(_CHAIN.select)]
    bad = _CHAIN.first_fault((vote.number, vote.id, _texts(vote)) for vote in found)
    if bad is not None:
        raise CheckFailed(
            f"the votes are damaged: entry {bad} does not follow from the one before it"
        )
    return found


def _texts(vote: Vote) -> list[str]:
    return [str(getattr(vote, name)) for name in _CHAIN.fields]
