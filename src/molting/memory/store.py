"""A content-addressed store of small values: generated replies, log-probabilities, embeddings.

The key is a hash of everything the value depends on (weights, adapter, prompt tokens, sampling),
so an entry is never stale. Each value carries its own checksum; a damaged one is a miss and is
computed again. Deleting the store changes no result.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from molting.core.artifacts import storage_errors
from molting.core.errors import StorageError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, check_sum BLOB NOT NULL
);
"""


_AT_ONCE = 500
"""Keys in one query; SQLite takes at least 999 variables."""


def key_of(*parts: Any) -> str:
    """The key of a value that depends on `parts` and on nothing else."""
    raw = msgspec.json.encode(parts, order="deterministic")
    return "b2:" + hashlib.blake2b(raw, digest_size=20).hexdigest()


class Memory:
    """Values by key. Safe under several processes (SQLite, WAL)."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "values.db"
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(self.path, timeout=30)
            try:
                self._prepare()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._replace()
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}") from None

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_SCHEMA)

    def _replace(self) -> None:
        # Not a database any more. It held nothing that cannot be computed again.
        self._db.close()
        for path in self.path.parent.glob("values.db*"):
            path.unlink()
        self._db = sqlite3.connect(self.path, timeout=30)
        self._prepare()

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values that are here and whole; damaged ones are dropped."""
        return {key: msgspec.json.decode(raw) for key, raw in self.get_bytes(keys).items()}

    def get_bytes(self, keys: Iterable[str]) -> dict[str, bytes]:
        """As `get`, for what `put_bytes` has put."""
        try:
            return self._whole(list(keys))
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}") from None
        except sqlite3.DatabaseError:
            self._replace()
            return {}

    def _whole(self, keys: list[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        damaged: list[tuple[str]] = []
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, value, check_sum FROM entries WHERE key IN ({marks})"
            for key, value, check in self._db.execute(query, some):
                if _check(key, value) == check:
                    found[key] = value
                else:
                    damaged.append((key,))
        if damaged:
            with self._db:
                self._db.executemany("DELETE FROM entries WHERE key = ?", damaged)
        return found

    def put(self, values: Mapping[str, Any]) -> None:
        self.put_bytes({key: msgspec.json.encode(value) for key, value in values.items()})

    def put_bytes(self, values: Mapping[str, bytes]) -> None:
        rows = [(key, raw, _check(key, raw)) for key, raw in values.items()]
        try:
            try:
                self._insert(rows)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                self._replace()
                self._insert(rows)
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}; free space and run again") from None

    def _insert(self, rows: list[tuple[str, bytes, bytes]]) -> None:
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _check(key: str, value: bytes) -> bytes:
    return hashlib.blake2b(key.encode() + b"\x00" + value, digest_size=16).digest()
