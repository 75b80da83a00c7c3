"""What was scored is scored once, and an adapter's scores are never the base's."""

from __future__ import annotations

from pathlib import Path

import pytest

from molting.memory.scored import remembered_scores
from molting.memory.store import Memory
from molting.models.likelihood import RowLoss
from molting.models.render import Rendered


def row(text: str, scored_from: int = 1) -> Rendered:
    ids = tuple(text.encode())
    return Rendered(ids, tuple(i >= scored_from for i in range(len(ids))), False)


class Scorer:
    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, rows: list[Rendered]) -> list[RowLoss]:
        self.asked += [len(row.ids) for row in rows]
        return [RowLoss(0.1 * sum(row.ids), row.trained_tokens) for row in rows]


def test_rows_come_back_in_order_and_are_scored_once(tmp_path: Path) -> None:
    rows = [row("a longer row"), row("short"), row("a longer row"), row("short", 3)]
    scorer = Scorer()
    with Memory(tmp_path) as memory:
        first = remembered_scores(memory, ("w", "", "float32"), rows, scorer)
        again = remembered_scores(memory, ("w", "", "float32"), rows, scorer)
    assert first == again
    assert [loss.nats for loss in first] == pytest.approx([0.1 * sum(r.ids) for r in rows])
    assert [loss.tokens for loss in first] == [r.trained_tokens for r in rows]
    assert sorted(scorer.asked) == [5, 5, 12]


def test_the_last_digits_do_not_depend_on_what_was_batched_together(tmp_path: Path) -> None:
    def noisy(rows: list[Rendered]) -> list[RowLoss]:
        return [RowLoss(12.34567 + 1e-6 * len(rows), 3) for _ in rows]

    found = []
    for together in ([row("one"), row("other")], [row("one")]):
        with Memory(tmp_path / str(len(together))) as memory:
            found.append(remembered_scores(memory, ("w",), together, noisy)[0])
    assert found[0] == found[1]


def test_weights_adapter_and_dtype_each_have_scores_of_their_own(tmp_path: Path) -> None:
    scorer = Scorer()
    kinds = [("w", "", "float32"), ("w", "adapter", "float32"), ("w", "", "bfloat16")]
    with Memory(tmp_path) as memory:
        for kind in kinds:
            remembered_scores(memory, kind, [row("hello")], scorer)
    assert len(scorer.asked) == 3
