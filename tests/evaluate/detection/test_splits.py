"""A writer stands on one side of every split, and every fold has its share of every class."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.evaluate.detection.splits import grouped_folds, held_part


@st.composite
def sets(draw: Any) -> tuple[list[str], Any, int, int]:
    rows = draw(st.integers(10, 60))
    groups = [f"g{draw(st.integers(0, rows // 2))}" for _ in range(rows)]
    labels = np.array(
        [[draw(st.integers(-1, 1)), draw(st.integers(0, 2))] for _ in range(rows)], np.int64
    )
    return groups, labels, draw(st.integers(2, 5)), draw(st.integers(0, 3))


@settings(max_examples=60, deadline=None)
@given(sets())
def test_no_writer_is_torn_apart(made: tuple[list[str], Any, int, int]) -> None:
    groups, labels, folds, seed = made
    fold = grouped_folds(groups, labels, folds, seed)
    assert fold.shape == (len(groups),)
    assert set(fold.tolist()) <= set(range(folds))
    for group in set(groups):
        assert len({int(f) for f, g in zip(fold, groups, strict=True) if g == group}) == 1
    assert np.array_equal(fold, grouped_folds(groups, labels, folds, seed))
    rows = np.flatnonzero(fold != 0)
    fit, stop = held_part(groups, labels, rows, seed)
    assert sorted([*fit, *stop]) == rows.tolist()
    assert not {groups[i] for i in fit} & {groups[i] for i in stop}


def test_a_rare_class_is_in_every_fold_and_folds_are_of_one_size() -> None:
    random = np.random.default_rng(0)
    labels = np.stack([(random.random(200) < 0.1), random.random(200) < 0.5], 1).astype(np.int64)
    for seed in range(5):
        fold = grouped_folds([str(i) for i in range(200)], labels, 5, seed)
        assert np.bincount(fold).tolist() == [40] * 5
        for k in (0, 1):
            counts = np.bincount(fold[labels[:, k] == 1], minlength=5)
            assert counts.max() - counts.min() <= 3, counts
    assert not np.array_equal(fold, grouped_folds([str(i) for i in range(200)], labels, 5, 0))
