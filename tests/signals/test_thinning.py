from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.duplicates import Pair, groups
from molting.signals.thinning import MOST, thin


def parts(left: np.ndarray, right: np.ndarray, count: int) -> list[int]:
    return groups(
        count, [Pair(a, b, 1.0) for a, b in zip(left.tolist(), right.tolist(), strict=True)]
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(MOST + 2, 110), st.floats(0.5, 1.0))
def test_the_groups_at_every_threshold_stay_the_same(seed: int, count: int, share: float) -> None:
    random = np.random.default_rng(seed)
    left, right = np.triu_indices(count, 1)
    kept = random.random(len(left)) < share
    left, right = left[kept], right[kept]
    # Rounded, so that there are ties.
    similarity = np.round(random.random(len(left)), 2)
    stays, lost = thin(left, right, similarity, count)
    for threshold in (0.0, 0.3, 0.5, 0.8, 0.95):
        high = similarity >= threshold
        before = parts(left[high], right[high], count)
        assert parts(left[high & stays], right[high & stays], count) == before
    gone = ~stays
    assert set(np.flatnonzero(lost)) == {*left[gone], *right[gone]}


def test_a_text_with_few_pairs_keeps_them_all() -> None:
    left, right = np.triu_indices(MOST + 1, 1)
    stays, lost = thin(left, right, np.full(len(left), 0.7), MOST + 1)
    assert stays.all()
    assert not lost.any()


def test_the_nearest_stay_and_the_number_is_bounded() -> None:
    count = 400
    random = np.random.default_rng(0)
    left, right = np.triu_indices(count, 1)
    similarity = random.random(len(left))
    stays, lost = thin(left, right, similarity, count)
    assert lost.all()
    assert stays.sum() <= count * 17
    for text in range(count):
        mine = np.flatnonzero((left == text) | (right == text))
        nearest = mine[np.argsort(-similarity[mine])][:16]
        assert stays[nearest].all()


def test_no_pairs() -> None:
    none = np.zeros(0, dtype=np.int64)
    stays, lost = thin(none, none, np.zeros(0), 3)
    assert len(stays) == 0
    assert not lost.any()
