"""SQLite for several processes at once."""

from __future__ import annotations

import sqlite3
import time

PATIENCE = 30.0
"""Seconds to wait for another process."""


def write_ahead(db: sqlite3.Connection) -> None:
    """Let readers and one writer work side by side (WAL).

    Where two processes make the same switch at the same moment, SQLite tells one of them "locked" at
    once, whatever timeout it was opened with (sqlite.org/wal.html); so the wait is here.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # The low byte is the kind; "busy" has several shades.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > end:
                raise
            time.sleep(0.01)
