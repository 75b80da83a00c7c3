from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.text import character_ngrams, count_words, first_words, fold, jaccard, words

LAWS = settings(max_examples=100, deadline=None)
ASCII = st.text(st.characters(codec="ascii"), max_size=20)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Aye,  mate.\n", "aye, MATE."),
        ("ﬁsh", "fish"),
        ("STRASSE", "straße"),
        ("a\u00a0b", "A B"),
        ("ｆｕｌｌ", "full"),
        ("e\u0301", "é"),
    ],
)
def test_texts_that_only_look_different_fold_alike(left: str, right: str) -> None:
    assert fold(left) == fold(right)


def test_folding_keeps_what_a_reader_would_tell_apart() -> None:
    assert fold("Aye, mate.") != fold("Aye mate.")
    assert fold("cafe") != fold("café")


@LAWS
@given(ASCII)
def test_folding_ascii_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@LAWS
@given(st.text(max_size=20))
def test_folding_leaves_no_white_space_at_the_ends_or_twice(text: str) -> None:
    folded = fold(text)
    assert "  " not in folded
    assert "\n" not in folded
    assert folded == folded.strip()


def test_words_keep_apostrophes_and_drop_punctuation() -> None:
    assert words("Don't shout, ye ol’ sea-dog!") == ["don't", "shout", "ye", "ol", "sea", "dog"]
    assert words("… !?") == []


def test_first_words_keep_the_text_as_it_is_written() -> None:
    assert first_words("Aye,  Mate! Look\nthere.", 2) == "Aye, Mate!"
    assert first_words("Aye, Mate! Look there.", 9, skip=2) == "Look there."
    assert first_words("Aye, Mate!", 9, skip=2) == ""


@LAWS
@given(st.text(max_size=30), st.integers(1, 5))
def test_ngrams_are_pieces_of_the_folded_text_and_cover_it(text: str, size: int) -> None:
    grams = character_ngrams(text, size)
    folded = fold(text)
    assert all(gram in folded for gram in grams)
    assert bool(grams) == bool(folded)
    assert set("".join(grams)) == set(folded)
    assert all(len(gram) == size for gram in grams) or grams == {folded}


SETS = st.sets(st.integers(0, 9), max_size=6).map(lambda found: {str(i) for i in found})


@LAWS
@given(SETS, SETS)
def test_jaccard_is_symmetric_between_0_and_1_and_1_only_for_equals(
    left: set[str], right: set[str]
) -> None:
    value = jaccard(left, right)
    assert value == jaccard(right, left)
    assert 0 <= value <= 1
    assert (value == 1) == (left == right and bool(left))
    assert (value == 0) == (not left & right)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("Aye.", 1),
        ("Aye, aye - mate!", 4),
        ("はい", 1),
        ("今天天气很好", 3),
        ("สวัสดีครับ", 2),
        ("ok はい thanks", 3),
        ("안녕하세요 여러분", 2),
    ],
)
def test_words_are_counted_in_scripts_without_spaces_too(text: str, count: int) -> None:
    assert count_words(text) == count


@LAWS
@given(ASCII)
def test_text_with_spaces_is_counted_by_them(text: str) -> None:
    assert count_words(text) == len(text.split())
