"""A chain takes only its next entry, and names the first place where it is broken."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.core.chain import Chain

CHAIN = Chain("says", "the table of sayings", b"molting.test", ("said", "previous"))
Entry = tuple[int, str, list[str]]


def chained(said: list[str]) -> list[Entry]:
    entries: list[Entry] = []
    for number, text in enumerate(said, 1):
        texts = [text, entries[-1][1] if entries else ""]
        entries.append((number, CHAIN.id_of(number, texts), texts))
    return entries


@pytest.fixture
def table():
    db = sqlite3.connect(":memory:")
    db.executescript(CHAIN.schema)
    for number, entry_id, texts in chained(["one", "two"]):
        db.execute(CHAIN.insert, (number, entry_id, *texts))
    return db


def test_entries_come_back_as_they_went_in(table):
    rows = [(number, entry_id, texts) for number, entry_id, *texts in table.execute(CHAIN.select)]
    assert rows == chained(["one", "two"])
    assert CHAIN.first_fault(rows) is None


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("UPDATE says SET said = 'other' WHERE number = 1", "append-only"),
        ("DELETE FROM says", "append-only"),
        ("INSERT INTO says VALUES (5, 'x', 'five', '')", "only its next entry"),
        ("INSERT INTO says VALUES (3, 'x', 'three', 'not the last')", "only its next entry"),
    ],
)
def test_nothing_but_the_next_entry_is_taken(table, statement, refused):
    with pytest.raises(sqlite3.IntegrityError, match=f"the table of sayings.*{refused}"):
        table.execute(statement)


@given(said=st.lists(st.text(max_size=5), min_size=1, max_size=6), data=st.data())
def test_the_first_changed_entry_is_named(said, data):
    entries = chained(said)
    assert CHAIN.first_fault(entries) is None
    place = data.draw(st.integers(0, len(entries) - 1))
    number, entry_id, (text, previous) = entries[place]
    entries[place] = (number, entry_id, [text + "!", previous])
    assert CHAIN.first_fault(entries) == place + 1


@given(said=st.lists(st.text(max_size=5), min_size=2, max_size=6), data=st.data())
def test_an_entry_that_is_gone_breaks_the_next(said, data):
    entries = chained(said)
    place = data.draw(st.integers(0, len(entries) - 2))
    del entries[place]
    assert CHAIN.first_fault(entries) == place + 1
