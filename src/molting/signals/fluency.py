"""How well a text is predicted by the others of its set: damaged text and odd ones out stand apart.

A character model of the set itself, each text left out of its own prediction. It needs no
language, no dictionary and no base model: garbled words, broken encodings and rows in another
voice or language all come out improbable, because most of the set is none of these.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from molting.signals.stats import Array
from molting.signals.text import fold

_ORDER = 4
_LETTERS = 60
"""Rough size of an alphabet, for the probability of what was never seen."""
_SMOOTH = 0.05
_FEWEST = 20


def predictability(texts: Sequence[str], background: Sequence[str] = ()) -> Array | None:
    """Mean log-probability of a character, in nats, shape (len(texts),); None for under 20 texts.

    `background` is text of the same language that the model learns from as well. An empty text
    gets the value of the median.
    """
    if len(texts) < _FEWEST:
        return None
    grams = [_grams(text) for text in texts]
    seen: Counter[str] = Counter()
    for own in grams:
        seen.update(own)
    for text in background:
        seen.update(_grams(text))
    context: Counter[str] = Counter()
    for gram, count in seen.items():
        context[gram[:-1]] += count
    values = np.full(len(texts), np.nan)
    for i, own in enumerate(grams):
        mine: Counter[str] = Counter()
        for gram, count in own.items():
            mine[gram[:-1]] += count
        nats = 0.0
        for gram, count in own.items():
            before = context[gram[:-1]] - mine[gram[:-1]]
            share = (seen[gram] - count + _SMOOTH) / (before + _SMOOTH * _LETTERS)
            nats += count * math.log(share)
        if own:
            values[i] = nats / sum(own.values())
    known = np.isfinite(values)
    if known.any():
        values[~known] = np.median(values[known])
    return values


def _grams(text: str) -> Counter[str]:
    folded = fold(text)
    if not folded:
        return Counter()
    padded = f" {folded} "
    return Counter(padded[i : i + _ORDER] for i in range(len(padded) - _ORDER + 1))


def outlyingness(values: Array) -> Array:
    """How far each value lies below the median, in robust standard deviations; 0 if above."""
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    if spread <= 0:
        return np.zeros(len(values))
    return np.maximum(0.0, (middle - values) / spread)
