"""Exact and near duplicates of many texts: a map over shards, a reduce over bands and pairs.

    map      sketch    a shard of texts → digests, signatures; n-grams stay where they were made
    reduce   propose   a band of all signatures → candidate pairs (`signals.buckets`)
             verify    candidate pairs of two shards → their true Jaccard similarity

Texts that are equal when folded are one before anything is compared. Members are put in the order
of their digests, so neither the order of the rows, nor the shards, nor the workers can change the
result.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sized
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from molting.core.progress import Progress, Silent
from molting.signals.buckets import (
    ORDERS,
    Index,
    Keys,
    Proposal,
    distinct,
    propose,
    propose_crowded,
    propose_every,
)
from molting.signals.engines import Engine, LocalEngine, Shared
from molting.signals.shingles import Grams, Places, Words64, members
from molting.signals.sketch import Banding, Signatures, banding, signatures
from molting.signals.thinning import thin
from molting.signals.verify import Similarities, verify

SHARD = 8_192
_VERIFIED_AT_ONCE = 1 << 15
FEW = 1_000
"""Members up to which every pair is looked at, with no bands between."""
_ALONE = 2_000
"""Texts below which starting threads takes longer than the work."""


class Found(msgspec.Struct, frozen=True):
    """What a search found among n texts. Places are those of the input, from 0."""

    same: Places
    """For each text the first one that folds alike (itself, if none); −1 for empty ones."""
    left: Places
    """Near pairs of first texts, `left < right`, sorted; shape (pairs,)."""
    right: Places
    similarity: Similarities
    """True Jaccard similarity of each near pair, at least the floor."""
    thinned: npt.NDArray[np.bool_]
    """Shape (n,): first texts that are like so many that not all their pairs may be listed."""
    floor: float


class _Head(NamedTuple):
    """What the whole search needs to know of a shard."""

    digests: Words64
    text: Places
    kind: npt.NDArray[np.uint8]
    sizes: Places
    signed: Signatures


def find(
    texts: Iterable[str],
    floor: float,
    *,
    boundary: int | None = None,
    engine: Engine | None = None,
    shard: int = SHARD,
    few: int = FEW,
    every: bool = False,
    progress: Progress | None = None,
) -> Found:
    """Equal texts, and all pairs of others whose `similarity` reaches `floor` (0 < floor ≤ 1).

    `texts` is read once and not kept. With `boundary` only pairs of a text before that place and
    one from it on are looked for. Of texts that are like very many only the nearest pairs are kept
    (`signals.thinning`), unless `every` asks for all. How likely a pair is missed:
    `signals.sketch`.
    """
    engine = engine or LocalEngine()
    progress = progress or Silent()
    heads, bodies = _sketched(texts, floor, engine, shard, progress)
    same, order = _classes(heads)
    kept = _Kept(heads, same, order, boundary)
    if len(kept.text) < _ALONE and isinstance(engine, LocalEngine):
        engine = LocalEngine(1)
    pairs, crowded = _candidates(kept.index, floor, few, engine, progress)
    one, other, similarity = _verified(pairs, kept, bodies, floor, engine, progress)
    thinned = np.zeros(len(same), dtype=bool)
    thinned[kept.text[crowded]] = True
    if not every:
        # A text may have a member in either family: the forest is one of texts.
        number = np.cumsum(np.diff(kept.text, prepend=-1) != 0) - 1
        left, right = number[one], number[other]
        stays, lost = thin(np.minimum(left, right), np.maximum(left, right), similarity,
                           len(kept.text))  # fmt: skip
        one, other, similarity = one[stays], other[stays], similarity[stays]
        thinned[kept.text[np.flatnonzero(lost[number])]] = True
    left, right = kept.text[one], kept.text[other]
    left, right = np.minimum(left, right), np.maximum(left, right)
    order = np.lexsort((right, left))
    return Found(same, left[order], right[order], similarity[order], thinned, floor)


def _sketched(
    texts: Iterable[str], floor: float, engine: Engine, shard: int, progress: Progress
) -> tuple[list[_Head], list[Shared[Grams]]]:
    total = len(texts) if isinstance(texts, Sized) else 0

    def shards() -> Iterator[tuple[list[str], float]]:
        rest = iter(texts)
        while part := list(itertools.islice(rest, shard)):
            yield part, floor

    if total < _ALONE and total and isinstance(engine, LocalEngine):
        engine = LocalEngine(1)
    heads, bodies, done = [], [], 0
    for head, body in engine.split(_sketch, shards()):
        heads.append(head)
        bodies.append(body)
        done += len(head.digests)
        if total:
            progress.step("sketching", done, total, f"{done:,} texts")
    return heads, bodies


def _sketch(task: tuple[list[str], float]) -> tuple[_Head, Grams]:
    texts, floor = task
    found = members(texts, floor)
    head = _Head(found.digests, found.text, found.kind, np.diff(found.grams.offsets),
                 signatures(found.grams))  # fmt: skip
    return head, found.grams


def _classes(heads: list[_Head]) -> tuple[Places, Places]:
    """For each text the first that folds alike, and all texts in the order of their digests."""
    digests = np.concatenate([np.zeros((0, 2), np.uint64), *(head.digests for head in heads)])
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    ordered = digests[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    # The sort is stable, so the first of a run is the first of the input.
    same = np.empty(len(order), dtype=np.int64)
    same[order] = order[new][np.cumsum(new) - 1] if len(order) else order
    same[~digests.any(axis=1)] = -1
    return same, order


class _Kept:
    """Members of first texts in canonical order, and where their n-grams lie."""

    def __init__(
        self, heads: list[_Head], same: Places, order: Places, boundary: int | None
    ) -> None:
        starts = np.cumsum([0, *(len(head.digests) for head in heads)])
        empty = np.zeros(0, np.int64)
        text = np.concatenate(
            [empty, *(head.text + start for head, start in zip(heads, starts, strict=False))]
        )
        kind = np.concatenate([np.zeros(0, np.uint8), *(head.kind for head in heads)])
        rank = np.empty(len(same), dtype=np.int64)
        rank[order] = np.arange(len(same))
        first = np.flatnonzero(same[text] == text)
        # By digest, and the long family before the short.
        chosen = first[np.lexsort((kind[first], rank[text[first]]))]
        self.text: Places = text[chosen]
        counts = [len(head.text) for head in heads]
        self.shard: Places = np.repeat(np.arange(len(heads)), counts)[chosen]
        self.local: Places = np.concatenate([empty, *(np.arange(n) for n in counts)])[chosen]
        sizes = np.concatenate([empty, *(head.sizes for head in heads)])[chosen]
        signed = np.concatenate([np.zeros((0, _WIDTH), np.uint8), *(h.signed for h in heads)])
        side = None if boundary is None else _sides(same, boundary)[self.text]
        self.index = Index(signed[chosen], sizes, kind[chosen], side)


_WIDTH = signatures(Grams(np.zeros(0, np.uint64), np.zeros(1, np.int64))).shape[1]


def _sides(same: Places, boundary: int) -> npt.NDArray[np.uint8]:
    """For each first text: 1 when it stands before the boundary, 2 after, 3 on both sides."""
    side = np.zeros(len(same), dtype=np.uint8)
    for bit, part in ((1, same[:boundary]), (2, same[boundary:])):
        side[np.unique(part[part >= 0])] |= np.uint8(bit)
    return side


def _candidates(
    index: Index, floor: float, few: int, engine: Engine, progress: Progress
) -> tuple[Keys, Places]:
    if len(index.kinds) <= few:
        return propose_every(index, floor), np.zeros(0, dtype=np.int64)
    bands = banding(len(index.kinds))
    shared = engine.share(index)
    tasks = ((shared, bands, band, floor) for band in range(bands.bands))
    pairs = np.zeros(0, dtype=np.uint64)
    waiting: list[Keys] = []
    crowded = np.zeros(0, dtype=np.int64)
    for done, proposal in enumerate(engine.map(_propose, tasks), 1):
        crowded = np.union1d(crowded, proposal.crowded)
        waiting.append(proposal.pairs)
        # The same pair comes from many bands: what waits is never much more than there is.
        if sum(map(len, waiting)) > max(1 << 22, 2 * len(pairs)):
            pairs, waiting = distinct([pairs, *waiting]), []
        progress.step("looking for pairs", done, bands.bands)
    if len(crowded):
        orders = ((shared, crowded, order, floor) for order in range(ORDERS))
        waiting += engine.map(_propose_crowded, orders)
    return distinct([pairs, *waiting]), crowded


def _propose(task: tuple[Shared[Index], Banding, int, float]) -> Proposal:
    shared, bands, band, floor = task
    return propose(shared.value, bands, band, floor)


def _propose_crowded(task: tuple[Shared[Index], Places, int, float]) -> Keys:
    shared, crowded, order, floor = task
    return propose_crowded(shared.value, crowded, order, floor)


def _verified(
    pairs: Keys,
    kept: _Kept,
    bodies: list[Shared[Grams]],
    floor: float,
    engine: Engine,
    progress: Progress,
) -> tuple[Places, Places, Similarities]:
    one = (pairs >> np.uint64(32)).astype(np.int64)
    other = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64)
    where = kept.shard[one] * len(bodies) + kept.shard[other]
    order = np.argsort(where, kind="stable")
    one, other, where = one[order], other[order], where[order]
    begins = np.flatnonzero(np.concatenate([[len(where) > 0], where[1:] != where[:-1]]))
    cuts = [
        (start, min(start + _VERIFIED_AT_ONCE, end))
        for begin, end in itertools.pairwise([*begins.tolist(), len(where)])
        for start in range(begin, end, _VERIFIED_AT_ONCE)
    ]

    def tasks() -> Iterator[tuple[Shared[Grams], Shared[Grams], Places, Places]]:
        for start, end in cuts:
            left, right = divmod(int(where[start]), len(bodies))
            yield (bodies[left], bodies[right],
                   kept.local[one[start:end]], kept.local[other[start:end]])  # fmt: skip

    found = np.zeros(len(one))
    for (start, end), value in zip(cuts, engine.map(_verify, tasks()), strict=True):
        found[start:end] = value
        progress.step("comparing", end, len(one), f"{end:,} pairs")
    enough = found >= floor
    return one[enough], other[enough], found[enough]


def _verify(task: tuple[Shared[Grams], Shared[Grams], Places, Places]) -> Similarities:
    left, right, one, other = task
    return verify(left.value, right.value, (one, other))
