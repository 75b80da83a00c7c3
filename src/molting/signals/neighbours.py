"""Which rows of a matrix lie close to each other: every pair for thousands, cells for more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from molting.models.vectors import Array
from molting.signals.engines import Engine, LocalEngine, Shared

_EXACT_ROWS = 10_000
"""Up to here every pair is compared, which takes a second or two on one core."""
_BLOCK = 1024
_PRODUCT = 16_000_000
"""Cosines that are computed at once, 64 MB."""
_PROBES = 8
_SAMPLE = 20_000
_ROUNDS = 6
_RANKED_ROWS = 65_536
"""Rows whose pairs are ranked at once."""


def close_pairs(
    rows_ND: Array,
    floor: float,
    most: int,
    seed: int = 0,
    side: Array | None = None,
    engine: Engine | None = None,
) -> tuple[Array, Array, Array]:
    """(left, right, cosine) of pairs left < right with cosine ≥ `floor`, sorted, each once.

    `rows_ND` are unit rows. Each row proposes its `most` closest at the most. Up to 10,000 rows
    every pair is compared, in blocks; above, only rows that share one of eight nearest cells of a
    k-means partition (inverted file; Jégou et al. 2011), which finds all but a few (see
    `benchmarks/semantic.py search`). Memory stays below a few hundred MB beside the rows and the
    pairs. With `side` (1 for rows of one set, 2 of another, 3 of both) pairs go across.
    """
    import numpy as np

    engine = engine or LocalEngine()
    rows_ND = np.ascontiguousarray(rows_ND, np.float32)
    search = _cells(rows_ND, floor, most, seed, side)
    if len(rows_ND) <= _BLOCK and isinstance(engine, LocalEngine):
        engine = LocalEngine(1)
    shared = engine.share(search)
    tasks = ((shared, cell, start, stop) for cell, start, stop in search.blocks())
    empty = (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))
    parts = zip(empty, *engine.map(_compare, tasks), strict=True)
    left, right, cosine = (np.concatenate(part) for part in parts)
    # A million rows propose tens of millions of pairs: each array goes as soon as it can.
    keys = np.minimum(left, right).astype(np.int64)
    keys *= len(rows_ND)
    keys += np.maximum(left, right)
    del left, right
    order = np.argsort(keys, kind="stable")
    keys, cosine = keys[order], cosine[order]
    del order
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    keys, cosine = keys[first], cosine[first]
    small, large = np.divmod(keys, len(rows_ND))
    del keys
    kept = _closest_of_each(small, large, cosine, most, len(rows_ND))
    return small[kept], large[kept], cosine[kept]


def _closest_of_each(small: Array, large: Array, cosine: Array, most: int, rows: int) -> Array:
    """Which pairs are among the `most` closest of either of their rows.

    `small` is sorted. Rows are taken some at a time, which bounds the memory of sorting.
    """
    import numpy as np

    near = np.zeros(len(small), bool)
    for begin in range(0, rows, _RANKED_ROWS):
        end = min(begin + _RANKED_ROWS, rows)
        first, last = np.searchsorted(small, (begin, end))
        other = np.flatnonzero((large >= begin) & (large < end))
        pair = np.concatenate([np.arange(first, last), other])
        row = np.concatenate([small[first:last], large[other]])
        order = np.lexsort((-cosine[pair], row))
        row, pair = row[order], pair[order]
        starts = np.flatnonzero(np.concatenate([[True], row[1:] != row[:-1]]))
        sizes = np.diff(np.append(starts, len(row)))
        rank = np.arange(len(row)) - np.repeat(starts, sizes)
        near[pair[rank < most]] = True
    return near


@dataclass(frozen=True)
class _Search:
    """Rows in cells: each is a member of its nearest cell and a visitor of the nearest few."""

    rows_ND: Array
    floor: float
    most: int
    side: Array | None
    by_home: Array
    """Rows by the cell they are members of; those of cell c from `bounds[c]` to `bounds[c + 1]`."""
    bounds: Array
    by_visit: Array
    visits: Array

    def blocks(self) -> Iterator[tuple[int, int, int]]:
        """(cell, first and last visitor) of each product; crowded cells are taken in slices."""
        for cell in range(len(self.bounds) - 1):
            members = int(self.bounds[cell + 1] - self.bounds[cell])
            if not members:
                continue
            width = max(1, min(_BLOCK * 4, _PRODUCT // members))
            start, end = int(self.visits[cell]), int(self.visits[cell + 1])
            for first in range(start, end, width):
                yield cell, first, min(first + width, end)


def _cells(rows_ND: Array, floor: float, most: int, seed: int, side: Array | None) -> _Search:
    import numpy as np

    if len(rows_ND) <= _EXACT_ROWS:
        every = np.arange(len(rows_ND))
        all_of_them = np.array([0, len(rows_ND)])
        return _Search(rows_ND, floor, most, side, every, all_of_them, every, all_of_them)
    centres_CD = _centres(rows_ND, int(len(rows_ND) ** 0.5), seed)
    near_NP = np.concatenate(
        [
            _top(rows_ND[start : start + _BLOCK] @ centres_CD.T, _PROBES)
            for start in range(0, len(rows_ND), _BLOCK)
        ]
    )
    home = near_NP[:, 0]
    by_home = np.argsort(home, kind="stable")
    cells = np.arange(len(centres_CD) + 1)
    bounds = np.searchsorted(home[by_home], cells)
    flat = np.argsort(near_NP.ravel(), kind="stable")
    visits = np.searchsorted(near_NP.ravel()[flat], cells)
    return _Search(rows_ND, floor, most, side, by_home, bounds, flat // _PROBES, visits)


def _compare(task: tuple[Shared[_Search], int, int, int]) -> tuple[Array, Array, Array]:
    """(query, member, cosine) of the pairs of one block; of each query at most its closest."""
    import numpy as np

    shared, cell, start, stop = task
    search = shared.value
    queries = search.by_visit[start:stop]
    members = search.by_home[search.bounds[cell] : search.bounds[cell + 1]]
    cosine_QM = search.rows_ND[queries] @ search.rows_ND[members].T
    # Both are ascending: where a query is a member itself.
    place = np.minimum(np.searchsorted(members, queries), len(members) - 1)
    own = np.flatnonzero(members[place] == queries)
    cosine_QM[own, place[own]] = -2.0
    if search.side is not None:
        side = search.side
        cosine_QM[(side[queries][:, None] | side[members][None, :]) != 3] = -2.0
    least_Q: Array = np.full(len(queries), search.floor, np.float32)
    most = search.most
    if len(members) > most:
        # Where a query has very many above the floor, only its closest are written down.
        kth = np.partition(cosine_QM, len(members) - most, axis=1)[:, len(members) - most]
        least_Q = np.maximum(least_Q, kth)
    q, m = np.nonzero(cosine_QM >= least_Q[:, None])
    values = cosine_QM[q, m]
    counts = np.bincount(q, minlength=len(queries))
    if len(q) and counts.max() > most:
        # Ties: within each query the closest first, then the earliest; the rest goes.
        order = np.lexsort((members[m], -values, q))
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        rank = np.arange(len(q)) - starts[q[order]]
        keep = order[rank < most]
        q, m, values = q[keep], m[keep], values[keep]
    return queries[q].astype(np.int32), members[m].astype(np.int32), values


def _centres(rows_ND: Array, count: int, seed: int) -> Array:
    """Spherical k-means on a sample: unit centres, shape (count, width)."""
    import numpy as np

    random = np.random.default_rng(seed)
    sample = rows_ND[random.permutation(len(rows_ND))[: max(_SAMPLE, 8 * count)]]
    centres = sample[random.choice(len(sample), count, replace=False)].copy()
    for _ in range(_ROUNDS):
        home = np.concatenate(
            [
                (sample[start : start + _BLOCK] @ centres.T).argmax(1)
                for start in range(0, len(sample), _BLOCK)
            ]
        )
        order = np.argsort(home, kind="stable")
        used, first = np.unique(home[order], return_index=True)
        sums = np.add.reduceat(sample[order], first)
        centres[used] = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        empty = np.setdiff1d(np.arange(count), used)
        centres[empty] = sample[random.choice(len(sample), len(empty))]
    return centres


def _top(values: Array, count: int) -> Array:
    """Places of the `count` largest in each row, the largest first."""
    import numpy as np

    count = min(count, values.shape[1])
    some = np.argpartition(-values, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(values, some, 1), axis=1, kind="stable")
    return np.take_along_axis(some, order, 1)
