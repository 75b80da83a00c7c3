from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.signals.repetition import find_loops, repetition


def found(text: str) -> list[str]:
    return [text[hit.start : hit.end] for hit in find_loops(text)]


def test_repetition_is_the_share_of_word_pairs_that_came_before() -> None:
    assert repetition("one two three four five") == 0.0
    assert repetition("aye mate aye mate aye mate aye mate") == pytest.approx(1 - 2 / 7)
    assert repetition("aye aye aye") == 0.0, "three words are no loop"
    assert repetition("") == 0.0


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("Well. the sea is deep the sea is deep the sea is deep so", "the sea is deep the sea is deep the sea is deep"),
        ("aye aye aye aye aye aye aye", "aye aye aye aye aye aye aye"),
        ("and so aaaaaaaaaaaaaaaaaaaaargh", "aaaaaaaaaaaaaaaaaaaaa"),
        ("I am a crab. Who am I? I am a crab here. And I am a crab here. No: I am a crab here.", None),
    ],
)  # fmt: skip
def test_a_loop_is_marked(text: str, loop: str | None) -> None:
    assert found(text) == ([loop] if loop else [])


def test_a_sentence_that_comes_back_is_marked_from_the_third_time_on() -> None:
    text = "The tide turns at noon. Mind it. The tide turns at noon. So? The tide turns at noon."
    assert found(text) == ["The tide turns at noon."]
    hit = find_loops(text)[0]
    assert hit.start == text.rindex("The tide")


@pytest.mark.parametrize(
    "text",
    [
        "No, no, no, no! Never, never.",
        "hahahahahaha lolololol",
        "Row, row, row your boat, gently down the stream. Row, row, row your boat.",
        "one two three four five six seven eight nine ten",
        "=====================", "", "ha ha ha ha ha",
    ],
)  # fmt: skip
def test_people_repeat_themselves_a_little(text: str) -> None:
    assert found(text) == []


@given(st.lists(st.sampled_from(["aye", "mate", "the", "sea", "."]), max_size=40))
def test_spans_lie_inside_without_overlap(words: list[str]) -> None:
    text = " ".join(words)
    hits = find_loops(text)
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)
    assert all(left.end <= right.start for left, right in itertools.pairwise(hits))
    assert 0.0 <= repetition(text) < 1.0
