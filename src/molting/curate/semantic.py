"""Rows that say the same in other words: listed always, rejected only on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from molting.core.conversation import Conversation
from molting.core.corpus import SEMANTIC_TWIN
from molting.curate.grouping import RowDuplicates, Units
from molting.signals.duplicates import Pair, groups

if TYPE_CHECKING:
    from molting.models.vectors import Encoder


WIDE = 0.3
"""Probability from which a pair that the searching encoder found is put before the judge."""
MOST_JUDGED = 4_000
"""Texts that the judge reads at most (minutes on one core); with more the search decides."""


class SemanticFinder:
    """One encoder looks among all rows, and a better one, if there is one, judges what it found.

    A static encoder reads thousands of texts a second but knows no word order; a sentence encoder
    takes a hundred times as long. So it reads only the texts of which something was found, and is
    loaded only then.
    """

    def __init__(
        self, search: Encoder, judge: Callable[[], Encoder] | None = None, judge_name: str = ""
    ) -> None:
        self.search, self.judge = search, judge
        self.name = f"{search.name}+{judge_name}" if judge else search.name

    def pairs(
        self, texts: Sequence[str], threshold: float, boundary: int | None = None
    ) -> list[Pair]:
        """As `signals.semantic.semantic_pairs`."""
        from molting.signals.semantic import at_least, judged, semantic_pairs

        least = min(WIDE, threshold) if self.judge else threshold
        found = semantic_pairs(texts, self.search, least, boundary=boundary)
        concerned = {place for pair in found for place in (pair.left, pair.right)}
        if self.judge is None or not 0 < len(concerned) <= MOST_JUDGED:
            return at_least(found, threshold)
        return judged(texts, found, self.judge(), threshold)


def with_semantic(found: RowDuplicates, finder: SemanticFinder, threshold: float) -> RowDuplicates:
    """With the semantic pairs of the same units, kept from `signals.semantic.FLOOR` on."""
    from molting.signals.semantic import FLOOR

    boundary = found.duplicates.boundary
    pairs = finder.pairs(list(found.units), min(FLOOR, threshold), boundary)
    return found.joined("semantic", pairs, threshold)


def semantic_twins(
    rows: Sequence[Conversation], scores: Sequence[float], finder: SemanticFinder, threshold: float
) -> dict[int, tuple[int, float]]:
    """For each row that could go: the row that stays and says the same, and the probability.

    Of each group the best-scoring row stays (the first, where scores are as good as equal); another
    goes only if it is itself the twin of one that stays, not through a chain.
    """
    pairs = finder.pairs(list(Units(rows, "reply")), threshold)
    likeness: dict[int, dict[int, float]] = {}
    for pair in pairs:
        likeness.setdefault(pair.left, {})[pair.right] = pair.similarity
        likeness.setdefault(pair.right, {})[pair.left] = pair.similarity
    members: dict[int, list[int]] = {}
    for place, root in enumerate(groups(len(rows), pairs)):
        if place in likeness:
            members.setdefault(root, []).append(place)
    twins: dict[int, tuple[int, float]] = {}
    for group in members.values():
        stay: list[int] = []
        for place in sorted(group, key=lambda p: (-round(scores[p], 1), p)):
            alike = likeness[place]
            near = max(
                (kept for kept in stay if kept in alike), key=lambda k: alike[k], default=None
            )
            if near is None:
                stay.append(place)
            else:
                twins[place] = (near, alike[near])
    return twins


def told(twin: Conversation, probability: float) -> dict[str, Any]:
    """What the evidence of a row says of its twin, when it is reported and not rejected."""
    return {
        SEMANTIC_TWIN: twin.id,
        "semantic_source": str(twin.source),
        "semantic_probability": round(probability, 4),
    }
