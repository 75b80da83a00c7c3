"""Which pairs are worth verifying: members that share a band, less those that cannot be alike.

A bucket holds the members that agree in a band. In most, every pair is looked at. A crowded one (a
template with a number in it, thousands of ways to write "ok") would cost its square, and nobody
reads a million pairs. There each member is compared with the bucket's first, and once for all bands
with the members that stand near it in eight sorted orders of the signatures: what is proposed is a
spanning forest of the greatest likeness and the nearest neighbours. A maximal spanning forest has
the same connected parts as all the pairs, at every threshold, so the groups are the same; what is
lost is only the listing of every pair, and `Proposal.crowded` says where.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from molting.signals.shingles import COMPARABLE, Places
from molting.signals.sketch import PERMUTATIONS, Banding, Signatures, agreement, least_agreement

CROWDED = 128
"""Members of a bucket up to which every pair is looked at."""
ORDERS = 8
"""Sorted orders in which the members of crowded buckets are compared with their neighbours."""
_BLOCK = 256
_OVERLAP = 64
_NEAREST = 4
_SORTED_BYTES = 16
_AT_ONCE = 1 << 16

Keys = npt.NDArray[np.uint64]
"""Pairs as `left << 32 | right`, left < right."""


class Index(msgspec.Struct, frozen=True):
    """What is known of every member, in one order for all bands; arrays of shape (members, …)."""

    signed: Signatures
    sizes: Places
    """How many n-grams."""
    kinds: npt.NDArray[np.uint8]
    side: npt.NDArray[np.uint8] | None = None
    """1 for texts of the left set, 2 of the right, 3 of both: pairs go across. None: within."""


class Proposal(msgspec.Struct, frozen=True):
    """Pairs of members to verify, and the members of crowded buckets (sorted both)."""

    pairs: Keys
    crowded: Places


def propose(index: Index, bands: Banding, band: int, floor: float) -> Proposal:
    """The pairs of one band that may reach `floor`, sorted."""
    least = least_agreement(floor)
    keyed = bands.keys(index.signed, band) << np.uint64(32)
    keyed |= np.arange(len(keyed), dtype=np.uint64)
    keyed.sort()
    key = keyed >> np.uint64(32)
    places = (keyed & np.uint64(0xFFFFFFFF)).astype(np.int64)
    begins = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    sizes = np.diff(np.append(begins, len(key)))
    found: list[Keys] = []
    for size in np.unique(sizes[(sizes > 1) & (sizes <= CROWDED)]):
        chosen = begins[sizes == size]
        one, other = np.triu_indices(size, 1)
        step = max(1, _AT_ONCE // len(one))
        for start in range(0, len(chosen), step):
            buckets = places[chosen[start : start + step, None] + np.arange(size)]
            left, right = buckets[:, one].ravel(), buckets[:, other].ravel()
            found.append(_likely(index, left, right, floor, least))
    large = sizes > CROWDED
    crowds = [
        places[begin : begin + size]
        for begin, size in zip(begins[large], sizes[large], strict=True)
    ]
    found += [_with_first(index, crowd, floor, least) for crowd in crowds]
    return Proposal(distinct(found), np.unique(np.concatenate([np.zeros(0, np.int64), *crowds])))


def propose_every(index: Index, floor: float) -> Keys:
    """Every pair of few members: nothing is missed, and nothing is crowded."""
    one, other = np.triu_indices(len(index.kinds), 1)
    return _likely(index, one, other, floor, least_agreement(floor))


def propose_crowded(index: Index, crowded: Places, order: int, floor: float) -> Keys:
    """Pairs of neighbours among the crowded members in one of `ORDERS` sorted orders."""
    least = least_agreement(floor)
    turned = np.roll(index.signed[crowded], -(order * PERMUTATIONS // ORDERS), axis=1)
    # The last key of a lexsort is the first to be looked at.
    crowded = crowded[np.lexsort(turned[:, _SORTED_BYTES::-1].T)]
    found = []
    for start in range(0, max(1, len(crowded) - _OVERLAP), _BLOCK - _OVERLAP):
        block = np.sort(crowded[start : start + _BLOCK])
        alike = _matrix(index, block, least)
        one, other = np.nonzero(np.triu(alike, 1))
        if len(one) > 2 * _NEAREST * len(block):
            one, other = _forest(alike)
        found.append(_ordered(index, block[one], block[other], floor, least))
    return distinct(found)


def distinct(found: Iterable[Keys]) -> Keys:
    """All keys, sorted, each once. (`np.unique` hashes first, which is slower here.)"""
    keys = np.concatenate([np.zeros(0, np.uint64), *found])
    keys.sort(kind="stable")
    return np.asarray(keys[np.diff(keys, prepend=~keys[:1]) != 0])


def _likely(index: Index, left: Places, right: Places, floor: float, least: int) -> Keys:
    """Of these pairs (places, left < right) those that the sizes and signatures do not rule out."""
    keep = COMPARABLE[3 * index.kinds[left] + index.kinds[right]]
    if index.side is not None:
        keep &= (index.side[left] | index.side[right]) == 3
    one, other = index.sizes[left], index.sizes[right]
    # Sets of a and b members, a ≤ b, have a Jaccard similarity of at most a/b.
    keep &= np.minimum(one, other) >= floor * np.maximum(one, other)
    left, right = left[keep], right[keep]
    if least and len(left):
        parts = [
            agreement(index.signed[left[i : i + _AT_ONCE]], index.signed[right[i : i + _AT_ONCE]])
            for i in range(0, len(left), _AT_ONCE)
        ]
        agree = np.concatenate(parts) >= least
        left, right = left[agree], right[agree]
    return left.astype(np.uint64) << np.uint64(32) | right.astype(np.uint64)


def _ordered(index: Index, one: Places, other: Places, floor: float, least: int) -> Keys:
    return _likely(index, np.minimum(one, other), np.maximum(one, other), floor, least)


def _with_first(index: Index, crowd: Places, floor: float, least: int) -> Keys:
    """Every member of a crowded bucket with its first; across sets, with the first of the other."""
    if index.side is None:
        return _likely(index, np.full(len(crowd) - 1, crowd[0]), crowd[1:], floor, least)
    sides = [crowd[index.side[crowd] != 2], crowd[index.side[crowd] != 1]]
    few = min(map(len, sides))
    if few * len(crowd) <= CROWDED * CROWDED:
        # A few evaluation rows among many of training: every pair, after all.
        sides[0], sides[1] = (grid.ravel() for grid in np.meshgrid(*sides, indexing="ij"))
        apart = sides[0] != sides[1]
        return _ordered(index, sides[0][apart], sides[1][apart], floor, least)
    pairs = [(np.full(len(crowd), side[0]), crowd) for side in sides if len(side)]
    one, other = (np.concatenate(half) for half in zip(*pairs, strict=True))
    apart = one != other
    return _ordered(index, one[apart], other[apart], floor, least)


def _matrix(index: Index, block: Places, least: int) -> npt.NDArray[np.uint8]:
    """Agreements of every pair of a block; 0 where it is too low or not to be compared."""
    columns = np.ascontiguousarray(index.signed[block].T)
    alike = np.zeros((len(block), len(block)), dtype=np.uint8)
    for column in columns:
        alike += column[:, None] == column[None, :]
    kinds = index.kinds[block].astype(np.int64)
    alike[~COMPARABLE[3 * kinds[:, None] + kinds[None, :]]] = 0
    if index.side is not None:
        side = index.side[block]
        alike[(side[:, None] | side[None, :]) != 3] = 0
    alike[alike < least] = 0
    np.fill_diagonal(alike, 0)
    return alike


def _forest(alike: npt.NDArray[np.uint8]) -> tuple[Places, Places]:
    """Edges of a maximal spanning forest (Borůvka 1926) and to each member's nearest neighbours."""
    count = len(alike)
    rows = np.arange(count)
    part = rows.copy()
    nearest = np.argpartition(alike, count - _NEAREST, axis=1)[:, -_NEAREST:].astype(np.int64)
    ones, others = [np.repeat(rows, _NEAREST)], [nearest.ravel()]
    while True:
        outside = np.where(part[:, None] != part[None, :], alike, 0)
        to = outside.argmax(axis=1)
        best = outside[rows, to].astype(np.int64)
        # The best way out of each part.
        order = np.lexsort((-best, part))
        first = order[np.flatnonzero(np.diff(part[order], prepend=-1))]
        first = first[best[first] > 0]
        if not len(first):
            break
        ones.append(first)
        others.append(to[first])
        for row, target in zip(first, to[first], strict=True):
            part[part == part[target]] = part[row]
    one, other = np.concatenate(ones), np.concatenate(others)
    near = alike[one, other] > 0
    return one[near], other[near]
