"""Exact and near duplicates, and the groups that they and other kinds of pairs make.

Exact means equal when folded (`signals.text.fold`); near means that the true Jaccard similarity of
n-grams (`signals.shingles.similarity`) reaches a threshold. MinHash only proposes. The search is in
`signals.near`; this module turns what it found into pairs and groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt

from molting.core.errors import UsageError
from molting.core.progress import Progress
from molting.signals.engines import Engine
from molting.signals.near import Found, find
from molting.signals.shingles import Places
from molting.signals.text import fold

Level = Literal["conversation", "turn", "reply"]
LEVELS: tuple[Level, ...] = ("conversation", "turn", "reply")
FLOOR = 0.5
"""Near pairs are kept down to this similarity, so that a threshold can be lowered afterwards."""
_EVERY_PAIR = 64
"""Two texts that stand in a and b rows give a·b pairs up to this many, beyond it a + b − 1."""


class Pair(msgspec.Struct, frozen=True, order=True):
    """Two places in a sequence, `left < right`, and how alike they are (1.0: equal when folded)."""

    left: int
    right: int
    similarity: float


class Match(Pair, frozen=True, order=True):
    """A pair with the kind of likeness: `exact`, `near`, or one that another signal names."""

    kind: str
    level: Level = "reply"


class Group(msgspec.Struct, frozen=True):
    """Rows that are duplicates of each other, directly or through a chain of pairs."""

    rows: tuple[int, ...]
    """At least two places, ascending."""
    representative: int
    """The row to keep."""
    rule: str
    """Which rule told it from the next best (`signals.representative`)."""
    pairs: tuple[Match, ...]
    complete: bool
    """Whether every pair at the threshold is listed; in crowded groups only the nearest are."""


def exact_pairs(texts: Sequence[str]) -> list[Pair]:
    """Each text that folds like an earlier one, paired with the first such."""
    first: dict[str, int] = {}
    pairs = []
    for i, text in enumerate(texts):
        folded = fold(text)
        if not folded:
            continue
        if folded in first:
            pairs.append(Pair(first[folded], i, 1.0))
        else:
            first[folded] = i
    return pairs


def near_pairs(texts: Sequence[str], threshold: float) -> list[Pair]:
    """All pairs whose similarity reaches `threshold`, equal ones too, sorted.

    As many as there are: k equal texts make k(k − 1)/2. For sets where that is too many:
    `find_duplicates`.
    """
    found = find(texts, threshold, every=True)
    copies = _copies(found.same)
    pairs = [
        Pair(rows[i], rows[j], 1.0)
        for rows in copies.values()
        for i in range(len(rows))
        for j in range(i + 1, len(rows))
    ]
    for left, right, similarity in _near(found):
        pairs += [
            Pair(min(a, b), max(a, b), similarity)
            for a in copies.get(left, (left,))
            for b in copies.get(right, (right,))
        ]
    return sorted(pairs)


def near_pairs_across(
    texts: Sequence[str], others: Sequence[str] | None, threshold: float
) -> list[Pair]:
    """Pairs (place in `texts`, place in `others`); within `texts` when `others` is None."""
    if others is None:
        return near_pairs(texts, threshold)
    count = len(texts)
    found = find([*texts, *others], threshold, boundary=count, every=True)
    copies = _copies(found.same)
    both = [(first, first, 1.0) for first in copies]
    pairs = {
        Pair(a, b - count, similarity)
        for left, right, similarity in [*both, *_near(found)]
        for one, other in ((left, right), (right, left))
        for a in copies.get(one, (one,))
        for b in copies.get(other, (other,))
        if a < count <= b
    }
    return sorted(pairs)


def groups(count: int, pairs: Iterable[Pair]) -> list[int]:
    """Connected components: for each place, the smallest place that it is connected to."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for pair in pairs:
        left, right = root(pair.left), root(pair.right)
        parent[max(left, right)] = min(left, right)
    return [root(i) for i in range(count)]


@dataclass(frozen=True)
class Duplicates:
    """Pairs of every kind among `rows` rows, regrouped at any threshold without a new search."""

    found: Found
    level: Level
    thresholds: Mapping[str, float]
    """For each kind the lowest similarity that counts; a kind without one counts as it is."""
    others: tuple[Match, ...] = ()
    """Pairs of other kinds, such as semantic ones."""
    boundary: int | None = None
    """Rows from here on are another set, and every pair goes across."""

    @property
    def rows(self) -> int:
        return len(self.found.same)

    def at(self, near: float | None = None, **kinds: float) -> Duplicates:
        """The same pairs with other thresholds: `at(0.8)`, `at(near=0.8, semantic=0.9)`."""
        changed = kinds if near is None else {"near": near, **kinds}
        if changed.get("near", 1.0) < self.found.floor:
            raise UsageError(
                f"near pairs below a similarity of {self.found.floor:g} were not kept; "
                "search again with a lower floor"
            )
        return replace(self, thresholds={**self.thresholds, **changed})

    def joined(self, kind: str, pairs: Iterable[Pair], threshold: float = 0.0) -> Duplicates:
        """With pairs of another kind, such as `semantic`, which join the same groups.

        They are pairs of first texts, as a search for that kind finds them; with a boundary, only
        what goes across counts. `at(kind=…)` changes the threshold.
        """
        copies = _copies(self.found.same)
        made = [
            Match(left, right, pair.similarity, kind, self.level)
            for pair in pairs
            for left, right in (
                [(pair.left, pair.right)]
                if self.boundary is None
                else self._between(
                    copies.get(pair.left, [pair.left]), copies.get(pair.right, [pair.right])
                )
            )
        ]
        thresholds = {**self.thresholds, kind: threshold}
        return replace(self, others=(*self.others, *made), thresholds=thresholds)

    def pairs(self) -> Iterator[Match]:
        """Every pair that counts, by left and right row.

        A copy is paired with the first row of its text. Where two texts stand in many rows, each
        row is paired with the other text's first row rather than with every row. A pair that is
        exact or near is not told again as another kind.
        """
        kept = self.found.similarity >= self.thresholds.get("near", 0.0)
        told = [*self._exact(), *self._near(kept)]
        if self.others:
            known = {(pair.left, pair.right) for pair in told}
            told += [
                pair
                for pair in self.others
                if pair.similarity >= self.thresholds.get(pair.kind, 0.0)
                and (pair.left, pair.right) not in known
            ]
        yield from sorted(told)

    def weaker(self) -> list[Match]:
        """Pairs that were kept and do not reach the threshold of their kind."""
        near = self._near(self.found.similarity < self.thresholds.get("near", 0.0))
        others = (p for p in self.others if p.similarity < self.thresholds.get(p.kind, 0.0))
        return sorted([*near, *others])

    def groups(self) -> list[Group]:
        """Groups of two or more rows, by their first row, which represents them until a caller
        that knows the rows says better (`signals.representative`)."""
        pairs = list(self.pairs())
        number = _components(self.rows, pairs)
        sizes = np.bincount(number, minlength=self.rows)
        rows_of: dict[int, list[int]] = {}
        for row in np.flatnonzero(sizes[number] > 1).tolist():
            rows_of.setdefault(int(number[row]), []).append(row)
        pairs_of: dict[int, list[Match]] = {first: [] for first in rows_of}
        for pair in pairs:
            pairs_of[int(number[pair.left])].append(pair)
        thinned = self.found.thinned
        return [
            Group(tuple(rows), first, "earlier", tuple(pairs_of[first]), not thinned[rows].any())
            for first, rows in rows_of.items()
        ]

    def _exact(self) -> Iterator[Match]:
        for rows in _copies(self.found.same).values():
            if self.boundary is None:
                places = [(rows[0], row) for row in rows[1:]]
            else:
                places = self._between(rows, rows)
            for left, right in places:
                yield Match(left, right, 1.0, "exact", self.level)

    def _near(self, chosen: npt.NDArray[np.bool_]) -> Iterator[Match]:
        copies = _copies(self.found.same)
        for left, right, similarity in _near(self.found, chosen):
            for a, b in self._between(copies.get(left, [left]), copies.get(right, [right])):
                yield Match(a, b, similarity, "near", self.level)

    def _between(self, one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
        boundary = self.boundary
        if boundary is None:
            return _spread(one, other)
        turns = [(one, other)] if one is other else [(one, other), (other, one)]
        return [
            pair
            for before, after in turns
            for pair in _spread(
                [r for r in before if r < boundary], [r for r in after if r >= boundary]
            )
        ]


def find_duplicates(
    texts: Iterable[str],
    threshold: float,
    *,
    level: Level = "reply",
    floor: float = FLOOR,
    boundary: int | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Exact and near duplicates among any number of texts (0 < threshold ≤ 1).

    `texts` is read once, in pieces. Pairs are kept from `floor` (or the threshold, if lower) on.
    With `boundary`, texts before it are one set and the others a second, and only pairs across
    are looked for.
    """
    found = find(texts, min(floor, threshold), boundary=boundary, engine=engine, progress=progress)
    return Duplicates(found, level, {"near": threshold}, boundary=boundary)


def _copies(same: Places) -> dict[int, list[int]]:
    """First row → all rows, for every text that stands in more than one."""
    later = np.flatnonzero((same >= 0) & (same != np.arange(len(same))))
    rows: dict[int, list[int]] = {}
    for row, first in zip(later.tolist(), same[later].tolist(), strict=True):
        rows.setdefault(first, [first]).append(row)
    return rows


def _near(
    found: Found, chosen: npt.NDArray[np.bool_] | None = None
) -> Iterable[tuple[int, int, float]]:
    """The near pairs of first texts, all or the chosen ones."""
    arrays = (found.left, found.right, found.similarity)
    picked = arrays if chosen is None else tuple(array[chosen] for array in arrays)
    return zip(*(array.tolist() for array in picked), strict=True)


def _spread(one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """Every pair across if they are few, or each row with the first of the others."""
    if not one or not other:
        return []
    if len(one) * len(other) <= _EVERY_PAIR:
        pairs = [(a, b) for a in one for b in other]
    else:
        pairs = [(one[0], b) for b in other] + [(a, other[0]) for a in one[1:]]
    return [(min(pair), max(pair)) for pair in pairs]


def _components(count: int, pairs: Sequence[Pair]) -> Places:
    """As `groups`, for any number of pairs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left = np.fromiter((pair.left for pair in pairs), np.int64, len(pairs))
    right = np.fromiter((pair.right for pair in pairs), np.int64, len(pairs))
    graph = coo_array((np.ones(len(pairs), np.int8), (left, right)), (count, count))
    _, label = connected_components(graph, directed=False)
    _, first = np.unique(label, return_index=True)
    return np.asarray(first[label], dtype=np.int64)
