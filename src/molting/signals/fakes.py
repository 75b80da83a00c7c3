"""Cheap imitations of a persona, made from its own texts: what a voice score must not reward.

A plain reply with words of the persona stuck to its beginning, its end or both is the commonest
way to look like a persona. What such fakes reach on a detector is the persona's own measure of
how much of a score is still nothing (`evaluate/battery.py`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from molting.signals.text import first_words

_STUCK_WORDS = 6


def fakes(plain: Sequence[str], persona: Sequence[str], seed: int = 0) -> dict[str, list[str]]:
    """Kinds of fakes, each as many as there are plain replies; none without persona texts.

    Each plain reply is cut to the length of one of the persona's texts and takes its first words
    from another and its last words from a third.
    """
    long = [text for text in persona if len(text.split()) >= 2 * _STUCK_WORDS]
    if not long:
        return {}
    draw = random.Random(seed)
    cut = [first_words(text, max(12, len(draw.choice(long).split()))) for text in plain]
    before = [first_words(draw.choice(long), _STUCK_WORDS) for _ in plain]
    after = [" ".join(draw.choice(long).split()[-_STUCK_WORDS:]) for _ in plain]
    triples = list(zip(before, cut, after, strict=True))
    return {
        "stuck_before": [f"{start} {text}" for start, text, _ in triples],
        "stuck_after": [f"{text} {end}" for _, text, end in triples],
        "stuck_on_both": [f"{start} {text} {end}" for start, text, end in triples],
    }
