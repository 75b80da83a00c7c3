"""Loops: text that says the same again and again, as small models do when they lose the thread."""

from __future__ import annotations

import itertools
import re

from molting.signals.noise import Hit
from molting.signals.text import fold, words

_COMMON = 4
"""A bigram may come back this many words' share before it counts as a loop."""
_LONGEST_PERIOD = 24
_TIMES = {1: 6, 2: 5, 3: 4}
"""How often words must come at once: people say "no, no, no, no"; three times for longer ones."""
_WORD = re.compile(r"\w+(?:['’]\w+)*")
_CHARACTERS = re.compile(r"(\w)\1{14,}|([^\W\d_]{2,5}?)\2{14,}")
"""Laughter ("hahahahaha") is shorter than that."""
_SENTENCE = re.compile(r"[^.!?\n…。！？]+[.!?…。！？]*")


def repetition(text: str) -> float:
    """Share of word bigrams that came before in the same text, 0 to 1."""
    spoken = words(text)
    bigrams = list(itertools.pairwise(spoken))
    if len(bigrams) < _COMMON:
        return 0.0
    return 1.0 - len(set(bigrams)) / len(bigrams)


def find_loops(text: str) -> list[Hit]:
    """Where words, sentences or characters are repeated as nobody would, without overlaps."""
    places = [(m.start(), m.end()) for m in _WORD.finditer(text)]
    said = [fold(text[start:end]) for start, end in places]
    found = [Hit("loop", m.start(), m.end()) for m in _CHARACTERS.finditer(text)]
    for period in range(1, min(_LONGEST_PERIOD, len(said) // 3) + 1):
        needed = period * (_TIMES.get(period, 3) - 1)
        run = 0
        for i in range(period, len(said) + 1):
            if i < len(said) and said[i] == said[i - period]:
                run += 1
                continue
            if run >= needed:
                found.append(Hit("loop", places[i - run - period][0], places[i - 1][1]))
            run = 0
    found += _sentences(text)
    kept: list[Hit] = []
    for hit in sorted(found, key=lambda hit: (hit.start, -hit.end)):
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
        elif hit.end > kept[-1].end:
            kept[-1] = Hit("loop", kept[-1].start, hit.end)
    return kept


def _sentences(text: str) -> list[Hit]:
    """The third and later time that a sentence of some length is said."""
    seen: dict[str, int] = {}
    found = []
    for match in _SENTENCE.finditer(text):
        key = " ".join(words(match.group()))
        if key.count(" ") < 3:
            continue
        seen[key] = seen.get(key, 0) + 1
        if seen[key] >= 3:
            start = match.end() - len(match.group().lstrip())
            found.append(Hit("loop", start, match.start() + len(match.group().rstrip())))
    return found
