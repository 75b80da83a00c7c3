from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.duplicates import Pair, exact_pairs, groups, near_pairs, near_pairs_across
from molting.signals.text import character_ngrams, fold, jaccard

LAWS = settings(max_examples=40, deadline=None)
SENTENCES = (
    "The tide is out and the old crab walks.",
    "The tide is out and the old crab walked.",
    "the TIDE is out  and the old crab walks.",
    "The tide is out and the old crab walks slowly.",
    "Never buy a boat from a man with one boot.",
    "Never buy a goat from a man with one boot.",
    "Never buy a boat from a man with no boots.",
    "Salt.",
    "salt.",
    "",
    "  ",
)
TEXTS = st.lists(
    st.sampled_from(SENTENCES) | st.text(st.sampled_from("ab "), max_size=12), max_size=12
)
# 32 bands of 4 miss a pair of similarity 0.8 once in fifteen million: there the proposal is
# certain, and the answer must be the brute-force one.
CERTAIN = st.floats(0.8, 1.0)


def brute_force(texts: list[str], threshold: float) -> list[Pair]:
    grams = [character_ngrams(text) for text in texts]
    return [
        Pair(i, j, jaccard(grams[i], grams[j]))
        for i, j in itertools.combinations(range(len(texts)), 2)
        if jaccard(grams[i], grams[j]) >= threshold
    ]


@LAWS
@given(TEXTS, CERTAIN)
def test_near_pairs_are_the_brute_force_ones(texts: list[str], threshold: float) -> None:
    assert near_pairs(texts, threshold) == brute_force(texts, threshold)


def test_near_pairs_include_what_is_just_alike_enough() -> None:
    pairs = brute_force(list(SENTENCES), 0.7)
    assert any(0.7 <= pair.similarity < 1 for pair in pairs)
    assert near_pairs(SENTENCES, 0.7) == pairs


@LAWS
@given(TEXTS, TEXTS, CERTAIN)
def test_pairs_across_are_symmetric(left: list[str], right: list[str], threshold: float) -> None:
    there = near_pairs_across(left, right, threshold)
    back = near_pairs_across(right, left, threshold)
    assert sorted(Pair(pair.right, pair.left, pair.similarity) for pair in back) == there


@LAWS
@given(TEXTS, CERTAIN)
def test_a_set_against_itself_has_the_same_pairs_as_within(
    texts: list[str], threshold: float
) -> None:
    across = [p for p in near_pairs_across(texts, texts, threshold) if p.left < p.right]
    assert across == near_pairs(texts, threshold)


@LAWS
@given(TEXTS)
def test_every_exact_duplicate_is_found_once_and_names_the_first(texts: list[str]) -> None:
    pairs = exact_pairs(texts)
    folded = [fold(text) for text in texts]
    assert all(folded[p.left] == folded[p.right] and p.similarity == 1 for p in pairs)
    assert all(folded.index(folded[p.right]) == p.left < p.right for p in pairs)
    assert len(pairs) == sum(bool(f) for f in folded) - len({f for f in folded if f})


@LAWS
@given(TEXTS, CERTAIN)
def test_an_exact_duplicate_is_also_a_near_one(texts: list[str], threshold: float) -> None:
    same = groups(len(texts), near_pairs(texts, threshold))
    assert all(same[pair.left] == same[pair.right] for pair in exact_pairs(texts))


@LAWS
@given(st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=12)
    )
))  # fmt: skip
def test_groups_are_a_partition_named_by_their_smallest_member(
    drawn: tuple[int, list[tuple[int, int]]],
) -> None:
    count, edges = drawn
    found = groups(count, [Pair(min(e), max(e), 1.0) for e in edges])
    assert len(found) == count
    for i, root in enumerate(found):
        assert found[root] == root <= i
    # Joined by hand: the same partition, whatever the order of the pairs.
    sets = [{i} for i in range(count)]
    for left, right in edges:
        one, other = (next(s for s in sets if x in s) for x in (left, right))
        if one is not other:
            sets.remove(other)
            one |= other
    assert found == [min(next(s for s in sets if i in s)) for i in range(count)]
    assert found == groups(count, [Pair(min(e), max(e), 1.0) for e in reversed(edges)])


def test_empty_texts_are_like_nothing() -> None:
    assert exact_pairs(["", " ", ""]) == []
    assert near_pairs(["", " ", ""], 0.1) == []
    assert near_pairs_across(["", "Aye."], ["", "Aye."], 0.5) == [Pair(1, 1, 1.0)]


@pytest.mark.parametrize("texts", [[], ["alone"]])
def test_a_pair_needs_two(texts: list[str]) -> None:
    assert near_pairs(texts, 0.5) == exact_pairs(texts) == []


def test_the_answer_is_the_same_every_time() -> None:
    assert near_pairs(SENTENCES, 0.4) == near_pairs(SENTENCES, 0.4)
