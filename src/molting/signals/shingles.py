"""What near-duplicates are measured on: the n-grams of a text, as Python sets and as arrays.

    both texts of 12 characters or more   4-grams of the folded text
    one shorter, the other up to 32       3-grams of its words, a space at either end
    one shorter, the other beyond 32      nothing in common (0)

"ok!" and "ok." share no 4-gram, and one typing slip in "thanks" spoils all of them: below twelve
characters 4-grams say nothing. Words with their edges do, and there marks and signs do not count
("hello 😂" is "Hello!"). Lengths are of the folded text. A family is one of the two kinds of
n-gram; a short text has members of the short family only, a long one of the long, and the texts
between of both, because they may meet either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from molting.signals.text import WORD, fold, jaccard

SHORT = 12
"""Characters; a shorter text is measured on its words' 3-grams."""
SHORT_REACH = 32
"""Characters; a short text is never like one longer than this."""
GRAM_BITS = 50
"""An n-gram is a hash of so many bits: two of one corpus of 10⁶ n-grams collide with odds of
about 1 to 2,000, and one pair's similarity is then off by one n-gram."""

_LONG, _SHORT, _BOTH = 0, 1, 2
"""A member of the long family; of the short one; of the short one, but with a long text."""
COMPARABLE = np.array([1, 0, 0, 0, 1, 1, 0, 1, 0], dtype=bool)
"""For class 3·left + right: whether this pair is measured in this family."""

Words64 = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]


def similarity(left: str, right: str) -> float:
    """Jaccard similarity of two texts by the rule above, 0 to 1; empty texts are like nothing."""
    one, other = sorted((fold(left), fold(right)), key=len)
    if not one or (len(one) < SHORT and len(other) > SHORT_REACH):
        return 0.0
    if len(one) < SHORT:
        return jaccard(_ngrams(spoken(one), 3), _ngrams(spoken(other), 3))
    return jaccard(_ngrams(one, 4), _ngrams(other, 4))


def _ngrams(text: str, size: int) -> set[str]:
    return {text[i : i + size] for i in range(len(text) - size + 1)}


def spoken(folded: str) -> str:
    """The words of a folded text with a space at either end; the text itself if it has none."""
    return f" {' '.join(WORD.findall(folded)) or folded} "


class Grams(msgspec.Struct, frozen=True):
    """N-grams of many texts: those of member i are `values[offsets[i]:offsets[i + 1]]`, sorted."""

    values: Words64
    offsets: Places
    """int64, shape (members + 1,)."""


class Members(msgspec.Struct, frozen=True):
    """The distinct texts of a shard, once for each family in which they can be compared."""

    text: Places
    """Place in the shard, shape (members,)."""
    kind: npt.NDArray[np.uint8]
    """Index into `COMPARABLE`, shape (members,)."""
    grams: Grams
    digests: Words64
    """128 bits of each text of the shard, shape (texts, 2); zero for an empty text."""


def members(texts: Sequence[str], floor: float) -> Members:
    """Fold, hash and cut up a shard; `floor` is the lowest similarity of interest."""
    folded = [fold(text) for text in texts]
    first: dict[str, int] = {}
    raw = bytearray()
    for i, text in enumerate(folded):
        first.setdefault(text, i)
        raw += _digest(text)
    first.pop("", None)
    digests = np.frombuffer(bytes(raw), dtype=np.uint64).reshape(-1, 2)
    long = [i for text, i in first.items() if len(text) >= SHORT]
    near = [i for text, i in first.items() if len(text) <= SHORT_REACH]
    long_grams = _cut([folded[i] for i in long], 4)
    short_grams = _cut([spoken(folded[i]) for i in near], 3)
    # A text under SHORT has fewer than SHORT n-grams, so it is like none with many more.
    is_long = np.array([len(folded[i]) >= SHORT for i in near], dtype=bool)
    keep = ~is_long | (np.diff(short_grams.offsets) * floor <= SHORT)
    short_grams = _only(short_grams, keep)
    return Members(
        np.array([*long, *np.array(near, dtype=np.int64)[keep]], dtype=np.int64),
        np.concatenate([np.full(len(long), _LONG), np.where(is_long[keep], _BOTH, _SHORT)]).astype(
            np.uint8
        ),
        _joined([long_grams, short_grams]),
        digests,
    )


def _digest(folded: str) -> bytes:
    if not folded:
        return bytes(16)
    return hashlib.blake2b(folded.encode("utf-8", "surrogatepass"), digest_size=16).digest()


_CHARACTERS = 1 << 17
_ROWS = 1 << (64 - GRAM_BITS)


def _cut(texts: Sequence[str], size: int) -> Grams:
    """The distinct n-grams of each text (each of at least `size` characters)."""
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    ends = np.cumsum(lengths)
    parts = []
    start = 0
    while start < len(texts):
        # So few characters at a time that every pass over them stays in the processor's cache.
        before = ends[start - 1] if start else 0
        stop = int(np.searchsorted(ends, before + _CHARACTERS, side="right"))
        stop = min(max(stop, start + 1), start + _ROWS)
        parts.append(_cut_some(texts[start:stop], lengths[start:stop], size))
        start = stop
    return _joined(parts)


def _cut_some(texts: Sequence[str], lengths: Places, size: int) -> Grams:
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    wide = codes.astype(np.uint64)
    count = len(wide) - size + 1
    # Three characters of 21 bits are the number itself; a fourth is mixed in.
    hashed = wide[:count] | (wide[1 : count + 1] << np.uint64(21))
    hashed |= wide[2 : count + 2] << np.uint64(42)
    _mix(hashed)
    if size == 4:
        hashed ^= wide[3 : count + 3] * np.uint64(0x9E3779B97F4A7C15)
        _mix(hashed)
    hashed >>= np.uint64(64 - GRAM_BITS)
    # Leave out what reaches over the end of a text, mark each with its text, sort, drop repeats.
    counts = lengths - size + 1
    row = np.repeat(np.arange(len(texts), dtype=np.int64), counts)
    keys = hashed[np.arange(len(row), dtype=np.int64) + (size - 1) * row]
    keys |= row.astype(np.uint64) << np.uint64(GRAM_BITS)
    keys.sort()
    new = np.ones(len(keys), dtype=bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    keys = keys[new]
    marks = np.arange(len(texts) + 1, dtype=np.uint64) << np.uint64(GRAM_BITS)
    # The mark after the last text may need a bit more than there is.
    offsets = np.append(np.searchsorted(keys, marks[:-1]), len(keys))
    return Grams(keys & np.uint64((1 << GRAM_BITS) - 1), offsets.astype(np.int64))


def _mix(values: Words64) -> None:
    """Stafford's 64-bit finaliser (variant 13, that of splitmix64), in place."""
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)


def gathered(grams: Grams, chosen: npt.NDArray[Any]) -> tuple[Words64, Places]:
    """The n-grams of the chosen members, one after the other, and how many each has."""
    starts = grams.offsets[chosen]
    counts = grams.offsets[chosen + 1] - starts
    shift = starts - (np.cumsum(counts) - counts)
    return grams.values[np.repeat(shift, counts) + np.arange(counts.sum())], counts


def _only(grams: Grams, keep: npt.NDArray[np.bool_]) -> Grams:
    values, counts = gathered(grams, np.flatnonzero(keep))
    return Grams(values, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))


def _joined(parts: Sequence[Grams]) -> Grams:
    counts = [np.diff(part.offsets) for part in parts]
    return Grams(
        np.concatenate([np.zeros(0, np.uint64), *(part.values for part in parts)]),
        np.concatenate(
            [np.zeros(1, np.int64), np.cumsum(np.concatenate([np.zeros(0, np.int64), *counts]))]
        ),
    )
