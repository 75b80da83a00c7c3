"""Openers, closers and phrases that a corpus uses more often than its budget allows.

A persona's signature phrase is part of its voice. In a third of the replies it becomes all that a
small model learns. The budget of a phrase is a share of the replies, from the corpus itself:

    budget = spread · share of the tenth most common phrase of that place and length,
             at least `least`, at most `most`

so that a corpus whose common phrases are all frequent has a wider budget than one in which a
single phrase stands out. Counted are replies, not occurrences, and not those whose prompt says
the phrase too.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from molting.signals.english import grammar
from molting.signals.text import words

Where = Literal["opener", "closer", "phrase"]
_PLACES: tuple[Where, ...] = ("opener", "closer", "phrase")

_LONGEST = 6
_SAME = 0.8
"""A phrase that shares this much of its replies with a longer one around it is that one."""
_RANK = 10


class PhraseBudget(msgspec.Struct, frozen=True):
    """How often a phrase may be said: shares of all replies."""

    most: float = 0.2
    least: float = 0.1
    """Of openers and closers, which strike the ear most."""
    least_anywhere: float = 0.15
    spread: float = 5.0
    fewest: int = 4
    """A phrase said less often than this is never over-used, however small the corpus."""


class OverUse(msgspec.Struct, frozen=True):
    """A phrase beyond its budget. Numbers are places in the sequence of replies."""

    phrase: str
    where: Where
    replies: tuple[int, ...]
    budget: float
    allowed: int
    """How many replies may have it."""

    @property
    def beyond(self) -> tuple[int, ...]:
        """The replies past the budget, in the order they came."""
        return self.replies[self.allowed :]


def over_used(
    replies: Sequence[str], prompts: Sequence[str], budget: PhraseBudget
) -> list[OverUse]:
    """Every phrase beyond its budget, the most frequent first; a phrase is named once."""
    spoken = [tuple(words(reply)) for reply in replies]
    # A reply that was copied says its phrases once.
    seen: set[tuple[str, ...]] = set()
    for i, said in enumerate(spoken):
        if said in seen:
            spoken[i] = ()
        seen.add(said)
    asked = [f" {' '.join(words(prompt))} " for prompt in prompts]
    found: list[OverUse] = []
    for where in _PLACES:
        over: dict[str, OverUse] = {}
        for counted in _counted(spoken, asked, where, budget):
            share = _share([len(p) for p in counted.values()], len(replies), where, budget)
            allowed = max(budget.fewest - 1, int(share * len(replies)))
            for phrase, places in counted.items():
                if len(places) > allowed:
                    over[phrase] = OverUse(phrase, where, tuple(places), share, allowed)
        # Named at its beginning or end, a phrase need not be named again.
        found += [o for o in _named_once(over) if not any(_overlap(o, known) for known in found)]
    return sorted(found, key=lambda o: (-len(o.replies), o.where, o.phrase))


def _counted(
    spoken: Sequence[tuple[str, ...]], asked: Sequence[str], where: Where, budget: PhraseBudget
) -> Iterator[dict[str, list[int]]]:
    """For each length the replies of each phrase, but those whose prompt says it too.

    Rare phrases are left out: they are neither over-used nor move the budget above its least.
    """
    rare = int(budget.least / max(budget.spread, 1.0) * len(spoken))
    shorter: set[tuple[str, ...]] | None = None
    for length in range(1, _LONGEST + 1):
        at: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for i, said in enumerate(spoken):
            for cut in _cuts(said, where, length, shorter):
                at[cut].append(i)
        common = {cut: places for cut, places in at.items() if len(places) >= max(2, rare)}
        # A phrase is as rare as the rarest of its pieces.
        shorter = set(common)
        counted: dict[str, list[int]] = {}
        for cut, places in common.items():
            if _telling(cut):
                phrase = " ".join(cut)
                counted[phrase] = [i for i in places if f" {phrase} " not in asked[i]]
        if length > 1 or where != "phrase":
            yield counted


def _cuts(
    said: tuple[str, ...], where: Where, length: int, shorter: set[tuple[str, ...]] | None
) -> Iterable[tuple[str, ...]]:
    if len(said) < length:
        return ()
    if where == "opener":
        return (said[:length],)
    if where == "closer":
        return (said[-length:],)
    runs = set(zip(*(said[k:] for k in range(length)), strict=False))
    if shorter is None:
        return runs
    return [run for run in runs if run[:-1] in shorter and run[1:] in shorter]


@functools.lru_cache(maxsize=1 << 18)
def _telling(cut: tuple[str, ...]) -> bool:
    """Whether a run of words is more than grammar."""
    quiet = grammar()
    carrying = sum(word not in quiet for word in cut)
    return carrying >= 1 if len(cut) <= 3 else carrying >= 1 or len(cut) >= 5


def _share(counts: Sequence[int], replies: int, where: Where, budget: PhraseBudget) -> float:
    typical = sorted(counts)[-_RANK] / replies if len(counts) >= _RANK else 0.0
    least = budget.least_anywhere if where == "phrase" else budget.least
    return min(budget.most, max(least, budget.spread * typical))


def _named_once(over: dict[str, OverUse]) -> list[OverUse]:
    """Of phrases within each other the longest, unless the shorter one is said clearly more."""
    kept: list[OverUse] = []
    for phrase in sorted(over, key=lambda p: (-len(p.split()), p)):
        mine = over[phrase]
        if any(_overlap(mine, longer) for longer in kept):
            continue
        kept = [longer for longer in kept if not _within(phrase, longer.phrase)]
        kept.append(mine)
    return kept


def _overlap(one: OverUse, other: OverUse) -> bool:
    """Whether two phrases are pieces of one: they touch, and stand in nearly the same replies."""
    if not (_within(one.phrase, other.phrase) or _within(other.phrase, one.phrase)):
        left, right = one.phrase.split(), other.phrase.split()
        touch = any(
            left[-n:] == right[:n] or right[-n:] == left[:n]
            for n in range(2, min(len(left), len(right)))
        )
        if not touch:
            return False
    ours, theirs = set(one.replies), set(other.replies)
    return len(ours & theirs) >= _SAME * len(ours)


def _within(short: str, long: str) -> bool:
    return f" {short} " in f" {long} "
