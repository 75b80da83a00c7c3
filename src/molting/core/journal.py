"""The journal of review decisions: it only grows, and it can tell when it was damaged.

Table `decisions` of .molting/project.db is a chain (core/chain.py). A shortened chain is still a
chain (a database copied without its `-wal` file has lost its newest entries), so
.molting/review-head.json holds the number and id of the last entry, outside of the database.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from molting.core.artifacts import read_json, storage_errors, write_json
from molting.core.chain import Chain
from molting.core.conversation import Turn, content_id
from molting.core.errors import CheckFailed, DamagedStore, StorageError, UsageError
from molting.core.project import Project
from molting.core.rulings import ACTIONS, Action, Decision, active

_CHAIN = Chain(
    "decisions",
    "the review journal",
    b"molting.review.1",
    (
        "at", "reviewer", "row", "action", "turns", "original", "note", "reason", "undoes", "previous",
    ),
)  # fmt: skip
_LOCK_SECONDS = 30


class Check(msgspec.Struct, frozen=True):
    """What `molting review --verify` found."""

    entries: int | None
    """None when the table cannot be read at all."""
    valid: bool
    """Every entry follows from the one before it, and SQLite finds the table whole."""
    complete: bool | None
    """Whether the last entry known is there; None when the head file is missing."""
    problem: str = ""

    @property
    def ok(self) -> bool:
        return self.valid and self.complete is not False


class Journal:
    """Decisions of a project. Nothing is kept open between calls, so several people may write."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self._head = project.state / "review-head.json"

    def append(
        self,
        reviewer: str,
        row: str,
        action: Action,
        *,
        turns: Sequence[Turn] = (),
        original: Sequence[Turn] = (),
        note: str = "",
        reason: str = "",
        undoes: str = "",
    ) -> Decision:
        """Write one entry; when this returns, it is on the disk (WAL, synchronous=FULL).

        Raises UsageError for a decision that makes no sense, CheckFailed when entries are missing
        at the end (a new one would hide it), StorageError when it cannot be written.
        """
        draft = Decision(
            0, "", datetime.now(UTC).isoformat(timespec="milliseconds"), reviewer, row, action,
            tuple(turns), tuple(original), note, reason, undoes,
        )  # fmt: skip
        _refuse_nonsense(draft)
        with self._writing() as db:
            known = _entries(db)
            _refuse_fault(_check(known, self._read_head()))
            if action == "undo":
                _refuse_undo(draft, known)
            last = known[-1] if known else None
            draft = msgspec.structs.replace(
                draft, number=len(known) + 1, previous=last.id if last else ""
            )
            decision = msgspec.structs.replace(draft, id=chained_id(draft))
            db.execute(_CHAIN.insert, (decision.number, decision.id, *_texts(decision)))
            db.commit()
            # After the commit: a head that lags by the entry being written is no fault, one that
            # runs ahead would be.
            write_json(self._head, {"entries": decision.number, "last": decision.id})
        return decision

    def decisions(self) -> list[Decision]:
        """All entries, oldest first; raises CheckFailed when the journal is damaged or shortened."""
        known, check = self._look(thorough=False)
        _refuse_fault(check)
        return known

    def verify(self) -> Check:
        """The whole check, SQLite's own included. Raises StorageError only where it cannot look."""
        try:
            return self._look(thorough=True)[1]
        except DamagedStore as error:
            return Check(None, False, None, str(error))

    def _look(self, *, thorough: bool) -> tuple[list[Decision], Check]:
        path = self.project.state / "project.db"
        # The head first: another writer's entry may come between the two, and must not look lost.
        head = self._read_head()
        if not path.exists():
            return [], _check([], head)
        with self.project.database() as db:
            if thorough:
                said = [line for (line,) in db.execute("PRAGMA integrity_check(3)")]
                if said != ["ok"]:
                    return [], Check(None, False, None, f"{path}: {'; '.join(said)}")
            known = _entries(db)
        return known, _check(known, head)

    def _read_head(self) -> tuple[int, str] | None:
        """(number, id) of the last entry written; None when that is not known."""
        try:
            head = read_json(self._head)
            return int(head["entries"]), str(head["last"])
        except (FileNotFoundError, msgspec.DecodeError, KeyError, TypeError, ValueError):
            return None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        from filelock import FileLock, Timeout

        state = self.project.state
        with storage_errors(state):
            state.mkdir(parents=True, exist_ok=True)
            lock = FileLock(state / "review.lock", timeout=_LOCK_SECONDS)
            try:
                lock.acquire()
            except Timeout:
                raise StorageError(
                    f"{state}: another review has been writing for {_LOCK_SECONDS} seconds"
                ) from None
        try:
            with self.project.database() as db:
                db.execute("PRAGMA synchronous=FULL")
                db.executescript(_CHAIN.schema)
                db.execute("BEGIN IMMEDIATE")
                yield db
        finally:
            lock.release()


def _entries(db: sqlite3.Connection) -> list[Decision]:
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'decisions'").fetchone():
        return []
    # A byte that is no UTF-8 must end as a fault of its entry, not of the program.
    db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    return [_decoded(row) for row in db.execute(_CHAIN.select)]


def _check(known: Sequence[Decision], head: tuple[int, str] | None) -> Check:
    bad = first_fault(known)
    if bad is not None:
        problem = f"entry {bad} of {len(known)} does not follow from the one before it"
        return Check(len(known), False, None, problem)
    if head is None:
        return Check(len(known), True, None if known else True)
    entries, last = head
    if entries > len(known):
        return Check(
            len(known), True, False, f"{entries} entries were written, {len(known)} are left"
        )
    if entries and known[entries - 1].id != last:
        return Check(len(known), True, False, f"entry {entries} is not the one that was written")
    return Check(len(known), True, True)


def chained_id(decision: Decision) -> str:
    """The id that an entry must have: a hash of its number, its fields and its forerunner's id."""
    return _CHAIN.id_of(decision.number, _texts(decision))


def first_fault(known: Sequence[Decision]) -> int | None:
    """The place, from 1, of the first entry that does not follow from the one before; None if all do."""
    return _CHAIN.first_fault((d.number, d.id, _texts(d)) for d in known)


def _texts(decision: Decision) -> list[str]:
    return [_text(getattr(decision, name)) for name in _CHAIN.fields]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if value else ""


def _decoded(row: tuple[Any, ...]) -> Decision:
    fields = dict(zip(_CHAIN.columns, row, strict=True))
    try:
        for name in ("turns", "original"):
            fields[name] = msgspec.json.decode(fields[name]) if fields[name] else ()
        decision = msgspec.convert(fields, Decision)
        if _texts(decision) == list(row[2:]):
            return decision
    except (msgspec.MsgspecError, TypeError, UnicodeError):
        pass
    # Unreadable: an entry that cannot follow from anything, so that the check names its place.
    return Decision(0, "", "", "", "", "note")


def _refuse_nonsense(draft: Decision) -> None:
    if not draft.reviewer.strip():
        raise UsageError("a reviewer needs a name")
    if draft.action not in ACTIONS:
        raise UsageError(f"unknown action {draft.action!r}; one of {', '.join(ACTIONS)}")
    if (draft.action == "edit") != bool(draft.turns):
        raise UsageError("an edit, and only an edit, has turns")
    if draft.action == "edit" and content_id(draft.original) != draft.row:
        raise UsageError("an edit must hold the turns that it replaces")
    if (draft.action == "undo") != bool(draft.undoes):
        raise UsageError("an undo, and only an undo, names a decision")
    if draft.action == "note" and not draft.note.strip():
        raise UsageError("a note is empty")
    try:
        "".join(_texts(draft)).encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError("the text is not valid Unicode; write it as UTF-8") from None


def _refuse_undo(draft: Decision, known: Sequence[Decision]) -> None:
    target = next((d for d in known if d.id == draft.undoes), None)
    if target is None:
        raise UsageError(f"{draft.undoes}: no such decision")
    if target.reviewer != draft.reviewer:
        raise UsageError(
            f"{draft.undoes}: is {target.reviewer}'s decision; only {target.reviewer} can undo it"
        )
    if target.row != draft.row:
        raise UsageError(f"{draft.undoes}: is a decision about another row")
    if target not in active(known, undos=True):
        raise UsageError(f"{draft.undoes}: is undone already")


def _refuse_fault(check: Check) -> None:
    if not check.ok:
        raise CheckFailed(
            f"the review journal is {'shortened' if check.valid else 'damaged'}: {check.problem}; "
            "`molting review --verify` says more, docs/review.md what to do"
        )
