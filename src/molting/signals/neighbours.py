"""Which rows of a matrix lie close to each other: every pair for thousands, cells for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
else:
    Array = Any

_EXACT_ROWS = 10_000
"""Up to here every pair is compared, which takes a second or two on one core."""
_BLOCK = 1024
_PROBES = 8
_SAMPLE = 20_000
_ROUNDS = 6


def close_pairs(
    rows_ND: Array, floor: float, most: int, seed: int = 0, side: Array | None = None
) -> tuple[Array, Array, Array]:
    """(left, right, cosine) of pairs left < right with cosine ≥ `floor`, sorted, each once.

    `rows_ND` are unit rows. Each row proposes its `most` closest at the most. Up to 10,000 rows
    every pair is compared, in blocks; above, only rows that share one of eight nearest cells of a
    k-means partition (inverted file; Jégou et al. 2011), which finds all but a few (see
    `benchmarks/semantic.py search`). Memory stays below a few hundred MB beside the rows. With
    `side` (1 for rows of one set, 2 of another, 3 of both) pairs go across.
    """
    import numpy as np

    rows_ND = np.ascontiguousarray(rows_ND, np.float32)
    found = _Found(floor, most, side)
    if len(rows_ND) <= _EXACT_ROWS:
        _every(rows_ND, found)
    else:
        _cells(rows_ND, found, seed)
    left, right, cosine = (np.concatenate(part) for part in found.parts)
    small, large = np.minimum(left, right), np.maximum(left, right)
    keys = small * len(rows_ND) + large
    _, first = np.unique(keys, return_index=True)
    small, large, cosine = small[first], large[first], cosine[first]
    kept = _closest_of_each(small, large, cosine, most)
    return small[kept], large[kept], cosine[kept]


def _closest_of_each(left: Array, right: Array, cosine: Array, most: int) -> Array:
    """Which pairs are among the `most` closest of their left or of their right row."""
    import numpy as np

    row = np.concatenate([left, right])
    order = np.lexsort((-np.tile(cosine, 2), row))
    _, starts, counts = np.unique(row[order], return_index=True, return_counts=True)
    rank = np.arange(len(row)) - np.repeat(starts, counts)
    near = np.zeros(len(row), bool)
    near[order] = rank < most
    found: Array = near[: len(left)] | near[len(left) :]
    return found


def _every(rows_ND: Array, found: _Found) -> None:
    import numpy as np

    places = np.arange(len(rows_ND))
    for start in range(0, len(rows_ND), _BLOCK):
        block = places[start : start + _BLOCK]
        found.add(rows_ND[block] @ rows_ND.T, block, places)


def _cells(rows_ND: Array, found: _Found, seed: int) -> None:
    import numpy as np

    centres_CD = _centres(rows_ND, int(len(rows_ND) ** 0.5), seed)
    near_NP = np.concatenate(
        [
            _top(rows_ND[start : start + _BLOCK] @ centres_CD.T, _PROBES)
            for start in range(0, len(rows_ND), _BLOCK)
        ]
    )
    home = near_NP[:, 0]
    by_home = np.argsort(home, kind="stable")
    bounds = np.searchsorted(home[by_home], np.arange(len(centres_CD) + 1))
    flat = np.argsort(near_NP.ravel(), kind="stable")
    visits = np.searchsorted(near_NP.ravel()[flat], np.arange(len(centres_CD) + 1))
    for cell in range(len(centres_CD)):
        members = by_home[bounds[cell] : bounds[cell + 1]]
        visitors = flat[visits[cell] : visits[cell + 1]] // _PROBES
        if not len(members):
            continue
        # A crowded cell (the same greeting ten thousand times) is taken in slices.
        width = max(1, min(_BLOCK * 4, 64_000_000 // len(members) // 4))
        for start in range(0, len(visitors), width):
            block = visitors[start : start + width]
            found.add(rows_ND[block] @ rows_ND[members].T, block, members)


class _Found:
    def __init__(self, floor: float, most: int, side: Array | None) -> None:
        import numpy as np

        self._floor, self._most, self._side = floor, most, side
        # Never empty, so that there is something to concatenate.
        self.parts: tuple[list[Array], list[Array], list[Array]] = (
            [np.zeros(0, np.int64)],
            [np.zeros(0, np.int64)],
            [np.zeros(0, np.float32)],
        )

    def add(self, cosine_QM: Array, queries: Array, members: Array) -> None:
        import numpy as np

        most = self._most
        q, m = np.nonzero(cosine_QM >= self._floor)
        other = queries[q] != members[m]
        if self._side is not None:
            other &= (self._side[queries[q]] | self._side[members[m]]) == 3
        q, m = q[other], m[other]
        values = cosine_QM[q, m]
        counts = np.bincount(q, minlength=len(queries))
        if len(q) and counts.max() > most:
            # Within each query the closest first; the rest goes.
            order = np.lexsort((-values, q))
            starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
            rank = np.arange(len(q)) - starts[q[order]]
            keep = order[rank < most]
            q, m, values = q[keep], m[keep], values[keep]
        for part, value in zip(self.parts, (queries[q], members[m], values), strict=True):
            part.append(value)


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
