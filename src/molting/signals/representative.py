"""Which row of a group to keep, by rules that can be told to a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from molting.signals.noise import REJECTED_KINDS, cut_replies, find_noise
from molting.signals.text import fold

RULES = {
    "clean": "it has no noise in it",
    "score": "it has the higher score",
    "whole": "it does not break off",
    "longer": "it is longer",
    "earlier": "it stands earlier",
    "held_out": "it belongs to the set that stays",
}
"""In this order: the first rule that two rows differ in decides between them. The last is for two
sets: what is held out stays, whatever it is like."""


class Traits(NamedTuple):
    """What the rules look at. Less is better in each, and the order is that of `RULES`."""

    noisy: bool
    score: float
    """Negated; 0 for every row when there are no scores."""
    cut: bool
    length: int
    """Folded characters, negated."""


def traits(
    texts: Mapping[int, str], scores: Mapping[int, float] | None = None
) -> dict[int, Traits]:
    """The traits of each row, given its text and, where there are such, its score."""
    cut = cut_replies(list(texts.values()))
    known: dict[str, tuple[bool, int]] = {}
    found = {}
    for (row, text), breaks_off in zip(texts.items(), cut, strict=True):
        if text not in known:
            known[text] = bool(find_noise(text, REJECTED_KINDS)), -len(fold(text))
        noisy, length = known[text]
        found[row] = Traits(noisy, -(scores or {}).get(row, 0.0), breaks_off, length)
    return found


def representative(rows: Sequence[int], known: Mapping[int, Traits]) -> tuple[int, str]:
    """The row to keep, and the rule in which it beats the next best (`earlier`: in no other)."""
    best, *rest = sorted(rows, key=lambda row: (known[row], row))
    if not rest:
        return best, "earlier"
    differs = zip(RULES, known[best], known[rest[0]], strict=False)
    return best, next((rule for rule, mine, other in differs if mine != other), "earlier")
