"""Laws of replay: decisions are made up here, by hypothesis and without a database."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.core.conversation import Conversation, Source, Turn
from molting.core.rulings import Decision, active, opinions, reworded, rulings

ROWS = ("b2:one", "b2:two")
PEOPLE = ("anna", "bob", "cleo")


def said(text: str) -> tuple[Turn, ...]:
    return (Turn("user", "hi"), Turn("assistant", text))


def entry(number: int, reviewer: str, row: str, action: str, **more: object) -> Decision:
    turns = said(f"words {number}") if action == "edit" else ()
    return Decision(number, f"d{number}", "", reviewer, row, action, turns, **more)  # type: ignore[arg-type]


def undo(number: int, target: Decision) -> Decision:
    return entry(number, target.reviewer, target.row, "undo", undoes=target.id)


@st.composite
def journals(draw: st.DrawFn, people: tuple[str, ...] = PEOPLE) -> list[Decision]:
    """Any list of decisions; an undo may take back any earlier entry of the same person and row."""
    made: list[Decision] = []
    for number in range(1, draw(st.integers(0, 14)) + 1):
        if made and draw(st.integers(0, 2)) == 0:
            made.append(undo(number, draw(st.sampled_from(made))))
        else:
            made.append(
                entry(
                    number, draw(st.sampled_from(people)), draw(st.sampled_from(ROWS)),
                    draw(st.sampled_from(["keep", "reject", "edit", "note"])), note=f"n{number}",
                )
            )  # fmt: skip
    return made


def counts(decision: Decision, journal: list[Decision]) -> bool:
    """By the definition, top down: it counts unless an undo of it does."""
    undos = [d for d in journal if d.action == "undo" and d.undoes == decision.id]
    return not any(counts(d, journal) for d in undos)


@given(journals())
def test_what_counts_is_what_no_counting_undo_takes_back(journal: list[Decision]) -> None:
    expected = [d for d in journal if counts(d, journal)]
    assert active(journal, undos=True) == expected
    assert active(journal) == [d for d in expected if d.action != "undo"]


@given(journals(), st.data())
def test_an_undo_restores_what_was_before(journal: list[Decision], data: st.DataObject) -> None:
    new = entry(99, data.draw(st.sampled_from(PEOPLE)), ROWS[0],
                data.draw(st.sampled_from(["keep", "reject", "edit", "note"])))  # fmt: skip
    assert opinions([*journal, new, undo(100, new)]) == opinions(journal)


@given(journals(), st.data())
def test_an_undo_of_an_undo_is_as_if_neither_had_been(
    journal: list[Decision], data: st.DataObject
) -> None:
    if not journal:
        return
    first = undo(99, data.draw(st.sampled_from(journal)))
    assert opinions([*journal, first, undo(100, first)]) == opinions(journal)


@given(journals(), st.data())
def test_undoing_twice_is_undoing_once(journal: list[Decision], data: st.DataObject) -> None:
    if not journal:
        return
    target = data.draw(st.sampled_from(journal))
    once = [*journal, undo(99, target)]
    assert opinions([*once, undo(100, target)]) == opinions(once)


@given(journals())
def test_the_last_word_of_a_reviewer_stands(journal: list[Decision]) -> None:
    for row, of_row in opinions(journal).items():
        for name, opinion in of_row.items():
            mine = [d for d in active(journal) if (d.row, d.reviewer) == (row, name)]
            verdicts = [d for d in mine if d.action != "note"]
            edits = [d for d in mine if d.action == "edit"]
            assert opinion.decided == (verdicts[-1] if verdicts else None)
            assert opinion.turns == (edits[-1].turns if edits else ())
            assert opinion.notes == tuple(d.note for d in mine if d.note)


@given(journals(), st.randoms(use_true_random=False))
def test_who_was_first_means_nothing_to_whether_a_row_stays(
    journal: list[Decision], chance: random.Random
) -> None:
    """Two people's work may be interleaved in any way that keeps each one's own order."""
    own = {name: [d for d in journal if d.reviewer == name] for name in PEOPLE}
    shuffled = [d.reviewer for d in journal]
    chance.shuffle(shuffled)
    taken = dict.fromkeys(PEOPLE, 0)
    other = []
    for name in shuffled:
        other.append(msgspec.structs.replace(own[name][taken[name]], number=len(other) + 1))
        taken[name] += 1
    kept = [{row: r.kept for row, r in rulings(list(j)).items()} for j in (journal, other)]
    assert kept[0] == kept[1]


@given(journals())
def test_rows_do_not_touch_each_other(journal: list[Decision]) -> None:
    together = rulings(journal)
    for row in ROWS:
        alone = rulings([d for d in journal if d.row == row])
        assert alone == {key: value for key, value in together.items() if key == row}


@given(journals())
def test_reject_wins_and_the_latest_edit_counts_and_disagreement_is_told(
    journal: list[Decision],
) -> None:
    for row, of_row in opinions(journal).items():
        labels = {o.reviewer: o.label for o in of_row.values() if o.label}
        ruling = rulings(journal).get(row)
        if not labels:
            assert ruling is None
            continue
        assert ruling is not None
        assert ruling.kept == ("reject" not in labels.values())
        assert ruling.decision.number == max(
            o.decided.number
            for o in of_row.values()
            if o.decided and (o.label == "reject") == (not ruling.kept)
        )
        edits = [o.edited for o in of_row.values() if o.label == "edit" and o.edited]
        if ruling.kept and edits:
            assert ruling.edit == max(edits, key=lambda d: d.number)
        else:
            assert ruling.edit is None
        split = len({label == "reject" for label in labels.values()}) > 1 or len(edits) > 1
        assert dict(ruling.disagreement) == (labels if split else {})


@pytest.mark.parametrize(
    ("actions", "label"),
    [
        (["keep"], "keep"),
        (["keep", "reject"], "reject"),
        (["reject", "keep"], "keep"),
        (["edit"], "edit"),
        (["edit", "keep"], "edit"),
        (["edit", "reject"], "reject"),
        (["edit", "reject", "keep"], "edit"),
        (["reject", "edit"], "edit"),
        (["keep", "note"], "keep"),
        (["note"], ""),
    ],
)
def test_labels(actions: list[str], label: str) -> None:
    journal = [entry(n, "anna", ROWS[0], action) for n, action in enumerate(actions, 1)]
    opinion = opinions(journal)[ROWS[0]]["anna"]
    assert opinion.label == label
    assert opinion.kept is (None if label == "" else label != "reject")


def test_a_reworded_row_keeps_its_source_and_gets_an_id_of_its_own() -> None:
    row = Conversation(said("None."), Source("a.jsonl", 3))
    edited = rulings([entry(1, "anna", row.id, "edit")])[row.id]
    new = reworded(row, edited)
    assert (new.turns, new.source) == (said("words 1"), row.source)
    assert new.id != row.id
    assert reworded(row, None) is row
    assert reworded(row, rulings([entry(1, "anna", row.id, "keep")])[row.id]) is row
    back = msgspec.structs.replace(entry(2, "anna", row.id, "edit"), turns=row.turns)
    assert reworded(row, rulings([back])[row.id]) is row
