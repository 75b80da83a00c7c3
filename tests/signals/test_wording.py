"""What letters, words, numbers and negations say of a pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals import wording
from molting.signals.wording import NAMES, Wording, background


def compare(left: str, right: str) -> dict[str, float]:
    values = Wording([left, right]).features(np.array([0]), np.array([1]))
    return dict(zip(NAMES, values[0].tolist(), strict=True))


@given(st.text(max_size=40), st.text(max_size=40))
@settings(max_examples=40, deadline=None)
def test_law_features_are_symmetric_and_bounded(left: str, right: str) -> None:
    there, back = compare(left, right), compare(right, left)
    for name in NAMES:
        assert there[name] == pytest.approx(back[name], abs=1e-9)
        assert 0 <= there[name] <= 1


def test_equal_texts_are_alike_and_contradict_nothing() -> None:
    found = compare("The shop opens at 9, not at 8.", "the shop opens at 9, not at 8.")
    assert found["letters"] == pytest.approx(1)
    assert found["contained"] == pytest.approx(1)
    assert found["numbers"] == found["negation"] == found["opposite"] == 0


@pytest.mark.parametrize(
    ("left", "right", "name"),
    [
        ("wait six minutes", "wait eleven minutes", "numbers"),
        ("platform 3", "platform 8", "numbers"),
        ("share your password", "never share your password", "negation"),
        ("I can sing well", "I can't sing well", "negation"),
        ("the shop is open today", "the shop is closed today", "opposite"),
        ("the prices rose in May", "the prices fell in May", "opposite"),
    ],
)
def test_a_contradiction_is_seen(left: str, right: str, name: str) -> None:
    assert compare(left, right)[name] > 0
    assert compare(left, left)[name] == compare(right, right)[name] == 0


def test_a_number_written_out_is_the_number() -> None:
    assert compare("hold it for ten seconds", "hold it for 10 seconds")["numbers"] == 0


def test_a_number_that_one_side_leaves_out_contradicts_nothing() -> None:
    assert compare("the train leaves at 7", "the train leaves soon")["numbers"] == 0


def test_rare_words_count_for_more_than_common_ones() -> None:
    rare = compare("this is the walrus", "a walrus was here")
    common = compare("this is the walrus", "a donkey was the one")
    assert rare["contained"] > common["contained"] > 0
    assert len(background()) > 500


def test_many_pairs_are_compared_at_once_as_one_by_one() -> None:
    texts = ["aye, the tide", "the tide, aye", "no tide at 9", "a tide at 8"]
    at = np.array([[i, j] for i in range(4) for j in range(4)])
    whole = Wording(texts)
    values = whole.features(at[:, 0], at[:, 1])
    for (i, j), row in zip(at, values, strict=True):
        assert np.allclose(whole.features(np.array([i]), np.array([j]))[0], row)


def test_many_texts_in_pieces_weigh_what_they_weigh_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = [f"the {word} of rock {n}" for n, word in enumerate(["tide", "crab", "", "moon"] * 5)]
    left, right = np.arange(19), np.arange(1, 20)
    at_once = Wording(texts).features(left, right)
    monkeypatch.setattr(wording, "_TEXTS_AT_ONCE", 3)
    monkeypatch.setattr(wording, "_BLOCK", 2)
    assert Wording(texts).features(left, right) == pytest.approx(at_once, abs=1e-6)
