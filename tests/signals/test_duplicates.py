from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.errors import UsageError
from molting.signals.duplicates import (
    Duplicates,
    Match,
    Pair,
    exact_pairs,
    find_duplicates,
    groups,
    near_pairs,
    near_pairs_across,
)
from molting.signals.shingles import similarity
from molting.signals.text import fold

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
THRESHOLD = st.floats(0.5, 1.0)


def brute_force(texts: list[str], threshold: float) -> list[Pair]:
    pairs = (
        Pair(i, j, similarity(texts[i], texts[j]))
        for i, j in itertools.combinations(range(len(texts)), 2)
    )
    return [pair for pair in pairs if pair.similarity >= threshold]


@LAWS
@given(TEXTS, THRESHOLD)
def test_near_pairs_are_the_brute_force_ones(texts: list[str], threshold: float) -> None:
    assert near_pairs(texts, threshold) == brute_force(texts, threshold)


def test_near_pairs_include_what_is_just_alike_enough() -> None:
    pairs = brute_force(list(SENTENCES), 0.7)
    assert any(0.7 <= pair.similarity < 1 for pair in pairs)
    assert near_pairs(SENTENCES, 0.7) == pairs


@LAWS
@given(TEXTS, TEXTS, THRESHOLD)
def test_pairs_across_are_symmetric(left: list[str], right: list[str], threshold: float) -> None:
    there = near_pairs_across(left, right, threshold)
    back = near_pairs_across(right, left, threshold)
    assert sorted(Pair(pair.right, pair.left, pair.similarity) for pair in back) == there


@LAWS
@given(TEXTS, THRESHOLD)
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
@given(TEXTS, THRESHOLD)
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


@LAWS
@given(TEXTS)
def test_groups_of_rows_part_them_as_the_pairs_do(texts: list[str]) -> None:
    found = find_duplicates(texts, 0.7)
    made = found.groups()
    number = groups(len(texts), brute_force(texts, 0.7))
    expected = {i: [j for j in range(len(texts)) if number[j] == i] for i in set(number)}
    assert {group.rows[0]: list(group.rows) for group in made} == {
        first: rows for first, rows in expected.items() if len(rows) > 1
    }
    listed = [pair for group in made for pair in group.pairs]
    assert sorted(listed) == list(found.pairs())
    for group in made:
        inside = set(group.rows)
        assert group.representative in inside
        assert {i for pair in group.pairs for i in (pair.left, pair.right)} == inside
        assert group.complete


@LAWS
@given(TEXTS, st.randoms(use_true_random=False))
def test_shuffled_rows_make_the_same_groups(texts: list[str], draw: random.Random) -> None:
    order = list(range(len(texts)))
    draw.shuffle(order)
    straight = {frozenset(group.rows) for group in find_duplicates(texts, 0.6).groups()}
    shuffled = find_duplicates([texts[i] for i in order], 0.6).groups()
    assert straight == {frozenset(order[i] for i in group.rows) for group in shuffled}


@LAWS
@given(TEXTS, st.lists(THRESHOLD, min_size=2, max_size=4))
def test_a_threshold_changed_afterwards_is_a_search_with_it(
    texts: list[str], thresholds: list[float]
) -> None:
    found = find_duplicates(texts, 0.9)
    for threshold in thresholds:
        fresh = find_duplicates(texts, threshold)
        assert list(found.at(threshold).pairs()) == list(fresh.pairs())
        assert found.at(threshold).groups() == fresh.groups()
        together = [*found.at(threshold).pairs(), *found.at(threshold).weaker()]
        assert sorted(together) == list(found.at(0.5).pairs())
    low, *_, high = sorted(thresholds)
    coarse = {i: group.rows[0] for group in found.at(low).groups() for i in group.rows}
    for group in found.at(high).groups():
        assert len({coarse[i] for i in group.rows}) == 1, "raising a threshold only parts groups"


def test_a_threshold_below_the_floor_is_refused() -> None:
    found = find_duplicates(SENTENCES, 0.7)
    with pytest.raises(UsageError, match=r"below a similarity of 0\.5 were not kept"):
        found.at(0.4)
    assert list(find_duplicates(SENTENCES, 0.3).at(0.3).pairs())


def test_every_pair_tells_its_kind_level_and_similarity() -> None:
    found = find_duplicates([SENTENCES[0], SENTENCES[1], SENTENCES[2]], 0.7, level="turn")
    near = similarity(SENTENCES[0], SENTENCES[1])
    assert list(found.pairs()) == [
        Match(0, 1, near, "near", "turn"),
        Match(0, 2, 1.0, "exact", "turn"),
        Match(1, 2, near, "near", "turn"),
    ]


def test_pairs_of_other_kinds_join_the_same_groups() -> None:
    texts = [SENTENCES[0], SENTENCES[1], SENTENCES[4], "Salt and nothing else, at last."]
    found = find_duplicates(texts, 0.7)
    # A pair that is near already is not told twice.
    meaning = [Pair(0, 1, 0.97), Pair(1, 2, 0.92), Pair(2, 3, 0.81)]
    joined = found.joined("semantic", meaning, 0.8).joined("other", [Pair(0, 3, 0.0)])
    assert [group.rows for group in found.groups()] == [(0, 1)]
    assert [group.rows for group in joined.groups()] == [(0, 1, 2, 3)]
    strict = joined.at(semantic=0.9, other=0.5)
    (group,) = strict.groups()
    assert [(p.left, p.right, p.kind) for p in group.pairs] == [(0, 1, "near"), (1, 2, "semantic")]
    # The near threshold stays what it was.
    assert strict.thresholds["near"] == 0.7
    assert [(p.left, p.right, p.kind) for p in strict.weaker()] == [
        (0, 3, "other"),
        (2, 3, "semantic"),
    ]


def test_pairs_of_other_kinds_go_across_two_sets_through_their_copies() -> None:
    texts = ["Salt and rope.", "A fair wind.", "salt AND rope.", "A wind that is kind to us."]
    found = find_duplicates(texts, 0.9, boundary=2)
    # The first text stands on both sides, the second on the left only.
    joined = found.joined("semantic", [Pair(0, 1, 0.9), Pair(0, 3, 0.95), Pair(1, 3, 0.9)], 0.8)
    assert [(p.left, p.right, p.kind) for p in joined.pairs()] == [
        (0, 2, "exact"),
        (0, 3, "semantic"),
        (1, 2, "semantic"),
        (1, 3, "semantic"),
    ]


def test_copies_of_two_alike_texts_do_not_multiply() -> None:
    texts = ["The tide is out.", "The tide is out!"] * 500
    found = find_duplicates(texts, 0.7)
    pairs = list(found.pairs())
    assert len(pairs) == 2 * 499 + 999
    (group,) = found.groups()
    assert len(group.rows) == 1000
    assert {i for p in pairs if p.kind == "near" for i in (p.left, p.right)} == set(range(1000))


@LAWS
@given(TEXTS, TEXTS)
def test_across_sets_every_pair_goes_across(left: list[str], right: list[str]) -> None:
    found = find_duplicates([*left, *right], 0.6, boundary=len(left))
    pairs = {(p.left, p.right - len(left)) for p in found.pairs()}
    assert all(a < len(left) and b >= 0 for a, b in pairs)
    expected = near_pairs_across(left, right, 0.6)
    assert {a for a, _ in pairs} == {pair.left for pair in expected}
    assert {b for _, b in pairs} == {pair.right for pair in expected}
    assert pairs <= {(pair.left, pair.right) for pair in expected}


def test_a_crowd_says_that_not_every_pair_is_listed() -> None:
    texts = [f"Your parcel number {i} is on its way to you." for i in range(120)]
    (group,) = find_duplicates(texts, 0.7).groups()
    assert len(group.rows) == 120
    assert not group.complete
    assert len(group.pairs) < 120 * 119 / 2
    assert isinstance(find_duplicates(texts, 0.7), Duplicates)
