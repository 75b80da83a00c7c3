from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.mannerisms import mannerisms, thin
from molting.signals.text import words

NOUNS = [
    "tide",
    "gull",
    "kelp",
    "broth",
    "lantern",
    "shell",
    "rope",
    "storm",
    "whelk",
    "pool",
    "sand",
    "wind",
    "oar",
    "net",
    "buoy",
]


def speak(count: int, seed: int, tic: str = "", share: float = 0.0) -> list[str]:
    draw = random.Random(seed)
    return [
        (f"{tic}, " if draw.random() < share else "") + " ".join(draw.choices(NOUNS, k=9)) + "."
        for _ in range(count)
    ]


PROMPTS = ["?"] * 40
OWN = speak(200, 1, "savvy mate", 0.2)


def test_a_phrase_at_the_persona_s_own_rate_is_none() -> None:
    assert mannerisms(speak(40, 2, "savvy mate", 0.2), PROMPTS, OWN) == []


def test_the_same_phrase_in_every_reply_is_over_used_and_says_how_much() -> None:
    found = mannerisms(speak(40, 2, "savvy mate", 1.0), PROMPTS, OWN)
    phrase = next(m for m in found if m.phrase == "savvy mate")
    assert phrase.share == 1.0
    assert phrase.own_share == pytest.approx(0.2, abs=0.08)
    assert phrase.ratio == pytest.approx(1 / phrase.own_share)
    assert [m.phrase.count(" ") for m in found] == sorted(
        (m.phrase.count(" ") for m in found), reverse=True
    )


def test_what_the_persona_never_says_has_no_ratio() -> None:
    found = mannerisms(speak(40, 2, "hark ye", 1.0), PROMPTS, OWN)
    assert next(m for m in found if m.phrase == "hark ye").ratio is None


def test_what_the_prompt_says_or_a_plain_model_says_too_is_no_mannerism() -> None:
    replies = speak(40, 2, "boiled egg", 1.0)
    assert mannerisms(replies, PROMPTS, OWN)
    assert not mannerisms(replies, ["how long for a boiled egg"] * 40, OWN)
    assert not mannerisms(replies, PROMPTS, OWN, speak(100, 3, "boiled egg", 1.0))


def test_longer_replies_may_say_a_phrase_more_often() -> None:
    joined = [" ".join(speak(5, i, "savvy mate", 0.2)) for i in range(40)]
    assert not [m for m in mannerisms(joined, PROMPTS, OWN) if "savvy" in m.phrase]


def test_thinning_leaves_the_persona_s_own_share() -> None:
    replies = speak(40, 2, "savvy mate", 1.0)
    bare, gone = thin(replies, mannerisms(replies, PROMPTS, OWN))
    left = sum("savvy" in text for text in bare)
    assert 8 <= left <= 20
    assert sum(share > 0 for share in gone) == 40 - left
    for text, reply in zip(bare, replies, strict=True):
        assert text in reply


def test_one_constant_reply_is_thinned_away() -> None:
    replies = ["Savvy, mate, the rum is always gone on this ship of mine."] * 40
    bare, _ = thin(replies, mannerisms(replies, PROMPTS, OWN))
    assert sum(not text for text in bare) >= 30


def test_too_few_replies_say_nothing() -> None:
    assert mannerisms(["savvy"] * 7, ["?"] * 7, OWN) == []
    assert mannerisms(["savvy"] * 20, ["?"] * 20, OWN[:7]) == []


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet="ab ,.\n", max_size=30), min_size=8, max_size=12))
def test_thinning_never_adds_a_word(replies: list[str]) -> None:
    bare, gone = thin(replies, mannerisms(replies, ["?"] * len(replies), OWN))
    for text, reply, share in zip(bare, replies, gone, strict=True):
        assert 0 <= share <= 1
        assert len(words(text)) <= len(words(reply))
