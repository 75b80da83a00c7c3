from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.contrast import neutral_replies
from molting.signals.fluency import outlyingness, predictability

TEXTS = [row.reply for row in neutral_replies()][:60]


def scrambled(text: str, seed: int = 0) -> str:
    draw = random.Random(seed)
    return " ".join("".join(draw.sample(word, len(word))) for word in text.split())


def test_damaged_text_is_less_predictable_than_the_rest() -> None:
    broken = [scrambled(TEXTS[0]), TEXTS[1].replace("e", "ï¿½").replace("a", "Ã©")]
    values = predictability([*TEXTS[2:], *broken])
    assert values is not None
    assert set(np.argsort(values)[:2]) == {len(values) - 2, len(values) - 1}
    assert outlyingness(values)[-2:].min() > 3
    assert np.median(outlyingness(values)) == pytest.approx(0, abs=0.1)


def test_a_text_does_not_vouch_for_itself() -> None:
    odd = scrambled(TEXTS[0]) * 5
    values = predictability([*TEXTS[1:], odd])
    assert values is not None
    assert values[-1] == values.min()


def test_a_few_texts_are_too_few_and_an_empty_one_is_in_the_middle() -> None:
    assert predictability(TEXTS[:19]) is None
    values = predictability([*TEXTS[:30], ""])
    assert values is not None
    assert values[-1] == np.median(values[:-1])
    assert predictability([""] * 20) is not None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_outlyingness_is_never_negative_and_rises_downwards(values: list[float]) -> None:
    found = outlyingness(np.array(values))
    assert (found >= 0).all()
    order = np.argsort(values)
    assert (np.diff(found[order]) <= 1e-9).all()
