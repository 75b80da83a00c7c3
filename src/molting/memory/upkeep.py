"""The store's tables, and what keeps it small: dropping what was used longest ago, rewriting
shards of which little is left."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from molting.core.database import write_ahead
from molting.memory.shards import Shards

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, check_sum BLOB NOT NULL, used REAL NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS blocks (
    key TEXT PRIMARY KEY, shard TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL,
    check_sum BLOB NOT NULL, used REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS asked (
    kind TEXT PRIMARY KEY, hits INTEGER NOT NULL, misses INTEGER NOT NULL
);
"""
_ENTRY = "length(value) + length(key) + 40"
"""Bytes of an entry, about."""
_FULL_AFTER = 0.75
"""Share of the budget that is left filled when room had to be made: not every put has to."""
_DEAD = 0.2
"""A shard with a larger share of bytes that no entry names is rewritten. With the share above,
the files stay within the budget."""


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables, or bring those of an earlier version up to date."""
    write_ahead(db)
    # A power cut may take the last commits, which can be computed again; never the database.
    db.execute("PRAGMA synchronous=NORMAL")
    db.executescript(_SCHEMA)
    if "used" not in {row[1] for row in db.execute("PRAGMA table_info(entries)")}:
        db.execute("ALTER TABLE entries ADD COLUMN used REAL NOT NULL DEFAULT 0")


def note_use(
    db: sqlite3.Connection,
    used: Sequence[tuple[str, float]],
    asked: Mapping[tuple[str, bool], int],
) -> None:
    """When keys were last used, and how often each kind was found or missed."""
    with db:
        for table in ("entries", "blocks"):
            db.executemany(
                f"UPDATE {table} SET used = max(used, ?) WHERE key = ?",
                [(at, key) for key, at in used],
            )
        db.executemany(
            "INSERT INTO asked VALUES (?, ?, ?) ON CONFLICT (kind) DO UPDATE "
            "SET hits = hits + excluded.hits, misses = misses + excluded.misses",
            [(kind, n * hit, n * (not hit)) for (kind, hit), n in asked.items()],
        )


class Room(NamedTuple):
    """What making room has done."""

    dropped: int
    freed: int
    """Bytes of what was dropped."""


def make_room(db: sqlite3.Connection, shards: Shards, budget: int) -> Room:
    """Bring the store under its budget (bytes), if it is above."""
    kept = db.execute(f"SELECT coalesce(sum({_ENTRY}), 0) FROM entries").fetchone()[0]
    if kept + sum(shards.sizes().values()) <= budget:
        return Room(0, 0)
    with db:
        db.execute("BEGIN IMMEDIATE")
        room = _drop_oldest(db, int(_FULL_AFTER * budget))
        left = rewrite(db, shards)
    shards.drop(left)
    return room


def _drop_oldest(db: sqlite3.Connection, most: int) -> Room:
    """Drop entries and blocks, used longest ago first, until at most `most` bytes are left."""
    total = db.execute(
        f"SELECT (SELECT coalesce(sum({_ENTRY}), 0) FROM entries) "
        "+ (SELECT coalesce(sum(length), 0) FROM blocks)"
    ).fetchone()[0]
    oldest: list[tuple[str]] = []
    freed = 0
    query = (
        f"SELECT key, {_ENTRY}, used FROM entries UNION ALL "
        "SELECT key, length, used FROM blocks ORDER BY used, key"
    )
    for key, size, _ in db.execute(query):
        if total - freed <= most:
            break
        oldest.append((key,))
        freed += size
    for table in ("entries", "blocks"):
        db.executemany(f"DELETE FROM {table} WHERE key = ?", oldest)
    return Room(len(oldest), freed)


def rewrite(db: sqlite3.Connection, shards: Shards) -> list[str]:
    """Move what is left in mostly dead shards to a fresh one; names of those to drop.

    Hold the write lock, commit, then drop: a kill before the commit leaves the old index and the
    old shards, one after it leaves files that no entry names, which go the next time.
    """
    sizes = shards.sizes()
    live = dict(db.execute("SELECT shard, sum(length) FROM blocks GROUP BY shard"))
    poor = [name for name, size in sizes.items() if live.get(name, 0) <= (1 - _DEAD) * size]
    fresh = bool(poor) and max(poor) == max(sizes)
    for name in poor:
        places = "SELECT key, offset, length FROM blocks WHERE shard = ? ORDER BY offset"
        views = {
            key: view
            for key, offset, length in db.execute(places, (name,)).fetchall()
            if (view := shards.view(name, offset, length)) is not None
        }
        # The bytes go as they are; a damaged one is still found out by its checksum.
        moved = shards.append(list(views.values()), fresh=fresh)
        fresh = False
        db.executemany(
            "UPDATE blocks SET shard = ?, offset = ? WHERE key = ?",
            [(*place, key) for place, key in zip(moved, views, strict=True)],
        )
        db.execute("DELETE FROM blocks WHERE shard = ?", (name,))
    return poor
