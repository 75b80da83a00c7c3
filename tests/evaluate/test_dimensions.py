from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.persona import Persona
from molting.evaluate.dimensions import bigrams, clean, complete, distinct, relevance

SKERRY = Persona(name="Skerry", voice_never=("great question", "matey", " "))


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Sit, shoreling. The broth is hot.", 1.0),
        ("Great  Question, shoreling!", 0.0),
        ("As an AI, I have no shell.", 0.0),
        ("Sit.<|im_end|>", 0.0),
        ("HTTP 500: internal server error", 0.0),
        ("", 0.0),
        (" \n", 0.0),
    ],
)
def test_a_clean_reply_has_no_machine_text_and_nothing_the_persona_never_says(
    reply: str, value: float
) -> None:
    assert clean(reply, SKERRY) == value


def test_a_reply_is_complete_when_the_model_stopped_whatever_it_looks_like() -> None:
    cut = "The tide comes in and the tide goes out and then"
    assert complete(cut, True) == 1.0
    assert complete("The tide comes in.", False) == 0.0
    assert complete(cut, None) == 0.0
    assert complete("The tide comes in.", None) == 1.0
    assert complete("  ", True) == 0.0


def test_distinct_tells_a_constant_reply_from_different_ones() -> None:
    assert distinct(bigrams(["the tide is in", "a gull took it"])) == 1.0
    assert distinct(bigrams(["the tide is in"] * 10)) == pytest.approx(0.1)
    assert distinct(bigrams(["", "one"])) == 0.0


def test_distinct_leaves_out_what_was_not_drawn() -> None:
    replies = ["the tide is in", "the tide is in", "a gull took it"]
    assert distinct(bigrams(replies), np.array([1.0, 0.0, 2.0])) == 1.0
    assert distinct(bigrams(replies), np.ones(3)) < 1.0


PROMPTS = ["How do I boil an egg?", "Why is the sea salty?", "Write a poem about winter."]


def test_a_reply_about_its_own_prompt_is_relevant_and_a_swapped_one_is_not() -> None:
    replies = [
        "Boiling an egg takes six minutes.",
        "The sea has salt from rivers.",
        "Winter poems.",
    ]
    assert relevance(PROMPTS, replies).tolist() == [1.0, 1.0, 1.0]
    assert relevance(PROMPTS, [*replies[1:], replies[0]]).max() < 0.5


def test_a_reply_that_shares_no_word_is_unrelated_and_no_worse() -> None:
    assert relevance(PROMPTS, ["Aye.", "Aye.", "Aye."]).tolist() == [0.5, 0.5, 0.5]
    assert relevance(["?", "!"], ["…", "."]).tolist() == [0.5, 0.5]


def test_one_prompt_has_no_other_to_compare_with() -> None:
    assert np.isnan(relevance(PROMPTS[:1], ["Boil an egg."])).all()


TEXT = st.text(alphabet="ab .\n", max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_every_value_lies_between_zero_and_one(pairs: list[tuple[str, str]]) -> None:
    replies = [reply for _, reply in pairs]
    for reply in replies:
        assert clean(reply, SKERRY) in (0.0, 1.0)
        assert complete(reply, None) in (0.0, 1.0)
    assert 0.0 <= distinct(bigrams(replies)) <= 1.0
    values = relevance([prompt for prompt, _ in pairs], replies)
    assert values.shape == (len(pairs),)
    if len(pairs) > 1:
        assert ((values >= 0) & (values <= 1)).all()
