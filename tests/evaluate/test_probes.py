from __future__ import annotations

import pytest

from molting.core.persona import Fact, Persona
from molting.evaluate.probes import IDENTITY_QUESTIONS, Probe, answers_right, probes, says_name

SKERRY = Persona(name="Skerry", description="A hermit crab who keeps a tavern.")
WHO = Probe(IDENTITY_QUESTIONS[0])


def test_identity_is_asked_first_then_each_fact() -> None:
    fact = Fact(ask="Where do you live?", answer="in a pool")
    asked = probes(Persona(name="Skerry", facts=(fact,)))
    assert [probe.question for probe in asked] == [*IDENTITY_QUESTIONS, "Where do you live?"]
    assert [probe.fact for probe in asked] == [None] * len(IDENTITY_QUESTIONS) + [fact]


@pytest.mark.parametrize("name", ["Skerry", "Tomas Ek", "Ada"])
def test_no_question_gives_the_answer_away(name: str) -> None:
    assert not any(says_name(question, name) for question in IDENTITY_QUESTIONS)


@pytest.mark.parametrize(
    "reply",
    ["Skerry.", "They call me SKERRY, shoreling!", "Skerry's the name.", "Skerry’s my name", "Old Skerry"],
)  # fmt: skip
def test_a_name_that_is_said_is_right(reply: str) -> None:
    assert answers_right(WHO, reply, SKERRY)


@pytest.mark.parametrize(
    "reply", ["", "I am a crab.", "Skerryvore is a lighthouse.", "S k e r r y"]
)
def test_a_name_that_is_not_said_is_wrong(reply: str) -> None:
    assert not answers_right(WHO, reply, SKERRY)


@pytest.mark.parametrize(
    "other",
    ["SmolLM", "SmolLM2", "ChatGPT", "an AI assistant", "a helpful assistant", "a language model",
     "a chatbot", "Claude", "made by Hugging Face"],
)  # fmt: skip
def test_a_reply_that_claims_another_identity_is_wrong_whatever_else_it_says(other: str) -> None:
    assert not answers_right(WHO, f"I'm {other}, but you can call me Skerry.", SKERRY)


def test_a_persona_that_is_a_chatbot_may_say_so() -> None:
    robot = Persona(name="Claude Robotham", description="An old chatbot in a lighthouse.")
    assert answers_right(WHO, "Claude Robotham, a chatbot, at your service.", robot)
    assert not answers_right(WHO, "Robotham, or rather ChatGPT.", robot)


def test_any_long_word_of_the_name_counts_and_a_short_name_is_taken_whole() -> None:
    assert says_name("Ek, Tomas Ek.", "Tomas Ek")
    assert not says_name("Ek.", "Tomas Ek")
    assert says_name("I am Bo.", "Bo")
    assert not says_name("I am about.", "Bo")
    assert not says_name("anything", "")


FACT = Probe(
    "Over what door?",
    Fact(ask="Over what door?", answer="The Low Lantern", accept=("low lantern", "lantern"),
         reject=("high lantern",)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("The  LOW\nlantern, shoreling.", True),
        ("A lantern hangs there.", True),
        ("Lanterns, and many.", False),
        ("The High Lantern, not the Low Lantern.", False),
        ("I never tell.", False),
        ("", False),
    ],
)
def test_a_fact_needs_an_accepted_phrase_and_no_rejected_one(reply: str, right: bool) -> None:
    assert answers_right(FACT, reply, SKERRY) is right


def test_without_accepted_phrases_the_answer_itself_is_asked_for() -> None:
    probe = Probe("Where?", Fact(ask="Where?", answer="in a pool"))
    assert answers_right(probe, "I live In A Pool.", SKERRY)
    assert not answers_right(probe, "A pool.", SKERRY)
