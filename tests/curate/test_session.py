from __future__ import annotations

from pathlib import Path

import pytest

from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.journal import Journal
from molting.core.project import CONFIG_FILE, open_project
from molting.curate.review import Item, Why
from molting.curate.session import Session


def item(n: int) -> Item:
    turns = (Turn("user", f"question {n}"), Turn("assistant", f"answer {n}"))
    row = Conversation(turns, Source("a.jsonl", n))
    return Item(row, Verdict(row.id, True, "selected"), "train", (Why("near_cut", "x"), Why("outlier", "y")))  # fmt: skip


ITEMS = [item(n) for n in range(1, 6)]
NEW = (Turn("user", "question 1"), Turn("assistant", "another answer"))


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / CONFIG_FILE).write_text('[persona]\nname = "Skerry"\n')
    return Journal(open_project(tmp_path))


def test_a_session_goes_through_the_queue_and_counts(journal: Journal) -> None:
    session = Session(journal, ITEMS, "anna")
    assert session.progress() == "1 of 5 · 0 kept · 0 rejected"
    kept = session.keep("fine")
    assert (kept.row, kept.note, kept.reason) == (
        ITEMS[0].conversation.id,
        "fine",
        "near_cut,outlier",
    )
    session.reject()
    session.note("hm")
    assert session.current is ITEMS[2]
    session.edit(NEW)
    session.skip()
    assert session.progress() == "5 of 5 · 1 kept · 1 edited · 1 rejected"
    session.keep()
    assert session.current is None
    with pytest.raises(IndexError):
        session.keep()
    assert [d.action for d in journal.decisions()] == ["keep", "reject", "note", "edit", "keep"]


def test_the_next_session_goes_on_with_what_is_undecided(journal: Journal) -> None:
    first = Session(journal, ITEMS, "anna")
    first.keep()
    first.skip()
    first.reject()
    again = Session(journal, ITEMS, "anna")
    assert again.current is ITEMS[1]
    assert again.progress() == "2 of 5 · 1 kept · 1 rejected"
    again.keep()
    assert again.current is ITEMS[3]
    assert Session(journal, ITEMS, "anna", again=True).current is ITEMS[0]


def test_reviewers_do_not_see_each_other(journal: Journal) -> None:
    Session(journal, ITEMS, "anna").reject()
    bob = Session(journal, ITEMS, "bob")
    assert bob.current is ITEMS[0]
    assert bob.progress() == "1 of 5 · 0 kept · 0 rejected"
    assert bob.undo() is None


def test_undo_goes_back_row_by_row_and_past_the_beginning_of_the_session(journal: Journal) -> None:
    Session(journal, ITEMS, "anna").reject()
    session = Session(journal, ITEMS, "anna")
    session.keep()
    session.note("hm")
    session.edit(NEW)
    undone = []
    while found := session.undo():
        undone.append((found[1].action, session.current))
    assert undone == [
        ("edit", ITEMS[2]), ("note", ITEMS[2]), ("keep", ITEMS[1]), ("reject", ITEMS[0]),
    ]  # fmt: skip
    assert session.progress() == "1 of 5 · 0 kept · 0 rejected"
    session.keep()
    assert session.current is ITEMS[1], "in the order of the queue, nothing twice"


def test_an_edit_is_shown_and_edited_further_and_the_original_stays(journal: Journal) -> None:
    session = Session(journal, ITEMS, "anna")
    session.edit(NEW)
    again = Session(journal, ITEMS, "anna", again=True)
    assert again.words(ITEMS[0]).turns == NEW
    further = again.edit((NEW[0], Turn("assistant", "a third")))
    assert (further.row, further.original) == (
        ITEMS[0].conversation.id,
        ITEMS[0].conversation.turns,
    )
    again.undo()
    assert again.words(ITEMS[0]).turns == NEW
    again.undo()
    assert again.words(ITEMS[0]) == ITEMS[0].conversation
