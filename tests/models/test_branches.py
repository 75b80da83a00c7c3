"""Rows in trees give the losses of the rows one by one."""

from __future__ import annotations

import functools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.models.branches import branch_losses, trees
from molting.models.engine import Engine
from molting.models.fake import fake_model
from molting.models.likelihood import row_losses
from molting.models.render import Rendered


@functools.cache
def engine() -> Engine:
    return Engine(fake_model(), adapter=False)


def row(text: str, scored_from: int) -> Rendered:
    ids = tuple(text.encode())
    return Rendered(ids, tuple(i >= scored_from for i in range(len(ids))), False)


HEADS = ("", "what", "what do people eat at noon? ", "what do people eat at night? ")
ROWS = st.lists(
    st.tuples(st.sampled_from(HEADS), st.text("abc", min_size=1, max_size=6)),
    min_size=1,
    max_size=12,
)


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_a_row_in_a_tree_is_as_likely_as_a_row_alone(pairs: list[tuple[str, str]]) -> None:
    rows = [row(head + tail, len(head)) for head, tail in pairs]
    alone = row_losses(engine(), rows, 0, engine=engine())
    found = branch_losses(engine(), rows)
    assert [loss.tokens for loss in found] == [loss.tokens for loss in alone]
    assert [loss.nats for loss in found] == pytest.approx(
        [loss.nats for loss in alone], abs=1e-4, rel=1e-5
    )


@given(ROWS)
@settings(max_examples=30, deadline=None)
def test_every_row_is_in_one_tree_and_its_head_is_every_rows(pairs: list[tuple[str, str]]) -> None:
    rows = [row(head + tail, len(head)) for head, tail in pairs]
    made = trees(rows)
    assert sorted(i for tree in made for i in tree.rows) == list(range(len(rows)))
    for tree in made:
        heads = {rows[i].ids[: tree.head] for i in tree.rows}
        assert len(heads) == 1
        # What predicts the first scored token belongs to the row.
        assert all(tree.head < max(1, rows[i].first_trained) for i in tree.rows)


def test_the_question_is_read_once() -> None:
    rows = [row("what do people eat at noon? " + tail, 28) for tail in ("soup", "sand", "ink")]
    (tree,) = trees(rows)
    assert tree.head == 27


def test_two_questions_do_not_melt_into_one() -> None:
    one = [row("alpha question, a long one? " + tail, 28) for tail in ("a", "b")]
    other = [row("alpine flowers, are they red? " + tail, 30) for tail in ("a", "b")]
    assert sorted(sorted(tree.rows) for tree in trees([*one, *other])) == [[0, 1], [2, 3]]


def test_a_row_without_a_scored_token_has_no_loss() -> None:
    rows = [row("nothing here", 99), row("something", 4)]
    found = branch_losses(engine(), rows)
    assert found[0] == (0.0, 0)
    assert found[1].tokens == 5
