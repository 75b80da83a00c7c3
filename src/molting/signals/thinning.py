"""Fewer pairs, the same groups: what is left of the pairs of a text that is like very many."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from molting.signals.shingles import Places
from molting.signals.verify import Similarities

MOST = 64
"""Pairs of a text that are all kept."""
_NEAREST = 16


def thin(
    left: Places, right: Places, similarity: Similarities, count: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which pairs stay, shape (pairs,), and which of `count` texts lost one, shape (count,).

    A pair stays when either text has few (`MOST`), when it is among the 16 nearest of either, or
    when a maximal spanning forest needs it: that forest has the same connected parts as all the
    pairs at every threshold. The pairs are distinct, with left < right.
    """
    degree = np.bincount(left, minlength=count) + np.bincount(right, minlength=count)
    many = (degree[left] > MOST) & (degree[right] > MOST)
    lost = np.zeros(count, dtype=bool)
    if not many.any():
        return ~many, lost
    stays = ~many
    pair = np.flatnonzero(many)
    end = np.concatenate([left[pair], right[pair]])
    order = np.lexsort((np.tile(pair, 2), -np.tile(similarity[pair], 2), end))
    ordered = end[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    stays[np.tile(pair, 2)[order][rank < _NEAREST]] = True
    stays[_forest(left, right, similarity, count)] = True
    lost[left[~stays]] = lost[right[~stays]] = True
    return stays, lost


def _forest(left: Places, right: Places, similarity: Similarities, count: int) -> Places:
    """Numbers of the pairs of a maximal spanning forest."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    # A weight of nothing would be no edge.
    graph = csr_array((2.0 - similarity, (left, right)), (count, count))
    tree = minimum_spanning_tree(graph).tocoo()
    keys = left * count + right
    order = np.argsort(keys)
    row, column = (index.astype(np.int64) for index in (tree.row, tree.col))
    return np.asarray(order[np.searchsorted(keys, row * count + column, sorter=order)])
