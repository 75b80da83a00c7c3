from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.toxicity import find_toxic, grade, lexicon

# Words come from the lexicon; nothing here spells out the worst ones.
SLURS = [term.term.removesuffix("*") for term in lexicon() if term.kind == "slur"]


def found(text: str) -> list[tuple[str, int]]:
    return [(text[hit.start : hit.end], hit.grade) for hit in find_toxic(text)]


@pytest.mark.parametrize(
    ("text", "worst"),
    [
        ("Damn ye, ye bilge rat, where be me rum?", 1),
        ("Bloody hell, that was close.", 1),
        ("You idiot, the tide is out!", 1),
        ("that is bullshit and you know it", 2),
        ("what a b*tch", 2),
        ("I'll kill you for that", 2),
        ("just kill yourself", 3),
        ("all immigrants should be deported", 3),
        ("Mind the tide, shoreling.", 0),
        ("", 0),
    ],
)
def test_three_grades_and_a_pirates_oath_is_the_mildest(text: str, worst: int) -> None:
    assert grade(text) == worst


@pytest.mark.parametrize(
    "text", ["sh1t", "$hit", "s h i t", "s.h.i.t", "shiiiiit", "sh*t", "SHIT", "shits", "shitting"]
)
def test_a_word_is_found_in_disguise(text: str) -> None:
    for said in (text, f"well, {text}!", f"({text})"):
        assert [g for _, g in found(said)] == [2], said


@pytest.mark.parametrize("slur", SLURS)
def test_the_worst_words_are_found_with_a_digit_or_a_mask_too(slur: str) -> None:
    vowel = next((i for i, c in enumerate(slur) if c in "aeiou" and i > 0), None)
    said = [slur, slur.upper()]
    if vowel is not None and " " not in slur and len(slur) > 3:
        said.append(slur[:vowel] + "*" + slur[vowel + 1 :])
    for text in said:
        assert grade(f"you {text} there") == 3, text


@pytest.mark.parametrize(
    "text",
    [
        "The assassin passed the class assessment in Scunthorpe.",
        "Hello, shell, hellebore and the shiitake mushrooms.",
        "There is a chink in the armour, and the floor is spick and span.",
        "I pricked my finger; a lemon tart helped. She pricked up her ears.",
        "The number 455 and 5** hotels, 4 * 5 # 6.",
        "Grape, drapery, therapist, cockpit, Dickens, Essex, Penistone.",
        "as soon as he asks, it is",
        "He kissed her and kept the class in bass.",
        "All of the women should sing, and all the immigrants should vote.",
        "fire retardants retard the fire",
    ],
)
def test_innocent_words_are_left_alone(text: str) -> None:
    assert found(text) == []


def test_spans_and_the_worst_reading_win() -> None:
    text = "Oh, you piece of shit."
    (hit,) = find_toxic(text)
    assert (text[hit.start : hit.end], hit.kind, hit.grade) == ("piece of shit", "insult", 2)


def test_the_lexicon_is_whole() -> None:
    terms = lexicon()
    assert {term.grade for term in terms} == {1, 2, 3}
    assert len({term.term for term in terms}) == len(terms)
    # Every plain term finds itself, or the quick look before the patterns is wrong.
    for term in terms:
        text = term.term.removesuffix("*") if "**" not in term.term else term.term
        assert grade(text) >= term.grade, term


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from([t.term.removesuffix("*") for t in lexicon()]) | st.text(max_size=8))
)
def test_spans_lie_inside_without_overlap(pieces: list[str]) -> None:
    text = " ".join(pieces)
    hits = find_toxic(text)
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)
    assert all(left.end <= right.start for left, right in itertools.pairwise(hits))
