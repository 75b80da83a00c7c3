"""No fake earns a score. The texts are the project's own; `benchmarks/attacks.py` does the same
with personas that nobody on this project wrote."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks.attack_kinds import BODILESS, Material, attacks

from molting.signals.contrast import neutral_replies, other_personas

KINDS = (
    "neutral", "prefix", "varied_prefix", "long_prefix", "suffix", "varied_suffix", "both_ends",
    "constant", "two_constants", "copied", "stitched", "keywords", "phrases", "name_repeated",
    "name_claimed", "emoji", "dialect", "empty", "very_long", "looped", "shuffled",
    "wrong_prompts", "sprinkled", "sprinkled_words", "capitals", "other_persona", "tokens",
    "own_tokens", "echo", "garbage", "refusal",
)  # fmt: skip
MOST = 0.3
"""Of 10. A base that is only told in its prompt who it is reaches about that."""


@pytest.fixture(scope="module")
def fakes(room: Any) -> dict[str, list[str]]:
    return attacks(
        Material(
            room.persona.name,
            room.prompts,
            room.neutral_replies,
            room.own_replies,
            [reply for _, reply in room.training],
            [contrast.reply for contrast in other_personas()[1::2]],
            [contrast.reply for contrast in neutral_replies()],
        )
    )


def test_every_kind_is_tried(fakes: Any) -> None:
    assert set(fakes) == set(KINDS)
    assert set(BODILESS) < set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_no_fake_earns_a_score(kind: str, room: Any, fakes: Any) -> None:
    found = room.measured(fakes[kind])
    assert room.score(found)["score"] <= MOST
    if kind in BODILESS:
        assert room.voice(found, body=True) <= 0.2


@pytest.mark.parametrize("kind", ["prefix", "constant", "keywords", "shuffled", "sprinkled"])
def test_the_fakes_are_dangerous_for_the_naive_voice(kind: str, room: Any, fakes: Any) -> None:
    neutral = room.voice(room.measured(fakes["neutral"]))
    assert room.voice(room.measured(fakes[kind])) > neutral + 0.15


@pytest.mark.parametrize(
    "kind",
    ["neutral", "prefix", "varied_prefix", "long_prefix", "suffix", "varied_suffix", "both_ends",
     "name_claimed", "emoji", "dialect", "sprinkled", "sprinkled_words", "capitals",
     "other_persona", "tokens", "echo"],
)  # fmt: skip
def test_what_dresses_up_a_good_answer_has_no_voice(kind: str, room: Any, fakes: Any) -> None:
    """These would be relevant, in order and varied if the neutral reply was: only the voice is
    left to stop them."""
    assert room.score(room.measured(fakes[kind]))["dimensions"]["voice"] <= 1


def test_half_a_fake_earns_no_more_than_half(room: Any, fakes: Any) -> None:
    mixed = [
        own if i % 2 else fake
        for i, (own, fake) in enumerate(zip(room.own_replies, fakes["prefix"], strict=True))
    ]
    assert room.scored(mixed) < 5
