"""A row is scored once; what is remembered is what was computed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from molting.memory import losses as room
from molting.memory.losses import remembered_losses
from molting.memory.store import Memory
from molting.models.base import LoadedModel, load_model
from molting.models.likelihood import RowLoss, row_losses
from molting.models.render import Rendered
from molting.models.sources import find_model


@functools.cache
def base() -> LoadedModel:
    return load_model(find_model("fake"), "float32")


def row(text: str, scored_from: int = 2) -> Rendered:
    ids = tuple(text.encode())
    return Rendered(ids, tuple(i >= scored_from for i in range(len(ids))), False)


ROWS = [row("hello there"), row("a sea of shells"), row("hello there"), row("hello there", 5)]


class Counted:
    """`row_losses`, counting the rows that are really scored."""

    def __init__(self) -> None:
        self.scored = 0

    def __call__(self, model: Any, rows: Sequence[Rendered], *rest: Any) -> list[RowLoss]:
        self.scored += len(rows)
        return row_losses(model, rows, *rest)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counter = Counted()
    monkeypatch.setattr(room, "row_losses", counter)
    return counter


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path) as found:
        yield found


def test_equal_rows_are_scored_once_and_a_second_call_scores_none(
    memory: Memory, counted: Counted
) -> None:
    first = remembered_losses(memory, base(), ROWS)
    assert counted.scored == 3, "two of four rows are equal"
    assert remembered_losses(memory, base(), ROWS) == first
    assert counted.scored == 3
    assert first[0] == first[2] != first[3]
    remembered_losses(memory, base(), [*ROWS, row("one more")])
    assert counted.scored == 4


def test_what_is_remembered_is_what_the_model_says(memory: Memory) -> None:
    expected = row_losses(base().model, ROWS, 260)
    for _ in range(2):
        for found, right in zip(remembered_losses(memory, base(), ROWS), expected, strict=True):
            assert found.tokens == right.tokens
            assert found.nats == pytest.approx(right.nats, rel=1e-5)


def test_other_weights_and_another_dtype_are_another_key(memory: Memory, counted: Counted) -> None:
    remembered_losses(memory, base(), ROWS[:1])
    other = replace(base(), source=msgspec.structs.replace(base().source, weights="b2:other"))
    remembered_losses(memory, other, ROWS[:1])
    remembered_losses(memory, replace(base(), dtype="bfloat16"), ROWS[:1])
    assert counted.scored == 3


def test_without_a_memory_equal_rows_are_still_scored_once(counted: Counted) -> None:
    found = remembered_losses(None, base(), ROWS)
    assert counted.scored == 3
    assert found[0] == found[2]


def test_no_rows_need_no_model(memory: Memory, counted: Counted) -> None:
    assert remembered_losses(memory, base(), []) == []
    assert counted.scored == 0


def test_progress_reaches_its_end(memory: Memory) -> None:
    seen: list[tuple[int, int]] = []
    remembered_losses(memory, base(), ROWS, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)
