"""The fused score, the search that uses it, and its memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.memory.embeddings import Remembered
from molting.memory.store import Memory
from molting.models.encoders import FakeEncoder, load_encoder
from molting.signals.semantic import FLOOR, THRESHOLD, at_least, pair_scores, semantic_pairs

FAKE = FakeEncoder()
ROWS = [
    "Hold the small button on the back for ten seconds.",
    "hold  the small button on the back for ten seconds.",
    "Hold the small button at the back for ten seconds!",
    "The soup needs more salt.",
    "The soup needs some more salt, I think.",
    "My dog barks all night.",
    "",
]


class TokenFake(FakeEncoder):
    """Words as tokens, each with the fake's row; counts what passes."""

    name = "token-fake"
    id = "b2:token-fake"

    def __init__(self) -> None:
        self.passed: list[str] = []

    def encode(self, texts: Sequence[str]) -> Any:
        self.passed += texts
        return super().encode(texts)

    def encode_tokens(self, texts: Sequence[str]) -> tuple[Any, list[Any], list[Any]]:
        rows = self.encode(texts)
        states = [FAKE.encode(text.split()) for text in texts]
        return rows, states, [np.full(len(s), 0.5, np.float32) for s in states]


@given(st.lists(st.sampled_from(ROWS), min_size=1, max_size=6), st.randoms())
@settings(max_examples=20, deadline=None)
def test_law_scores_are_probabilities_and_symmetric(left: list[str], random: Any) -> None:
    right = left[:]
    random.shuffle(right)
    there, back = pair_scores(left, right, FAKE), pair_scores(right, left, FAKE)
    assert there.shape == (len(left),)
    assert np.allclose(there, back)
    assert ((there >= 0) & (there <= 1)).all()


def test_equal_is_one_empty_is_zero() -> None:
    scores = pair_scores([ROWS[0], "", "", ROWS[3]], [ROWS[1], "", "x", ROWS[5]], FAKE)
    assert scores[:3].tolist() == [1, 0, 0]
    assert scores[3] < 0.2
    assert pair_scores([], [], FAKE).shape == (0,)


@pytest.mark.parametrize("encoder", [FAKE, TokenFake()])
def test_a_contradiction_scores_below_the_same_change_without_one(encoder: Any) -> None:
    base = "You can find the settings under your name in the top right corner."
    other = base.replace("You can find", "You can always find")
    against = base.replace("You can find", "You can never find")
    same, opposite = pair_scores([base, base], [other, against], encoder)
    assert same > opposite


def test_the_search_finds_what_scoring_every_pair_finds() -> None:
    found = semantic_pairs(ROWS, FAKE, FLOOR)
    # The second row folds like the first: an exact duplicate, not a semantic one.
    places = [0, 2, 3, 4, 5]
    every = [(i, j) for i in places for j in places if i < j]
    scores = pair_scores([ROWS[i] for i, _ in every], [ROWS[j] for _, j in every], FAKE)
    wanted = {pair for pair, score in zip(every, scores, strict=True) if score >= FLOOR}
    assert {(p.left, p.right) for p in found} == wanted
    assert (0, 2) in wanted
    assert found == sorted(found)


def test_a_threshold_is_changed_without_another_search() -> None:
    kept = semantic_pairs(ROWS, FAKE, FLOOR)
    assert at_least(kept, THRESHOLD) == semantic_pairs(ROWS, FAKE)
    assert len(at_least(kept, 0.999)) < len(kept)


@pytest.mark.parametrize("rows", [[], ["aye"], ["", "  "], ["aye", "AYE"]])
def test_too_little_to_compare_is_no_pair(rows: list[str]) -> None:
    assert semantic_pairs(rows, FAKE) == []


def test_nothing_passes_the_encoder_twice(tmp_path: Path) -> None:
    inner = TokenFake()
    with Memory(tmp_path) as memory:
        first = pair_scores(ROWS[:3], ROWS[3:6], Remembered(inner, memory))
        found = semantic_pairs(ROWS, Remembered(inner, memory), FLOOR)
        inner.passed.clear()
        again = pair_scores(ROWS[:3], ROWS[3:6], Remembered(inner, memory))
        assert semantic_pairs(ROWS, Remembered(inner, memory), FLOOR) == found
    assert inner.passed == []
    assert np.array_equal(first, again)
    assert np.allclose(first, pair_scores(ROWS[:3], ROWS[3:6], inner), atol=5e-3)


def test_tokens_are_matched_whatever_the_batch() -> None:
    encoder = TokenFake()
    left = [ROWS[0], "salt", ROWS[5], ROWS[4]]
    right = [ROWS[3], ROWS[4], "night dog", "soup"]
    together = pair_scores(left, right, encoder)
    reverse = pair_scores(left[::-1], right[::-1], encoder)[::-1]
    assert np.allclose(together, reverse, atol=1e-6)


@pytest.mark.real
def test_real_encoders_tell_a_paraphrase_from_its_opposite() -> None:
    text = "Our office will be closed from December 24 to January 2."
    same = "We are closed between December 24 and January 2."
    opposite = "Our office will be open from December 24 to January 2."
    number = "Our office will be closed from December 12 to January 9."
    for name in ("minilm", "static"):
        encoder = load_encoder(name)
        rows = encoder.encode([text, same, opposite])
        # The cosine has them the wrong way round; the fused score has not.
        assert rows[0] @ rows[2] > rows[0] @ rows[1]
        scores = pair_scores([text] * 3, [same, opposite, number], encoder)
        assert scores[0] > max(scores[1], scores[2])
