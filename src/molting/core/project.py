"""A project: a folder with `molting.toml`; everything Molting writes lies under `.molting/`."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from molting.core.artifacts import MANIFEST, read_json, storage_errors
from molting.core.config import Config, load_config
from molting.core.database import PATIENCE, write_ahead
from molting.core.errors import DamagedStore, MoltingError, StorageError, UsageError

CONFIG_FILE = "molting.toml"
_ROOM = 1 << 17
"""Bytes that a full disk has less than."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS molts (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint TEXT NOT NULL,
    corpus      TEXT NOT NULL,
    parent      INTEGER REFERENCES molts(number),
    created     REAL NOT NULL,
    finished    REAL
);
CREATE INDEX IF NOT EXISTS molts_by_fingerprint ON molts(fingerprint);
"""


class Molt(msgspec.Struct, frozen=True):
    """One grown shell, as the list in SQLite knows it; its folder holds the rest."""

    number: int
    fingerprint: str
    corpus: str
    parent: int | None
    created: float
    finished: float | None


class Project(msgspec.Struct, frozen=True):
    """Paths and the list of molts."""

    root: Path
    config: Config

    @property
    def state(self) -> Path:
        return self.root / ".molting"

    @property
    def corpora(self) -> Path:
        return self.state / "corpora"

    @property
    def memory(self) -> Path:
        return self.state / "memory"

    def molt_folder(self, number: int) -> Path:
        return self.state / "molts" / str(number)

    def study_file(self, kind: str, key: str) -> Path:
        """Where the result of an experiment lies; `key` says what it depends on."""
        return self.state / "studies" / f"{kind}-{key.replace(':', '-')}.json"

    def shown(self, path: Path) -> str:
        """A path as it may appear in an export: relative to the project, never a home path."""
        try:
            return path.resolve().relative_to(self.root.resolve()).as_posix()
        except ValueError:
            return path.name

    @contextlib.contextmanager
    def database(self) -> Iterator[sqlite3.Connection]:
        with storage_errors(self.state):
            self.state.mkdir(parents=True, exist_ok=True)
        try:
            connection = sqlite3.connect(self.state / "project.db", timeout=PATIENCE)
        except sqlite3.DatabaseError as error:
            raise _storage_error(self.state / "project.db", error) from None
        try:
            write_ahead(connection)
            connection.executescript(_SCHEMA)
            with connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise _storage_error(self.state / "project.db", error) from None
        except UnicodeDecodeError:
            # SQLite quotes the damaged text in its message, and Python cannot read that.
            raise DamagedStore(f"{self.state / 'project.db'}: malformed text") from None
        finally:
            connection.close()

    def molts(self) -> list[Molt]:
        if not (self.state / "project.db").exists():
            return []
        with self.database() as db:
            rows = db.execute(
                "SELECT number, fingerprint, corpus, parent, created, finished "
                "FROM molts ORDER BY number"
            ).fetchall()
        return [Molt(*row) for row in rows]

    def claim_molt(self, fingerprint: str, corpus: str) -> Molt:
        """The unfinished or finished molt of this fingerprint, else a new one."""
        found = [molt for molt in self.molts() if molt.fingerprint == fingerprint]
        if found:
            return found[-1]
        with self.database() as db:
            parent = db.execute("SELECT max(number) FROM molts").fetchone()[0]
            cursor = db.execute(
                "INSERT INTO molts (fingerprint, corpus, parent, created) VALUES (?, ?, ?, ?)",
                (fingerprint, corpus, parent, time.time()),
            )
            number = int(cursor.lastrowid or 0)
        return next(molt for molt in self.molts() if molt.number == number)

    def finish_molt(self, number: int) -> None:
        with self.database() as db:
            db.execute("UPDATE molts SET finished = ? WHERE number = ?", (time.time(), number))

    def molt(self, number: int | None = None) -> Molt:
        """A trained molt: the one asked for, else the newest."""
        trained = [m for m in self.molts() if self.manifest(m.number) is not None]
        if not trained:
            raise UsageError(
                f"{self.root}: no trained molt yet; `molting run {self.root}` makes one"
            )
        if number is None:
            return trained[-1]
        for molt in trained:
            if molt.number == number:
                return molt
        numbers = ", ".join(str(m.number) for m in trained)
        raise UsageError(f"{self.root}: no molt {number}; there are: {numbers}")

    def manifest(self, number: int) -> dict[str, Any] | None:
        path = self.molt_folder(number) / MANIFEST
        return read_json(path) if path.exists() else None


def _storage_error(path: Path, error: sqlite3.DatabaseError) -> StorageError:
    """SQLite's own words, and for a full disk or a read-only folder the same as everywhere."""
    # The low byte is the kind; the rest says where it happened.
    kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # Even to read, SQLite needs a page beside the database; without room it speaks of I/O.
    full = kind == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < _ROOM
    if full or kind == sqlite3.SQLITE_FULL:
        return StorageError(
            f"{path}: no space left on the disk; free some and run the same command again, "
            "what was acknowledged is kept"
        )
    if kind in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
        return StorageError(f"{path}: cannot be written: {error}")
    if kind in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return DamagedStore(f"{path}: {error}")
    return StorageError(f"{path}: {error}")


def open_project(folder: Path) -> Project:
    """Open the project at `folder`; its `molting.toml` is checked strictly."""
    if not folder.exists():
        raise UsageError(
            f"{folder}: no such folder; `molting new {folder} --name PERSONA` makes it"
        )
    if folder.is_file():
        if folder.name != CONFIG_FILE:
            raise UsageError(f"{folder}: is a file; give the folder that holds {CONFIG_FILE}")
        folder = folder.parent
    return Project(folder, load_config(folder / CONFIG_FILE))


def shown_model(spec: str) -> str:
    """A base model as an export may show it: a short name or Hub id, of a path only its end."""
    if re.match(r"^([~/.]|[A-Za-z]:[/\\])", spec):
        return Path(spec).name
    return spec


@contextlib.contextmanager
def project_lock(project: Project) -> Iterator[None]:
    """One writer at a time; a second `molting run` in the same folder is told so at once."""
    from filelock import FileLock, Timeout

    with storage_errors(project.state):
        project.state.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(project.state / "lock", timeout=0):
            yield
    except Timeout:
        raise MoltingError(
            f"{project.root}: another molting process is working here; wait for it to end"
        ) from None
