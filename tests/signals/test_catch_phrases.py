from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.catch_phrases import PhraseBudget, over_used

WORDS = [
    "gull",
    "rope",
    "tide",
    "oar",
    "mast",
    "keel",
    "crow",
    "plank",
    "sail",
    "fog",
    "moon",
    "shell",
    "barrel",
    "lamp",
    "cork",
    "net",
]


def reply(i: int, start: str = "", end: str = "", middle: str = "") -> str:
    said = random.Random(i).sample(WORDS, 8)
    half = " ".join(said[:4]), " ".join(said[4:])
    return f"{start} {half[0]} {middle} {half[1]} {end}".strip() + "."


def test_openers_closers_and_phrases_are_told_apart() -> None:
    replies = [
        reply(i, "Well now," if i % 3 == 0 else "", "mark my words" if i % 3 == 1 else "",
              "at the end of the day" if i % 3 == 2 else "")
        for i in range(60)
    ]  # fmt: skip
    found = over_used(replies, [""] * 60, PhraseBudget())
    assert {(o.where, o.phrase) for o in found} == {
        ("opener", "well now"), ("closer", "mark my words"), ("phrase", "at the end of the day"),
    }  # fmt: skip
    for over in found:
        assert len(over.replies) == 20
        assert over.beyond == over.replies[over.allowed :]
        assert over.allowed == int(over.budget * 60)


def test_a_signature_within_its_budget_is_legitimate() -> None:
    replies = [reply(i, "Salt and shell," if i % 10 == 0 else "") for i in range(100)]
    assert over_used(replies, [""] * 100, PhraseBudget()) == []
    assert over_used(replies, [""] * 100, PhraseBudget(most=0.05, least=0.05))


def test_a_corpus_of_many_habits_has_a_wider_budget() -> None:
    habits = [
        f"{word} {word}"
        for word in [
            "ahoy",
            "avast",
            "blimey",
            "crikey",
            "egad",
            "fie",
            "gad",
            "hark",
            "lo",
            "pray",
            "zounds",
            "yea",
        ]
    ]
    many = [reply(i, habits[i % 12] + ",") for i in range(120)]
    one = [reply(i, habits[0] + "," if i % 8 == 0 else "") for i in range(120)]
    # Ten habits in every twelfth reply each: five times that, up to the cap.
    assert over_used(many, [""] * 120, PhraseBudget()) == []
    (found,) = over_used(one, [""] * 120, PhraseBudget())
    assert (found.budget, found.where) == (0.1, "opener")


def test_grammar_echoes_copies_and_rare_phrases_do_not_count() -> None:
    budget = PhraseBudget()
    assert over_used([f"It is the {w} that {w}s." for w in WORDS], [""] * 16, budget) == []
    echo = [f"The Golden Goose {w}s." for w in WORDS]
    assert over_used(echo, ["What of the Golden Goose?"] * 16, budget) == []
    assert over_used(echo, [""] * 16, budget)
    assert over_used(["Aye, lad, the tide."] * 50, [""] * 50, budget) == []
    few = [reply(i, "Aye lad," if i < 3 else "") for i in range(6)]
    assert over_used(few, [""] * 6, budget) == []
    assert over_used([], [], budget) == []


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["ah", "aye", "rum", "the", "of", "gull"]), max_size=6),
        max_size=20,
    )
)
def test_every_reply_listed_says_the_phrase_where_it_is_said(spoken: list[list[str]]) -> None:
    replies = [" ".join(said) for said in spoken]
    for over in over_used(replies, [""] * len(replies), PhraseBudget(fewest=2)):
        assert len(over.replies) > over.allowed >= 1
        for place in over.replies:
            text = f" {replies[place]} "
            assert {
                "opener": text.startswith(f" {over.phrase} "),
                "closer": text.endswith(f" {over.phrase} "),
                "phrase": f" {over.phrase} " in text,
            }[over.where]
