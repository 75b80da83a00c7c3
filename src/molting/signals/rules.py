"""What a rule for secrets is, and how it is tried on a text."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from molting.signals.noise import Hit


class Rule(NamedTuple):
    """A pattern for one kind. The hit is the group `v` where there is one, else the match."""

    kind: str
    source: str
    """A regular expression; compiled when a text first passes the gates, for importing is free."""
    flags: int = 0
    needs: tuple[str, ...] = ()
    """The text, in lower case, must hold one of these for the pattern to be tried at all."""
    digits: int = 0
    """… and at least so many digits."""
    run: int = 0
    """… and so many characters without a space between them."""
    check: Callable[[re.Match[str]], bool] | None = None
    fit: Callable[[re.Match[str]], int] | None = None
    """Where the hit ends, for a pattern that reaches too far; -1 for no hit."""


class Scanned(NamedTuple):
    """A text with what the gates of the rules ask for, computed once."""

    text: str
    lower: str
    digits: int
    run: int

    @classmethod
    def of(cls, text: str) -> Scanned:
        longest = max(map(len, text.split()), default=0)
        return cls(text, text.lower(), sum(map(str.isdecimal, text)), longest)


def rule(
    kind: str,
    pattern: str,
    needs: tuple[str, ...] = (),
    digits: int = 0,
    check: Callable[[re.Match[str]], bool] | None = None,
    flags: int = 0,
    fit: Callable[[re.Match[str]], int] | None = None,
    run: int = 0,
) -> Rule:
    return Rule(kind, pattern, flags, needs, digits, run, check, fit)


def hits(scanned: Scanned, one: Rule) -> Iterator[Hit]:
    """Every place where the rule holds."""
    if scanned.digits < one.digits or scanned.run < one.run:
        return
    if one.needs and not any(word in scanned.lower for word in one.needs):
        return
    pattern = _compiled(one.source, one.flags)
    at = 0
    while match := pattern.search(scanned.text, at):
        start, end = span(match)
        if end > start and one.fit is not None:
            end = one.fit(match)
        if end > start and (one.check is None or one.check(match)):
            yield Hit(one.kind, start, end)
            at = max(end, match.start() + 1)
        else:
            # What was refused may hide a right one that begins inside it.
            at = match.start() + 1


@functools.cache
def _compiled(source: str, flags: int) -> re.Pattern[str]:
    return re.compile(source, flags)


def span(match: re.Match[str]) -> tuple[int, int]:
    """Where the hit is: the group `v` if it took part, else the whole match."""
    if "v" in match.re.groupindex and match["v"] is not None:
        return match.span("v")
    return match.span()


def value(match: re.Match[str]) -> str:
    """What a rule's check looks at."""
    start, end = span(match)
    return match.string[start:end]


def before(match: re.Match[str], characters: int = 24) -> str:
    """What stands before the hit, in lower case."""
    start = span(match)[0]
    return match.string[max(0, start - characters) : start].lower()


def entropy(text: str) -> float:
    """Shannon entropy of the characters, bits for each."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values()) if total else 0.0


def turns(text: str) -> int:
    """How often the class of character (lower, upper, digit, other) changes."""
    classes = [
        "d" if c.isdigit() else "u" if c.isupper() else "l" if c.isalpha() else "o" for c in text
    ]
    return sum(a != b for a, b in itertools.pairwise(classes))
