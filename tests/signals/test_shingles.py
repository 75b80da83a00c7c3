from __future__ import annotations

import itertools

import numpy as np
import pytest
from benchmarks import planted_copies
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.shingles import (
    COMPARABLE,
    SHORT,
    SHORT_REACH,
    gathered,
    members,
    similarity,
    spoken,
)
from molting.signals.text import character_ngrams, fold, jaccard
from molting.signals.verify import verify

LAWS = settings(max_examples=60, deadline=None)
TEXT = st.text(st.sampled_from("ab c!?😂éß"), max_size=40) | st.text(max_size=40)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("ok!", "OK", 1.0),
        ("hello 😂", "Hello!", 1.0),
        ("haha", "hahaha", 1.0),
        ("thanks", "thnaks", 2 / 10),
        ("yes", "no", 0.0),
        ("?", "!", 0.0),
        ("😂😂", "😂😂😂", 2 / 3),
        ("no", "now", 1 / 4),
        ("ok", "ok" + "!" * 30, 1.0),
        ("ok", "ok" + "!" * 31, 0.0),
        ("", "", 0.0),
        ("", "ok", 0.0),
    ],
)
def test_short_texts_are_measured_by_their_words(left: str, right: str, expected: float) -> None:
    assert similarity(left, right) == similarity(right, left) == expected


def test_from_twelve_characters_on_four_grams_are_what_counts() -> None:
    left, right = "a longer text.", "a longer text!"
    assert min(len(left), len(right)) >= SHORT
    assert similarity(left, right) == jaccard(character_ngrams(left), character_ngrams(right)) < 1
    # One of the two is short: the words decide.
    assert similarity("a long one!", "a long one!!") == 1.0


def test_spoken_keeps_a_text_without_words() -> None:
    assert spoken("well, yes!") == " well yes "
    assert spoken(":-)") == " :-) "


def test_members_are_the_distinct_texts_that_are_not_empty() -> None:
    found = members(["Aye.", "", "a longer text than that", "aye.", " \n"], 0.5)
    assert found.text.tolist() == [2, 0, 2]
    assert found.digests.shape == (5, 2)
    assert (found.digests[0] == found.digests[3]).all()
    assert not found.digests[[1, 4]].any()


@LAWS
@given(st.lists(TEXT, min_size=2, max_size=8), st.sampled_from([0.05, 0.3, 0.5, 0.7, 1.0]))
def test_every_pair_at_the_floor_meets_in_one_family_with_its_similarity(
    texts: list[str], floor: float
) -> None:
    found = members(texts, floor)
    first = {fold(text): i for i, text in reversed(list(enumerate(texts)))}
    for left, right in itertools.combinations(sorted(set(first.values())), 2):
        expected = similarity(texts[left], texts[right])
        measured = [
            float(verify(found.grams, found.grams, (np.array([a]), np.array([b])))[0])
            for a in np.flatnonzero(found.text == left)
            for b in np.flatnonzero(found.text == right)
            if COMPARABLE[3 * int(found.kind[a]) + int(found.kind[b])]
        ]
        if expected >= floor:
            assert measured == [expected]
        else:
            assert measured in ([], [expected])


@LAWS
@given(st.lists(st.text(min_size=SHORT, max_size=60), min_size=1, max_size=6))
def test_the_arrays_hold_each_ngram_once_and_sorted(texts: list[str]) -> None:
    found = members(texts, 1.0)
    for member, text in enumerate(found.text):
        if found.kind[member] != 0:
            continue
        values, counts = gathered(found.grams, np.array([member]))
        folded = fold(texts[text])
        assert counts.tolist() == [len({folded[i : i + 4] for i in range(len(folded) - 3)})]
        assert (np.diff(values.astype(np.int64)) > 0).all()


def test_half_a_surrogate_pair_is_a_character_like_any_other() -> None:
    texts = ["an odd character \ud800 here", "an odd character \ud801 here"]
    found = members(texts, 0.5)
    assert (found.digests[0] != found.digests[1]).any()
    both = verify(found.grams, found.grams, (np.array([0]), np.array([1])))
    assert both[0] == similarity(*texts) < 1


def test_lengths_that_meet() -> None:
    assert SHORT < SHORT_REACH, "or a short text would be like none that is not short"


@LAWS
@given(TEXT, TEXT)
def test_the_benchmarks_own_writing_of_the_definition_agrees(left: str, right: str) -> None:
    assert planted_copies.similarity(left, right) == pytest.approx(similarity(left, right))
