"""A content-addressed store of what a frozen model has computed.

Small values (replies, losses, embeddings) are rows of a SQLite database; large ones (activations)
lie in memory-mapped shards, of which the database is the index. The key is a hash of everything
the value depends on (weights, adapter, prompt tokens, sampling), so an entry is never stale. Each
value carries a checksum over its key and its bytes; a damaged or foreign one is a miss and is
computed again. Deleting the store changes no result.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from molting.core import config
from molting.core.artifacts import storage_errors
from molting.core.database import PATIENCE
from molting.core.errors import StorageError
from molting.core.project import Project
from molting.memory import upkeep
from molting.memory.shards import LARGEST, Shards

_AT_ONCE = 500
"""Keys in one query; SQLite takes at least 999 variables."""


def key_of(*parts: Any) -> str:
    """The key of a value that depends on `parts` and on nothing else.

    Where the first part is a plain name, it is the value's kind and stands before the hash.
    """
    raw = msgspec.json.encode(parts, order="deterministic")
    return kind_of(parts) + ":" + hashlib.blake2b(raw, digest_size=20).hexdigest()


def kind_of(parts: tuple[Any, ...]) -> str:
    """What a value is called in the statistics: `("reply-2", …)` is a `reply-2`."""
    name = parts[0] if parts else None
    plain = isinstance(name, str) and re.fullmatch(r"[a-z][a-z0-9-]*", name)
    return str(name) if plain else "other"


class Memory:
    """Values by key. Safe under several processes (SQLite, WAL)."""

    def __init__(self, folder: Path, budget_gib: float | None = None) -> None:
        """`budget_gib`: beyond this, what was used longest ago goes; default as configured."""
        self.folder, self.path = folder, folder / "values.db"
        self.budget = int((budget_gib or config.Memory().budget_gib) * 2**30)
        self.shards = Shards(folder / "shards", min(LARGEST, max(1, self.budget // 16)))
        self._used: dict[str, float] = {}
        self._asked: Counter[tuple[str, bool]] = Counter()
        self._added = self.budget
        """Bytes put since the size was last looked at; at first nobody knows."""
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=PATIENCE)
            try:
                upkeep.prepare(self._db)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._replace()
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}") from None

    def _replace(self) -> None:
        # Not a database any more. It held nothing that cannot be computed again.
        self._db.close()
        for path in self.path.parent.glob("values.db*"):
            path.unlink()
        self._db = sqlite3.connect(self.path, timeout=PATIENCE)
        upkeep.prepare(self._db)

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values that are here and whole; damaged ones are dropped."""
        return {key: msgspec.json.decode(raw) for key, raw in self.get_bytes(keys).items()}

    def get_bytes(self, keys: Iterable[str]) -> dict[str, bytes]:
        """As `get`, for what `put_bytes` has put."""
        return self._get(list(keys), self.whole_values)

    def get_blocks(self, keys: Iterable[str]) -> dict[str, memoryview]:
        """As `get_bytes`, for what `put_blocks` has put: read-only views of memory maps."""
        return self._get(list(keys), self.whole_blocks)

    def _get(self, keys: list[str], find: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = find(keys)
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}") from None
        except sqlite3.DatabaseError:
            self._replace()
            found = {}
        now = time.time()
        for key in keys:
            self._asked[key.partition(":")[0], key in found] += 1
        self._used |= dict.fromkeys(found, now)
        return found

    def _select(self, query: str, keys: list[str]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            yield from self._db.execute(f"{query} WHERE key IN ({','.join('?' * len(some))})", some)

    def whole_values(self, keys: list[str]) -> dict[str, bytes]:
        """Values that match their checksum; the others are dropped."""
        found: dict[str, bytes] = {}
        damaged: list[tuple[str]] = []
        for key, value, check in self._select("SELECT key, value, check_sum FROM entries", keys):
            if check_sum(key, value) == check:
                found[key] = value
            else:
                damaged.append((key,))
        if damaged:
            with self._db:
                self._db.executemany("DELETE FROM entries WHERE key = ?", damaged)
        return found

    def whole_blocks(self, keys: list[str]) -> dict[str, memoryview]:
        """As `whole_values`, of blocks."""
        found, damaged = self._read_blocks(keys)
        if damaged:
            # Another process may have moved them just now: once more, while nobody can.
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                again, damaged = self._read_blocks(damaged)
                self._db.executemany("DELETE FROM blocks WHERE key = ?", [(k,) for k in damaged])
            found |= again
        return found

    def _read_blocks(self, keys: list[str]) -> tuple[dict[str, memoryview], list[str]]:
        """Blocks that are whole, and keys of those that are damaged."""
        found: dict[str, memoryview] = {}
        damaged: list[str] = []
        query = "SELECT key, shard, offset, length, check_sum FROM blocks"
        for key, shard, offset, length, check in self._select(query, keys):
            view = self.shards.view(shard, offset, length)
            if view is not None and check_sum(key, view) == check:
                found[key] = view
            else:
                damaged.append(key)
        return found, damaged

    def put(self, values: Mapping[str, Any]) -> None:
        self.put_bytes({key: msgspec.json.encode(value) for key, value in values.items()})

    def put_bytes(self, values: Mapping[str, bytes]) -> None:
        """Keep small values."""
        now = time.time()
        rows = [(key, raw, check_sum(key, raw), now) for key, raw in values.items()]

        def insert() -> None:
            with self._db:
                self._db.executemany(
                    "INSERT OR REPLACE INTO entries (key, value, check_sum, used) "
                    "VALUES (?, ?, ?, ?)",
                    rows,
                )

        self._put(insert, sum(map(len, values.values())))

    def put_blocks(self, values: Mapping[str, memoryview]) -> None:
        """Keep large values: their bytes in a shard, then their places in the index."""
        now = time.time()
        raw = {key: value.cast("B") for key, value in values.items()}
        checks = [check_sum(key, value) for key, value in raw.items()]

        def insert() -> None:
            with self._db, storage_errors(self.shards.folder):
                self._db.execute("BEGIN IMMEDIATE")
                places = self.shards.append(list(raw.values()))
                self._db.executemany(
                    "INSERT OR REPLACE INTO blocks (key, shard, offset, length, check_sum, used) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (key, *place, len(value), check, now)
                        for (key, value), place, check in zip(
                            raw.items(), places, checks, strict=True
                        )
                    ],
                )

        self._put(insert, sum(map(len, raw.values())))

    def _put(self, insert: Any, added: int) -> None:
        try:
            try:
                insert()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._replace()
                insert()
            self._added += added
            if self._added > self.budget // 16:
                self.note_use()
                upkeep.make_room(self._db, self.shards, self.budget)
                self._added = 0
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}; free space and run again") from None

    def note_use(self) -> None:
        """Write down what was used and how often something was found. Losing that harms nothing."""
        used, asked = list(self._used.items()), dict(self._asked)
        self._used.clear()
        self._asked.clear()
        with contextlib.suppress(sqlite3.DatabaseError):
            upkeep.note_use(self._db, used, asked)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds; nothing when the database turns out to be damaged."""
        try:
            return self._db.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}") from None
        except sqlite3.DatabaseError:
            self._replace()
            return []

    def check_index(self) -> bool:
        """Whether the database is whole; one that is not is replaced by an empty one."""
        found = self.rows("PRAGMA quick_check(1)")
        if found and found != [("ok",)]:
            self._replace()
        return found == [("ok",)]

    def clear(self) -> None:
        """Remove everything."""
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                for table in ("entries", "blocks", "asked"):
                    self._db.execute(f"DELETE FROM {table}")
                # Before others may append: entries that a kill leaves behind are only misses.
                self.shards.drop(self.shards.sizes())
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.DatabaseError as error:
            raise StorageError(f"{self.path}: {error}") from None

    def close(self) -> None:
        self.note_use()
        self._db.close()
        self.shards.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def project_memory(project: Project) -> Memory:
    """A project's own store, with the budget that it sets."""
    return Memory(project.memory, project.config.memory.budget_gib)


def check_sum(key: str, value: bytes | memoryview) -> bytes:
    digest = hashlib.blake2b(key.encode() + b"\x00", digest_size=16)
    digest.update(value)
    return digest.digest()
