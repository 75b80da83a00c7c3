"""Windows hold all the words, in order, until there are more than are asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from molting.evaluate.detection.windows import windows

pieces = st.lists(
    st.integers(0, 60).map(lambda n: " ".join(f"w{i}" for i in range(n))), min_size=1, max_size=12
)


@given(pieces, st.integers(8, 30))
def test_no_word_is_lost_or_moved(parts: list[str], words: int) -> None:
    found = windows(parts, words, 10_000)
    assert " ".join(found).split() == " ".join(parts).split()
    assert all(0 < len(text.split()) <= words for text in found)


@given(pieces, st.integers(8, 30), st.integers(1, 5))
def test_a_few_of_many_are_spread_from_the_first_to_the_last(
    parts: list[str], words: int, most: int
) -> None:
    every, some = windows(parts, words, 10_000), windows(parts, words, most)
    assert len(some) == min(most, len(every))
    if len(every) > most > 1:
        assert (some[0], some[-1]) == (every[0], every[-1])


def test_short_posts_stand_together_and_a_full_window_is_left_alone() -> None:
    assert windows(["a b", "c d", "e f g h i j"], 8, 9) == ["a b\nc d\ne f g h", "i j"]
    assert windows(["a b c d e", "f g h i j"], 8, 9) == ["a b c d e", "f g h i j"]
