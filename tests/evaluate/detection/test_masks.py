"""What gives a label away is covered; ordinary words are not."""

from __future__ import annotations

import pytest

from molting.evaluate.detection.masks import mask_names, mask_types


@pytest.mark.parametrize(
    "text",
    [
        "INFP", "infj", "ENTPs", "Infp's", "xNTP", "INxx", "NF", "SJs", "Ni", "Fe-dom", "Ti user",
        "J/P", "introverted", "Extroverts", "extraversion", "ambivert", "feelers", "MBTI",
        "Myers-Briggs", "4w5", "enneagram",
    ],
)  # fmt: skip
def test_names_and_words_of_the_typology_are_covered(text: str) -> None:
    assert mask_types(f"so, {text} then").startswith("so, […]")


@pytest.mark.parametrize(
    "text",
    [
        "I feel that thinking is fun and judging is not",
        "no one is in the sea at 4 in the afternoon",
        "Tea for two, said Ned; the divert was in vain",
        "He was INFORMED about the ISTHMUS and the tie",
        "it is what it is",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert mask_types(text) == text


def test_persons_lose_their_names_and_keep_who_speaks() -> None:
    text = "Mara Quill: Ask Tobin Ash!\nTobin Ash: Mara, no. (Quill leaves with Ida)"
    assert mask_names(text, "Mara Quill", ("Tobin Ash", "Ida")) == (
        "SELF: Ask OTHER!\nOTHER: SELF, no. (SELF leaves with OTHER)"
    )
