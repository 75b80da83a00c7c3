"""Phrases that a set of replies says far more often than the persona does: caricature, and fakes.

A phrase is a run of one to five words, counted once a reply and not where the prompt says it.
It is over-used when its share among the replies is surely (Wilson bounds, 99 %) more than twice
what the persona's own text has, or what plain replies to the same prompts have. Shares are
compared at equal length: a reply twice as long has two chances to say it.

`thin` takes every over-used phrase out of the replies beyond the persona's own share, so that
what is scored is the voice without its tics. A prefix that is stuck to every reply, one constant
reply and "ye" for every "you" all vanish by it; the persona's own catch-phrases at their own rate
stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from molting.signals.text import WORD, fold, words

LONGEST = 5
_READ_WORDS = 120
"""What lies beyond is not looked at: no score reads it."""
_FEWEST = 4
"""Replies that must say a phrase before it can be over-used."""
_TIMES = 2.0
_Z = 2.58
"""99 % bounds: thousands of phrases are looked at."""


class Mannerism(msgspec.Struct, frozen=True):
    """One over-used phrase."""

    phrase: str
    share: float
    """Of the replies."""
    own_share: float
    """Of the persona's texts, as they are."""
    allowed: float
    """Upper bound of what the persona would say in replies of this length."""

    @property
    def ratio(self) -> float | None:
        """How many times the persona's own share; None where it never says it."""
        return self.share / self.own_share if self.own_share > 0 else None


def mannerisms(
    replies: Sequence[str],
    prompts: Sequence[str],
    persona: Sequence[str],
    plain: Sequence[str] = (),
) -> list[Mannerism]:
    """Over-used phrases, the longest first, then by share; none for fewer than eight replies."""
    if len(replies) < 8 or len(persona) < 8:
        return []
    asked = [set(_runs(words(prompt))) for prompt in prompts]
    spoken, own, other = (
        [words(text)[:_READ_WORDS] for text in texts] for texts in (replies, persona, plain)
    )
    counts: Counter[tuple[str, ...]] = Counter()
    for said, question in zip(spoken, asked, strict=True):
        counts.update(set(_runs(said)) - question)
    fewest = max(_FEWEST, 0.04 * len(replies))
    common = {run for run, count in counts.items() if count >= fewest}
    of_persona, of_plain = _count(own, common), _count(other, common)
    length = _length(spoken)
    found = []
    for run in common:
        share = counts[run] / len(replies)
        allowed = max(
            _at_length(_high(of_persona[run], len(own)), length / _length(own)),
            _at_length(_high(of_plain[run], len(other)), length / _length(other)) if other else 0,
        )
        if _low(counts[run], len(replies)) > min(_TIMES * allowed, (1 + allowed) / 2):
            phrase = " ".join(run)
            found.append(Mannerism(phrase, share, of_persona[run] / len(own), allowed))
    return sorted(found, key=lambda m: (-m.phrase.count(" "), -m.share, m.phrase))


def thin(replies: Sequence[str], over: Sequence[Mannerism]) -> tuple[list[str], list[float]]:
    """The replies without over-used phrases beyond their share, and the share of words taken out.

    Which replies keep a phrase is decided by their place: the first ones that the share allows.
    """
    marks = [
        [(fold(m.group()), m.start()) for m in WORD.finditer(reply)][:_READ_WORDS]
        for reply in replies
    ]
    said = [[word for word, _ in some] for some in marks]
    alive = [[True] * len(some) for some in said]
    for mannerism in over:
        run = mannerism.phrase.split()
        left = int(mannerism.allowed * len(replies))
        for spoken, keep in zip(said, alive, strict=True):
            places = [
                k
                for k in range(len(spoken) - len(run) + 1)
                if spoken[k : k + len(run)] == run and all(keep[k : k + len(run)])
            ]
            if places and left > 0:
                left -= 1
                continue
            for k in places:
                keep[k : k + len(run)] = [False] * len(run)
    texts: list[str] = []
    gone: list[float] = []
    for reply, marked, keep in zip(replies, marks, alive, strict=True):
        if all(keep):
            texts.append(reply)
            gone.append(0.0)
            continue
        ends = [*(start for _, start in marked[1:]), len(reply)]
        kept = [
            reply[start:end]
            for (_, start), end, stays in zip(marked, ends, keep, strict=True)
            if stays
        ]
        texts.append("".join(kept).strip())
        gone.append(1 - float(np.mean(keep)))
    return texts, gone


def _runs(said: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        tuple(said[k : k + size])
        for size in range(1, LONGEST + 1)
        for k in range(len(said) - size + 1)
    ]


def _count(
    texts: Sequence[Sequence[str]], wanted: set[tuple[str, ...]]
) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for said in texts:
        found.update(set(_runs(said)) & wanted)
    return found


def _length(texts: Sequence[Sequence[str]]) -> float:
    return max(1.0, float(np.mean([len(said) for said in texts])))


def _at_length(share: float, times: float) -> float:
    return float(1 - (1 - share) ** max(1.0, times))


def _high(count: int, n: int) -> float:
    return _wilson(count, n, 1)


def _low(count: int, n: int) -> float:
    return _wilson(count, n, -1)


def _wilson(count: int, n: int, side: int) -> float:
    share, z2 = count / n, _Z * _Z
    middle = share + z2 / (2 * n)
    wide = _Z * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return float(np.clip((middle + side * wide) / (1 + z2 / n), 0, 1))
