from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.conversation import Turn, content_id
from molting.core.errors import CheckFailed, StorageError, UsageError
from molting.core.journal import Journal, chained_id, first_fault
from molting.core.project import CONFIG_FILE, open_project
from molting.core.rulings import Decision

OLD = (Turn("user", "Any broth?"), Turn("assistant", "None."))
NEW = (Turn("user", "Any broth?"), Turn("assistant", "Half a pot, shoreling."))
ROW = content_id(OLD)


def make(folder: Path) -> Journal:
    (folder / CONFIG_FILE).write_text('[persona]\nname = "Skerry"\n')
    return Journal(open_project(folder))


def fill(journal: Journal) -> list[Decision]:
    first = journal.append("anna", ROW, "keep", note="good", reason="near_cut,outlier")
    journal.append("bob", ROW, "edit", turns=NEW, original=OLD)
    journal.append("bob", ROW, "note", note="“Clack”, said the crab")
    journal.append("anna", ROW, "undo", undoes=first.id)
    journal.append("anna", ROW, "reject")
    return journal.decisions()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return make(tmp_path)


@pytest.fixture(scope="module")
def filled() -> Iterator[Journal]:
    """Five entries, to be copied and damaged."""
    with tempfile.TemporaryDirectory() as folder:
        journal = make(Path(folder))
        fill(journal)
        yield journal


@pytest.fixture
def copy(filled: Journal, tmp_path: Path) -> Journal:
    return copied(filled, tmp_path / "copy")


def copied(journal: Journal, target: Path) -> Journal:
    shutil.copytree(journal.project.root, target)
    return Journal(open_project(target))


def tamper(journal: Journal, statement: str, *values: object) -> None:
    """Change the table behind the triggers' back."""
    with sqlite3.connect(journal.project.state / "project.db") as db:
        for name in ("never_change", "never_go", "only_follow"):
            db.execute(f"DROP TRIGGER IF EXISTS decisions_{name}")
        db.execute(statement, values)
    db.close()


def test_what_is_appended_is_read_back(journal: Journal) -> None:
    entries = fill(journal)
    assert [d.number for d in entries] == [1, 2, 3, 4, 5]
    assert [d.action for d in entries] == ["keep", "edit", "note", "undo", "reject"]
    assert (entries[0].note, entries[0].reason) == ("good", "near_cut,outlier")
    assert (entries[1].turns, entries[1].original) == (NEW, OLD)
    assert entries[3].undoes == entries[0].id
    assert [d.previous for d in entries] == ["", *(d.id for d in entries[:-1])]
    assert all(d.at.endswith("+00:00") for d in entries)
    check = journal.verify()
    assert (check.entries, check.valid, check.complete, check.ok) == (5, True, True, True)


def test_reading_what_was_never_written_writes_nothing(journal: Journal) -> None:
    assert journal.decisions() == []
    assert (journal.verify().entries, journal.verify().ok) == (0, True)
    assert not journal.project.state.exists()


def test_a_project_with_molts_and_no_decisions_is_an_empty_journal(journal: Journal) -> None:
    journal.project.claim_molt("b2:a", "b2:c")
    assert journal.decisions() == []
    assert journal.verify().ok


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET note = 'other' WHERE number = 2",
        "DELETE FROM decisions WHERE number = 5",
        "DELETE FROM decisions",
        "INSERT OR REPLACE INTO decisions SELECT * FROM decisions WHERE number = 2",
        "INSERT INTO decisions SELECT 9, 'b2:x', at, reviewer, row, action, turns, original, note,"
        " reason, undoes, id FROM decisions WHERE number = 5",
        "INSERT INTO decisions SELECT 6, 'b2:x', at, reviewer, row, action, turns, original, note,"
        " reason, undoes, previous FROM decisions WHERE number = 5",
    ],
)
def test_the_table_only_grows_by_its_next_entry(copy: Journal, statement: str) -> None:
    db = sqlite3.connect(copy.project.state / "project.db")
    with pytest.raises(sqlite3.IntegrityError, match="the review journal"):
        db.execute(statement)
    db.close()
    assert copy.verify().ok


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 5), st.data())
def test_any_changed_byte_of_any_field_breaks_the_chain_at_its_entry(
    filled: Journal, number: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = copied(filled, Path(folder) / "copy")
        entry = filled.decisions()[number - 1]
        with sqlite3.connect(journal.project.state / "project.db") as db:
            cursor = db.execute("SELECT * FROM decisions WHERE number = ?", (number,))
            names = [column[0] for column in cursor.description]
            values = dict(zip(names, cursor.fetchone(), strict=True))
        db.close()
        name = data.draw(st.sampled_from([n for n in names if n != "number" and values[n]]))
        raw = values[name].encode()
        place = data.draw(st.integers(0, len(raw) - 1))
        byte = data.draw(st.integers(0, 255).filter(lambda b: b != raw[place]))
        changed = raw[:place] + bytes([byte]) + raw[place + 1 :]
        tamper(
            journal,
            f"UPDATE decisions SET {name} = CAST(? AS TEXT) WHERE number = ?",
            changed,
            number,
        )
        check = journal.verify()
        assert not check.ok
        assert not check.valid
        # The next entry, too, points to what is no longer there; the first fault is told.
        assert f"entry {number} of 5" in check.problem
        with pytest.raises(CheckFailed, match="the review journal is damaged"):
            journal.decisions()
        with pytest.raises(CheckFailed, match="damaged"):
            journal.append("anna", entry.row, "keep")


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_of_the_file_is_found_or_changes_no_entry(
    filled: Journal, where: float, flip: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = copied(filled, Path(folder) / "copy")
        path = journal.project.state / "project.db"
        raw = bytearray(path.read_bytes())
        raw[int(where * len(raw))] ^= flip
        path.write_bytes(raw)
        # A header that asks for a newer SQLite cannot be looked at, and says so.
        with contextlib.suppress(StorageError):
            if journal.verify().ok:
                assert journal.decisions() == filled.decisions()


@pytest.mark.parametrize("number", [1, 3])
def test_an_entry_that_was_taken_out_is_found(copy: Journal, number: int) -> None:
    tamper(copy, "DELETE FROM decisions WHERE number = ?", number)
    assert not copy.verify().valid


def test_entries_that_are_missing_at_the_end_are_found_and_not_written_over(copy: Journal) -> None:
    tamper(copy, "DELETE FROM decisions WHERE number > 3")
    check = copy.verify()
    assert (check.valid, check.complete, check.ok) == (True, False, False)
    assert check.problem == "5 entries were written, 3 are left"
    for use in (copy.decisions, lambda: copy.append("anna", ROW, "keep")):
        with pytest.raises(CheckFailed, match="shortened: 5 entries were written, 3 are left"):
            use()
    assert copy.verify().entries == 3


def test_a_lost_table_or_database_is_a_shortened_journal(copy: Journal) -> None:
    tamper(copy, "DROP TABLE decisions")
    assert copy.verify().complete is False
    (copy.project.state / "project.db").unlink()
    assert copy.verify().problem == "5 entries were written, 0 are left"


def test_a_database_copied_without_its_wal_is_a_shortened_journal(
    journal: Journal, tmp_path: Path
) -> None:
    journal.append("anna", ROW, "keep")
    # Another reader keeps the log from being written back, as a studio that is open would.
    path = journal.project.state / "project.db"
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM decisions").fetchone()
    journal.append("anna", ROW, "reject")
    assert (journal.project.state / "project.db-wal").stat().st_size > 0
    target = tmp_path / "copy"
    shutil.copytree(journal.project.root, target, ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    reader.close()
    assert make(target).verify().problem == "2 entries were written, 1 are left"
    assert journal.verify().ok


def test_without_its_head_whether_the_end_is_there_is_unknown(copy: Journal) -> None:
    head = copy.project.state / "review-head.json"
    for damage in (head.unlink, lambda: head.write_text("{"), lambda: head.write_text("[]")):
        damage()
        check = copy.verify()
        assert (check.ok, check.complete) == (True, None)
    copy.append("anna", ROW, "keep")
    assert copy.verify().complete is True


def test_a_head_of_another_journal_is_found(copy: Journal, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make(tmp_path / "other")
    fill(other)
    shutil.copy(other.project.state / "review-head.json", copy.project.state)
    assert copy.verify().problem == "entry 5 is not the one that was written"


def test_a_file_that_is_no_database_is_damage(copy: Journal) -> None:
    (copy.project.state / "project.db").write_bytes(b"not a database" * 99)
    check = copy.verify()
    assert (check.ok, check.entries) == (False, None)
    assert "not a database" in check.problem


def test_a_decision_is_synced_before_it_is_returned(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with journal._writing() as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        db.rollback()
    order: list[str] = []
    import molting.core.journal as module

    write = module.write_json

    def head(path: Path, value: Any) -> None:
        # Another connection sees what is committed, and only that.
        with sqlite3.connect(journal.project.state / "project.db") as db:
            order.append(f"head after {db.execute('SELECT count(*) FROM decisions').fetchone()[0]}")
        db.close()
        write(path, value)

    monkeypatch.setattr(module, "write_json", head)
    fill(journal)
    assert order == [f"head after {n}" for n in range(1, 6)]


def test_a_head_that_could_not_be_written_lags_and_is_no_fault(
    copy: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise StorageError("no space left on the disk")

    with monkeypatch.context() as patch:
        patch.setattr("molting.core.journal.write_json", full)
        with pytest.raises(StorageError, match="no space left"):
            copy.append("anna", ROW, "keep")
    # Never acknowledged, yet there: nothing is wrong with that.
    assert (copy.verify().entries, copy.verify().ok) == (6, True)
    copy.append("anna", ROW, "reject")
    assert (copy.verify().entries, copy.verify().complete) == (7, True)


def test_a_full_disk_is_one_line_and_loses_nothing(
    copy: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = copy.decisions()
    connect = sqlite3.connect

    def small(*arguments: Any, **more: Any) -> sqlite3.Connection:
        connection = connect(*arguments, **more)
        # SQLite's own limit on the file's size fails as a full disk does.
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", small)
        with pytest.raises(StorageError, match=r"project\.db: no space left on the disk; free"):
            [copy.append("anna", ROW, "note", note="x" * 4000) for _ in range(50)]
    after = copy.decisions()
    assert after[: len(before)] == before
    assert copy.verify().ok
    assert copy.append("anna", ROW, "keep").number == len(after) + 1


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"reviewer": " "}, "needs a name"),
        ({"action": "burn"}, "unknown action 'burn'"),
        ({"action": "edit"}, "an edit, and only an edit, has turns"),
        ({"turns": NEW}, "an edit, and only an edit, has turns"),
        ({"action": "edit", "turns": NEW, "original": NEW}, "must hold the turns that it replaces"),
        ({"action": "undo"}, "an undo, and only an undo, names a decision"),
        ({"undoes": "b2:x"}, "an undo, and only an undo, names a decision"),
        ({"action": "undo", "undoes": "b2:x"}, "b2:x: no such decision"),
        ({"action": "note", "note": "  "}, "a note is empty"),
        ({"note": "half a pair: \ud800"}, "not valid Unicode"),
    ],
)
def test_a_decision_that_makes_no_sense_is_refused(
    journal: Journal, fields: dict[str, Any], told: str
) -> None:
    arguments = {"reviewer": "anna", "row": ROW, "action": "keep"} | fields
    with pytest.raises(UsageError, match=told):
        journal.append(**arguments)
    assert journal.decisions() == []


def test_an_undo_is_of_ones_own_decision_about_that_row_and_once(journal: Journal) -> None:
    kept = journal.append("anna", ROW, "keep")
    refused: list[tuple[Callable[[], Decision], str]] = [
        (lambda: journal.append("bob", ROW, "undo", undoes=kept.id), "anna's decision; only anna"),
        (lambda: journal.append("anna", "b2:other", "undo", undoes=kept.id), "another row"),
    ]
    for call, told in refused:
        with pytest.raises(UsageError, match=told):
            call()
    undo = journal.append("anna", ROW, "undo", undoes=kept.id)
    with pytest.raises(UsageError, match="is undone already"):
        journal.append("anna", ROW, "undo", undoes=kept.id)
    journal.append("anna", ROW, "undo", undoes=undo.id)
    assert journal.append("anna", ROW, "undo", undoes=kept.id).number == 4


def test_two_people_may_write_at_once(journal: Journal) -> None:
    def write(name: str) -> None:
        for n in range(8):
            Journal(journal.project).append(name, f"b2:{n}", "keep")

    writers = [threading.Thread(target=write, args=(name,)) for name in ("anna", "bob")]
    for writer in writers:
        writer.start()
    for _ in range(10):
        # A reader never takes an entry that is just being written for a lost one.
        assert journal.verify().ok
    for writer in writers:
        writer.join()
    entries = journal.decisions()
    assert [d.number for d in entries] == list(range(1, 17))
    assert [d.row for d in entries if d.reviewer == "bob"] == [f"b2:{n}" for n in range(8)]


def test_an_id_depends_on_every_field_and_on_where_one_ends() -> None:
    decision = Decision(1, "", "t", "anna", "b2:r", "keep", note="ab", reason="c")
    moved = Decision(1, "", "t", "anna", "b2:r", "keep", note="a", reason="bc")
    later = Decision(2, "", "t", "anna", "b2:r", "keep", note="ab", reason="c")
    assert len({chained_id(d) for d in (decision, moved, later)}) == 3
    assert first_fault([]) is None
    assert first_fault([decision]) == 1
