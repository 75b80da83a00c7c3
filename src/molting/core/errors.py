"""One error tree. Whatever a person can cause ends here, as one clear line.

MoltingError                exit code
├── UsageError              2   the command, the configuration or an input file cannot be used
│   ├── ConfigError         2   molting.toml: file, key, what to do
│   ├── InputError          2   a data file: file, line, what to do
│   ├── ModelNotFound       2   no source had the base model; lists what was tried
│   └── TeacherFailed       2   an API did not answer, or not with text
├── CheckFailed             1   the data or the result fails a check
├── Interrupted             130 stopped by Ctrl-C or SIGTERM; what was done is kept
└── StorageError            2   the disk is full or cannot be written
    └── DamagedStore        2   a database is there, but is none any more
"""

from __future__ import annotations

from pathlib import Path


class MoltingError(Exception):
    """Base of everything Molting raises on purpose; `str()` is the one line shown."""

    exit_code = 2


class UsageError(MoltingError):
    """The command line, the configuration or an input cannot be used."""


class ConfigError(UsageError):
    """A key in `molting.toml` is unknown, missing or wrong."""

    def __init__(self, message: str, *, file: Path | None = None, key: str | None = None) -> None:
        where = f"{file}: " if file else ""
        what = f"{key}: " if key else ""
        super().__init__(f"{where}{what}{message}")


class InputError(UsageError):
    """A data file is missing, empty or malformed."""

    def __init__(
        self, message: str, *, file: Path | str | None = None, line: int | None = None
    ) -> None:
        where = "" if file is None else (f"{file}:{line}: " if line else f"{file}: ")
        super().__init__(f"{where}{message}")


class ModelNotFound(UsageError):
    """No source could provide the base model."""


class TeacherFailed(UsageError):
    """One call of an API brought no answer; `final` when another call would not either."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class CheckFailed(MoltingError):
    """The data or the result fails a check."""

    exit_code = 1


class Interrupted(MoltingError):
    """A person stopped the work; the state on disk is whole."""

    exit_code = 130


class StorageError(MoltingError):
    """Writing failed: disk full, read-only, no permission."""


class DamagedStore(StorageError):
    """A database file is damaged: SQLite cannot make sense of it."""
