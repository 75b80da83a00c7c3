from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from molting.core import database
from molting.core.database import write_ahead


def open_at_once(path: Path, count: int) -> list[BaseException]:
    failures: list[BaseException] = []
    ready = threading.Barrier(count)

    def work() -> None:
        db = sqlite3.connect(path, timeout=30)
        try:
            ready.wait()
            write_ahead(db)
            db.execute("CREATE TABLE IF NOT EXISTS some (a)")
        except BaseException as error:
            failures.append(error)
        finally:
            db.close()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_a_new_database_opened_by_many_at_once_locks_nobody_out(tmp_path: Path) -> None:
    # Without the wait, one round in ten fails.
    for number in range(80):
        assert open_at_once(tmp_path / f"{number}.db", 6) == []
    db = sqlite3.connect(tmp_path / "0.db")
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_the_wait_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.05)
    one, other = (sqlite3.connect(tmp_path / "some.db", timeout=0) for _ in range(2))
    one.execute("CREATE TABLE some (a)")
    one.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(other)
    one.close()
    other.close()


def test_other_faults_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "some.db").write_bytes(b"no database at all, but long enough to be looked at" * 9)
    db = sqlite3.connect(tmp_path / "some.db")
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        write_ahead(db)
    db.close()
