from __future__ import annotations

import math
import random

import numpy as np

from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.order import WordOrder

TEXTS = [row.reply for row in neutral_replies()]
ORDER = WordOrder([row.reply for row in other_personas()] + TEXTS[::2])


def shuffled(text: str, seed: int) -> str:
    said = text.split()
    return " ".join(random.Random(seed).sample(said, len(said)))


def test_sentences_it_never_read_are_in_order_and_shuffled_ones_are_not() -> None:
    unseen = TEXTS[1::2]
    assert ORDER.values(unseen).mean() > 0.82
    assert ORDER.values([shuffled(text, i) for i, text in enumerate(unseen)]).mean() < 0.65


def test_a_shuffled_half_shows() -> None:
    whole = ORDER.values(TEXTS[1::2]).mean()
    half = [
        " ".join(text.split()[:20]) + " " + shuffled(" ".join(text.split()[20:]), i)
        for i, text in enumerate(TEXTS[1::2])
    ]
    assert ORDER.values(half).mean() < whole - 0.08


def test_a_few_words_have_no_order() -> None:
    assert math.isnan(ORDER.value("Sit, shoreling."))
    assert np.isnan(ORDER.values(["", "one two"])).all()


def test_it_is_pure() -> None:
    assert ORDER.value(TEXTS[1], 3) == ORDER.value(TEXTS[1], 3)
