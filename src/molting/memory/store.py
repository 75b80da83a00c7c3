"""A content-addressed store of small values: generated replies, log-probabilities.

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
        try:
            return self._whole(keys)
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: {error}") from None
        except sqlite3.DatabaseError:
            self._replace()
            return {}

    def _whole(self, keys: Iterable[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in keys:
            row = self._db.execute(
                "SELECT value, check_sum FROM entries WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                continue
            value, check = row
            if _check(key, value) != check:
                with self._db:
                    self._db.execute("DELETE FROM entries WHERE key = ?", (key,))
                continue
            found[key] = msgspec.json.decode(value)
        return found

    def put(self, values: Mapping[str, Any]) -> None:
        rows = []
        for key, value in values.items():
            raw = msgspec.json.encode(value)
            rows.append((key, raw, _check(key, raw)))
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
