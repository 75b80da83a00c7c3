from __future__ import annotations

import itertools

import numpy as np
import pytest

from molting.signals.buckets import (
    CROWDED,
    Index,
    distinct,
    propose,
    propose_crowded,
    propose_every,
)
from molting.signals.duplicates import Pair, groups
from molting.signals.sketch import PERMUTATIONS, Banding

BANDS = Banding(4)


def index(signed: np.ndarray, **parts: np.ndarray) -> Index:
    count = len(signed)
    return Index(
        signed,
        parts.get("sizes", np.full(count, 20)),
        parts.get("kinds", np.zeros(count, np.uint8)),
        parts.get("side"),
    )


def unpacked(keys: np.ndarray) -> set[tuple[int, int]]:
    return {(int(key) >> 32, int(key) & 0xFFFFFFFF) for key in keys}


def alike(count: int, changed: int, seed: int = 0) -> np.ndarray:
    """Signatures of one template, each with some bytes of its own."""
    random = np.random.default_rng(seed)
    signed = np.repeat(random.integers(0, 256, (1, PERMUTATIONS), dtype=np.uint8), count, axis=0)
    for row in signed:
        places = random.choice(PERMUTATIONS, changed, replace=False)
        row[places] = random.integers(0, 256, changed, dtype=np.uint8)
    return signed


def test_members_of_a_bucket_are_proposed_and_no_others() -> None:
    signed = np.random.default_rng(0).integers(0, 256, (50, PERMUTATIONS), dtype=np.uint8)
    signed[7, :96] = signed[3, :96]
    signed[9, 96:] = signed[3, 96:]
    assert unpacked(propose(index(signed), BANDS, 0, 0.4).pairs) == {(3, 7)}
    assert unpacked(propose(index(signed), BANDS, 47, 0.4).pairs) == {(3, 9)}
    assert unpacked(propose_every(index(signed), 0.4)) == {(3, 7), (3, 9)}


def test_what_sizes_kinds_or_sides_rule_out_is_not_proposed() -> None:
    signed = alike(4, 0)
    every = set(itertools.combinations(range(4), 2))
    assert unpacked(propose(index(signed), BANDS, 1, 0.5).pairs) == every
    sizes = np.array([20, 41, 40, 10])
    found = unpacked(propose(index(signed, sizes=sizes), BANDS, 1, 0.5).pairs)
    assert found == {(0, 2), (0, 3), (1, 2)}
    kinds = np.array([0, 1, 2, 2], dtype=np.uint8)
    found = unpacked(propose(index(signed, kinds=kinds), BANDS, 1, 0.5).pairs)
    assert found == {(1, 2), (1, 3)}
    side = np.array([1, 1, 2, 3], dtype=np.uint8)
    found = unpacked(propose(index(signed, side=side), BANDS, 1, 0.5).pairs)
    assert found == {(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}


def test_a_crowded_bucket_gives_each_member_a_pair_and_says_so() -> None:
    count = CROWDED + 50
    signed = alike(count, 0)
    found = propose(index(signed), BANDS, 3, 0.5)
    assert found.crowded.tolist() == list(range(count))
    assert unpacked(found.pairs) == {(0, i) for i in range(1, count)}


@pytest.mark.parametrize("threshold", [0.55, 0.65, 0.75, 0.85])
def test_neighbours_in_sorted_orders_keep_the_groups(threshold: float) -> None:
    # Three templates, each in versions of growing distance.
    signed = np.concatenate([alike(150, 10 * k, k) for k in (1, 3, 4)])
    count = len(signed)
    members = index(signed)
    found = distinct(propose_crowded(members, np.arange(count), order, 0.5) for order in range(8))
    agree = (signed[:, None] == signed[None, :]).mean(axis=2)

    def parts(pairs: set[tuple[int, int]]) -> list[int]:
        return groups(count, [Pair(a, b, 1.0) for a, b in pairs if agree[a, b] >= threshold])

    pairs = unpacked(found)
    assert len(pairs) < count * 60
    assert parts(pairs) == parts(set(itertools.combinations(range(count), 2)))


def test_across_crowded_sets_every_member_meets_the_other_side() -> None:
    count = 4 * CROWDED
    signed = alike(count, 0)
    side = np.where(np.arange(count) % 2, 1, 2).astype(np.uint8)
    found = unpacked(propose(index(signed, side=side), BANDS, 3, 0.5).pairs)
    assert {i for pair in found for i in pair} == set(range(count))
    assert all(side[a] != side[b] for a, b in found)
    assert len(found) < 3 * count
    # A few evaluation rows among many: each of their pairs is looked at.
    side = np.where(np.arange(count) < 3, 2, 1).astype(np.uint8)
    found = unpacked(propose(index(signed, side=side), BANDS, 3, 0.5).pairs)
    assert found == {(a, b) for a in range(3) for b in range(3, count)}


def test_distinct_sorts_and_drops_repeats() -> None:
    keys = [np.array([5, 9], dtype=np.uint64), np.array([0, 5], dtype=np.uint64)]
    assert distinct(keys).tolist() == [0, 5, 9]
    assert distinct([]).tolist() == []
    assert distinct([np.array([2**64 - 1, 0], dtype=np.uint64)]).tolist() == [0, 2**64 - 1]
