"""The true Jaccard similarity of candidate pairs, many at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from molting.signals.shingles import GRAM_BITS, Grams, Places, gathered

Similarities = npt.NDArray[np.float64]

_CHUNK = 1 << 19
_PAIRS = 1 << (64 - GRAM_BITS)


def verify(left: Grams, right: Grams, pairs: tuple[Places, Places]) -> Similarities:
    """Similarity of member `pairs[0][i]` of `left` and `pairs[1][i]` of `right`, shape (pairs,)."""
    one, other = pairs
    sizes = np.diff(left.offsets)[one] + np.diff(right.offsets)[other]
    ends = np.cumsum(sizes)
    found = np.empty(len(one), dtype=np.float64)
    start = 0
    while start < len(one):
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + _CHUNK, side="right"))
        stop = min(max(stop, start + 1), start + _PAIRS)
        found[start:stop] = _shares(left, right, one[start:stop], other[start:stop])
        start = stop
    return found


def _shares(left: Grams, right: Grams, one: Places, other: Places) -> Similarities:
    mine, of_mine = gathered(left, one)
    yours, of_yours = gathered(right, other)
    number = np.arange(len(one), dtype=np.uint64) << np.uint64(GRAM_BITS)
    keys = np.concatenate([mine | np.repeat(number, of_mine), yours | np.repeat(number, of_yours)])
    # Two runs that are sorted already (by pair, then by n-gram): a merge, ten times as fast as
    # the default sort.
    keys.sort(kind="stable")
    # An n-gram that both have stands twice, one behind the other.
    twice = keys[1:][keys[1:] == keys[:-1]] >> np.uint64(GRAM_BITS)
    both = np.bincount(twice.astype(np.int64), minlength=len(one))
    return np.asarray(both / (of_mine + of_yours - both))
