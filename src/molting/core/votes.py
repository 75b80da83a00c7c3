"""Votes of people who compare replies blind: a table that only grows.

Table `votes` of .molting/project.db, kept as the review journal is (core/journal.py): triggers
refuse UPDATE and DELETE, and the id of an entry is the hash over its fields and the id of the entry
before it, so that a changed byte breaks the chain. Who votes again on an item changes nothing that
was said before; the last word counts.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from molting.core.errors import CheckFailed, UsageError
from molting.core.project import Project

Choice = Literal["left", "right", "tie"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
_FIELDS = ("at", "voter", "sheet", "item", "choice", "previous")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS votes (
    number INTEGER PRIMARY KEY,
    id     TEXT NOT NULL UNIQUE,
    {", ".join(f"{name} TEXT NOT NULL" for name in _FIELDS)}
);
CREATE TRIGGER IF NOT EXISTS votes_never_change BEFORE UPDATE ON votes
BEGIN SELECT RAISE(ABORT, 'votes are append-only'); END;
CREATE TRIGGER IF NOT EXISTS votes_never_go BEFORE DELETE ON votes
BEGIN SELECT RAISE(ABORT, 'votes are append-only'); END;
"""


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
        db.executescript(_SCHEMA)
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
            fresh.append(msgspec.structs.replace(draft, id=_chained(draft)))
        db.executemany(
            f"INSERT INTO votes (number, id, {', '.join(_FIELDS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [msgspec.structs.astuple(vote) for vote in fresh],
        )
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
    found: list[Vote] = []
    query = f"SELECT number, id, {', '.join(_FIELDS)} FROM votes ORDER BY number"
    for row in db.execute(query):
        vote = Vote(*row)
        previous = found[-1].id if found else ""
        if vote.number != len(found) + 1 or vote.previous != previous or vote.id != _chained(vote):
            raise CheckFailed(
                f"the votes are damaged: entry {len(found) + 1} does not follow from the one before it"
            )
        found.append(vote)
    return found


def _chained(vote: Vote) -> str:
    digest = hashlib.blake2b(digest_size=16, person=b"molting.votes.1")
    for value in (vote.number, *(getattr(vote, name) for name in _FIELDS)):
        raw = str(value).encode("utf-8", "surrogateescape")
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return "b2:" + digest.hexdigest()
