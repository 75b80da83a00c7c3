from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals import novelty as module
from molting.signals.novelty import novelty

TEXTS = [
    "The tide was out and we walked to the bar.",
    "Mind the gulls, they steal what shines.",
    "the tide was out and we walked to the bar",
    "A pot is no place for an honest crab.",
]


def test_a_copy_is_not_novel_and_names_its_twin() -> None:
    found = novelty(TEXTS)
    assert found[0].nearest == 2
    assert found[2].nearest == 0
    assert found[0].value == pytest.approx(found[2].value)
    assert found[0].value is not None
    assert found[0].value < 0.1
    assert all(one.value is not None and one.value > 0.6 for one in (found[1], found[3]))


@pytest.mark.parametrize("texts", [[], ["alone"], ["alone", ""], ["", "  "]])
def test_without_another_text_it_is_unknown(texts: list[str]) -> None:
    assert novelty(texts) == [(None, None)] * len(texts)


def test_an_encoder_sees_sense() -> None:
    def encode(texts: object) -> np.ndarray:
        return np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]])

    found = novelty(TEXTS, encode)
    assert [one.nearest for one in found] == [3, 2, 1, 0]
    assert [one.value for one in found] == pytest.approx([0.0, 0.2, 0.2, 0.0])


def test_many_texts_give_the_same_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    words = [f"w{i}" for i in range(400)]
    texts = [" ".join(random.choice(words, 12)) for _ in range(300)]
    texts[50] = texts[7] + " so"
    texts[299] = texts[100]
    exact = novelty(texts)
    monkeypatch.setattr(module, "_EXACT_UP_TO", 100)
    quick = novelty(texts)
    assert (quick[50].nearest, quick[7].nearest) == (7, 50)
    assert (quick[299].nearest, quick[100].nearest) == (100, 299)
    for a, b in zip(exact, quick, strict=True):
        assert a.value is not None
        assert b.value is not None
        # What is proposed may miss the nearest by a little, never find a nearer one.
        assert a.value - 1e-6 <= b.value <= a.value + 0.25


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=20), max_size=8))
def test_novelty_is_a_share_and_the_nearest_is_another(texts: list[str]) -> None:
    for i, one in enumerate(novelty(texts)):
        assert (one.value is None) == (one.nearest is None)
        if one.value is not None:
            assert 0.0 <= one.value <= 1.0
            assert one.nearest != i
