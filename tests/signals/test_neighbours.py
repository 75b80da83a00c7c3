"""The search finds what comparing every pair finds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.models.vectors import unit
from molting.signals import neighbours
from molting.signals.engines import LocalEngine
from molting.signals.neighbours import close_pairs


def clustered(count: int, width: int = 16, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(count // 4, width))
    noise = random.normal(size=(count, width)) * 0.3
    return unit(centres[random.integers(len(centres), size=count)] + noise)


def brute(rows: Any, floor: float) -> set[tuple[int, int]]:
    cosine = rows @ rows.T
    i, j = np.nonzero(np.triu(cosine >= floor, 1))
    return set(zip(i.tolist(), j.tolist(), strict=True))


@given(st.integers(2, 120), st.floats(0.3, 0.95), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_law_small_sets_are_searched_exactly(count: int, floor: float, seed: int) -> None:
    rows = unit(np.random.default_rng(seed).normal(size=(count, 6)))
    left, right, cosine = close_pairs(rows, floor, count)
    found = list(zip(left.tolist(), right.tolist(), strict=True))
    assert found == sorted(set(found))
    assert set(found) ^ brute(rows, floor) <= {
        (i, j) for i, j in set(found) | brute(rows, floor) if abs(rows[i] @ rows[j] - floor) < 1e-5
    }
    assert np.allclose(cosine, [rows[i] @ rows[j] for i, j in found], atol=1e-5)


def test_cells_find_nearly_all_pairs_and_no_wrong_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clustered(3000)
    wanted = brute(rows, 0.85)
    assert len(wanted) > 500
    monkeypatch.setattr(neighbours, "_EXACT_ROWS", 100)
    left, right, _ = close_pairs(rows, 0.85, 3000)
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    assert not found - brute(rows, 0.85 - 1e-5)
    assert len(found & wanted) >= 0.97 * len(wanted)


def test_each_row_proposes_its_closest_only() -> None:
    rows = unit(np.ones((50, 4)) + np.random.default_rng(0).normal(size=(50, 4)) * 0.05)
    left, right, cosine = close_pairs(rows, 0.5, 2)
    assert len(left) <= 100
    every = rows @ rows.T
    np.fill_diagonal(every, -1)
    assert {
        (min(i, int(every[i].argmax())), max(i, int(every[i].argmax()))) for i in range(50)
    } <= {*zip(left.tolist(), right.tolist(), strict=True)}
    assert cosine.min() >= 0.5


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare_is_no_pair(count: int) -> None:
    assert [len(part) for part in close_pairs(np.ones((count, 4)) / 2, 0.1, 3)] == [0, 0, 0]


def test_across_two_sets_each_row_has_its_closest_of_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = clustered(400)
    side = np.ones(400, np.uint8)
    side[300:] = 2
    side[:3] = 3
    allowed = (side[:, None] | side[None, :]) == 3
    for exact in (10_000, 50):
        monkeypatch.setattr(neighbours, "_EXACT_ROWS", exact)
        left, right, _ = close_pairs(rows, 0.6, 400, side=side)
        found = set(zip(left.tolist(), right.tolist(), strict=True))
        wanted = {(i, j) for i, j in brute(rows, 0.6) if allowed[i, j]}
        assert not found - {(i, j) for i, j in brute(rows, 0.6 - 1e-5) if allowed[i, j]}
        assert len(found & wanted) >= 0.97 * len(wanted)
        assert len(wanted) > 100
    # Those of its own set do not crowd out the other's.
    monkeypatch.setattr(neighbours, "_EXACT_ROWS", 10_000)
    left, right, _ = close_pairs(rows, -1.0, 1, side=side)
    every = np.where(allowed, rows @ rows.T, -2.0)
    np.fill_diagonal(every, -2.0)
    found = set(zip(left.tolist(), right.tolist(), strict=True))
    nearest = every.argmax(1).tolist()
    assert {(min(i, j), max(i, j)) for i, j in enumerate(nearest)} <= found


def test_the_workers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clustered(3000)
    monkeypatch.setattr(neighbours, "_EXACT_ROWS", 100)
    one, three = (close_pairs(rows, 0.7, 4, engine=LocalEngine(n)) for n in (1, 3))
    assert all((a == b).all() for a, b in zip(one, three, strict=True))


def test_more_ties_than_there_is_room_for_are_cut_in_order() -> None:
    rows = np.zeros((30, 4), np.float32)
    rows[:, 0] = 1.0
    left, right, _ = close_pairs(rows, 0.5, 3)
    assert list(zip(left.tolist(), right.tolist(), strict=True)) == sorted(
        {(min(i, j), max(i, j)) for i in range(30) for j in [k for k in range(5) if k != i][:3]}
    )


def test_rows_ranked_a_few_at_a_time_give_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clustered(400, width=8, seed=3)
    whole = close_pairs(rows, 0.3, 4)
    assert len(whole[0]) > 400
    monkeypatch.setattr(neighbours, "_RANKED_ROWS", 7)
    for a, b in zip(whole, close_pairs(rows, 0.3, 4), strict=True):
        np.testing.assert_array_equal(a, b)
