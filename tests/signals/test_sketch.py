from __future__ import annotations

import numpy as np
import pytest

from molting.signals.shingles import Grams
from molting.signals.sketch import (
    PERMUTATIONS,
    Banding,
    agreement,
    banding,
    least_agreement,
    signatures,
)


def grams(sets: list[list[int]]) -> Grams:
    offsets = np.cumsum([0, *map(len, sets)])
    return Grams(np.array([v for s in sets for v in s], dtype=np.uint64), offsets)


@pytest.mark.parametrize("shared", [0, 6, 15, 24, 30])
def test_agreement_estimates_the_jaccard_similarity(shared: int) -> None:
    random = np.random.default_rng(shared)
    left, right = [], []
    for _ in range(400):
        pool = random.choice(1 << 50, 60 - shared, replace=False)
        left.append(sorted(pool[:30]))
        right.append(sorted(pool[30 - shared :]))
    true = shared / (60 - shared)
    expected = PERMUTATIONS * (true + (1 - true) / 256)
    found = agreement(signatures(grams(left)), signatures(grams(right)))
    assert abs(found.mean() - expected) < 2
    # As spread out as so many independent permutations would be.
    spread = (expected * (1 - expected / PERMUTATIONS)) ** 0.5
    assert found.std() < 1.2 * spread + 0.5


def test_agreement_counts_equal_bytes() -> None:
    random = np.random.default_rng(0)
    left, right = random.integers(0, 3, (2, 50, PERMUTATIONS), dtype=np.uint8)
    assert agreement(left, right).tolist() == (left == right).sum(axis=1).tolist()
    assert agreement(left, left).tolist() == [PERMUTATIONS] * 50


def test_a_signature_depends_on_its_own_ngrams_alone() -> None:
    random = np.random.default_rng(1)
    sets = [sorted(random.choice(1 << 50, n, replace=False)) for n in (1, 3, 200_000, 60, 5)]
    together = signatures(grams(sets))
    alone = np.concatenate([signatures(grams([one])) for one in sets])
    assert (together == alone).all()
    assert signatures(grams([])).shape == (0, PERMUTATIONS)


@pytest.mark.parametrize("members", [2_000, 100_000, 1_000_000])
def test_what_the_table_says_is_missed(members: int) -> None:
    bands = banding(members)
    assert bands.bytes * bands.bands == PERMUTATIONS
    assert bands.missed(0.7) < 1e-5
    assert bands.missed(0.5) < (0.05 if members > 100_000 else 2e-4)


def test_equal_keys_are_equal_bytes_of_the_band() -> None:
    random = np.random.default_rng(2)
    signed = random.integers(0, 2, (200, PERMUTATIONS), dtype=np.uint8)
    for size in (3, 4):
        keys = Banding(size).keys(signed, 5)
        part = signed[:, 5 * size : 6 * size]
        same = (part[:, None] == part[None, :]).all(axis=2)
        assert ((keys[:, None] == keys[None, :]) == same).all()


def test_the_least_agreement_loses_next_to_nothing() -> None:
    from scipy.stats import binom

    for floor in (0.3, 0.5, 0.7, 0.9):
        assert binom.cdf(least_agreement(floor) - 1, PERMUTATIONS, floor) < 1e-5
    assert least_agreement(0.05) == 0
