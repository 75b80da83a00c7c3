"""The columns that a pair of texts is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from molting.models.encoders import FakeEncoder
from molting.models.vectors import unit
from molting.signals.pair_features import feature_names, features

TEXTS = ["the boat is open", "the boat is open", "the boat is closed", "kelp"]
LEFT, RIGHT = np.array([0, 0, 0]), np.array([1, 2, 3])


class Tokens(FakeEncoder):
    """The fake, with a state for each word."""

    def encode_tokens(self, texts: Sequence[str]) -> tuple[Any, list[Any], list[Any]]:
        states = [unit(self.encode(text.split())) for text in texts]
        return self.encode(texts), states, [np.ones(len(some), np.float32) for some in states]


@pytest.mark.parametrize("encoder", [FakeEncoder(), Tokens()])
def test_there_is_a_column_for_each_name(encoder: Any) -> None:
    found = features(TEXTS, LEFT, RIGHT, encoder)
    assert found.shape == (3, len(feature_names(encoder)))
    assert ("tokens" in feature_names(encoder)) == isinstance(encoder, Tokens)
    # The same text is as close as can be, another on the same matter closer than one on none.
    cosine = found[:, 0]
    assert cosine[0] == pytest.approx(1.0, abs=1e-5)
    assert cosine[0] > cosine[1] > cosine[2]


def test_tokens_are_aligned_both_ways() -> None:
    tokens = features(TEXTS, LEFT, RIGHT, Tokens())[:, feature_names(Tokens()).index("tokens")]
    assert tokens[0] == pytest.approx(1.0, abs=1e-5)
    # Three words of four are the same.
    assert 0.75 <= tokens[1] < 1.0
    assert tokens[2] < 0.5


def test_a_known_cosine_is_taken_as_it_is() -> None:
    known = np.array([0.3, 0.2, 0.1])
    assert features(TEXTS, LEFT, RIGHT, FakeEncoder(), known)[:, 0] == pytest.approx(known)
