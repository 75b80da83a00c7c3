from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.duplicates import Pair, groups
from molting.signals.engines import LocalEngine
from molting.signals.near import Found, find
from molting.signals.shingles import similarity
from molting.signals.text import fold

LAWS = settings(max_examples=30, deadline=None)
WORDS = [
    "tide",
    "crab",
    "salt",
    "gull",
    "shell",
    "rope",
    "mast",
    "wave",
    "sand",
    "moon",
    "key",
    "door",
    "aye",
    "no",
    "ok",
    "well",
]
PHRASE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join)
MARKED = st.tuples(PHRASE, st.sampled_from(["", ".", "!", " 😂", "  ", "?!"])).map("".join)
TEXTS = st.lists(MARKED | st.just(""), max_size=14)


def brute_force(texts: Sequence[str], floor: float) -> dict[tuple[int, int], float]:
    """Pairs of first texts that are not equal, by the definition."""
    folded = [fold(text) for text in texts]
    first = [i for i, text in enumerate(folded) if text and folded.index(text) == i]
    pairs = {(a, b): similarity(texts[a], texts[b]) for a, b in itertools.combinations(first, 2)}
    return {pair: value for pair, value in pairs.items() if value >= floor}


def pairs_of(found: Found) -> dict[tuple[int, int], float]:
    places = zip(found.left.tolist(), found.right.tolist(), strict=True)
    return dict(zip(places, found.similarity.tolist(), strict=True))


def parts(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    return groups(count, [Pair(a, b, 1.0) for a, b in pairs])


def chats(count: int, seed: int = 0) -> list[str]:
    """Distinct turns, some of them near copies of others."""
    draw = random.Random(seed)
    made = [" ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(count // 2)]
    while len(made) < count:
        text = list(draw.choice(made))
        text[draw.randrange(len(text))] = draw.choice("abcdefgh ")
        made.append("".join(text))
    return made


@LAWS
@given(TEXTS, st.sampled_from([0.05, 0.5, 0.7, 0.9, 1.0]))
def test_all_pairs_of_a_small_set_are_found_with_their_similarity(
    texts: list[str], floor: float
) -> None:
    found = find(texts, floor)
    assert pairs_of(found) == brute_force(texts, floor)
    folded = [fold(text) for text in texts]
    assert found.same.tolist() == [folded.index(text) if text else -1 for text in folded]
    assert not found.thinned.any()


@LAWS
@given(TEXTS, st.floats(0.6, 1.0))
def test_bands_miss_nothing_from_some_likeness_on(texts: list[str], floor: float) -> None:
    # Three bytes a band: a pair of 0.6 is missed once in seven million.
    assert pairs_of(find(texts, floor, few=0)) == brute_force(texts, floor)


def test_recall_against_brute_force_on_hundreds_of_turns() -> None:
    texts = chats(500)
    true = brute_force(texts, 0.5)
    found = pairs_of(find(texts, 0.5, few=0, every=True))
    assert found.items() <= true.items()
    assert len(true) > 300
    assert len(found) >= 0.999 * len(true)
    assert {pair for pair, value in true.items() if value >= 0.6} <= found.keys()


@LAWS
@given(TEXTS, st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_shards_and_workers_change_nothing(
    texts: list[str], shard: int, workers: int, all_pairs: bool
) -> None:
    few = 1000 if all_pairs else 0
    one = find(texts, 0.5, few=few, engine=LocalEngine(1))
    other = find(iter(texts), 0.5, few=few, shard=shard, engine=LocalEngine(workers))
    assert pairs_of(one) == pairs_of(other)
    assert (one.same == other.same).all()
    assert (one.thinned == other.thinned).all()


@LAWS
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(texts: list[str], draw: random.Random) -> None:
    order = list(range(len(texts)))
    draw.shuffle(order)
    found = find(texts, 0.5, few=0)
    shuffled = find([texts[i] for i in order], 0.5, few=0)
    assert {frozenset((fold(texts[a]), fold(texts[b]))) for a, b in pairs_of(found)} == {
        frozenset((fold(texts[order[a]]), fold(texts[order[b]]))) for a, b in pairs_of(shuffled)
    }


@LAWS
@given(TEXTS, TEXTS, st.booleans())
def test_across_sets_are_the_pairs_of_the_union_that_go_across(
    left: list[str], right: list[str], all_pairs: bool
) -> None:
    few, texts, boundary = 1000 if all_pairs else 0, [*left, *right], len(left)
    found = find(texts, 0.6, boundary=boundary, few=few)
    sides: dict[int, set[bool]] = {}
    for place, first in enumerate(found.same.tolist()):
        sides.setdefault(first, set()).add(place < boundary)
    assert pairs_of(found) == {
        (a, b): value
        for (a, b), value in brute_force(texts, 0.6).items()
        if len(sides[a] | sides[b]) == 2
    }


def orders(count: int) -> list[str]:
    draw = random.Random(1)
    towns = ["Paris", "Rome", "Oslo", "Lima", "Cairo", "Quito", "Delhi", "Tokyo", "Berlin"]
    return [
        f"Your order #{draw.randrange(10**6)} is on its way to {draw.choice(towns)}, "
        f"day {draw.randrange(31)}."
        for _ in range(count)
    ]


def oks(count: int) -> list[str]:
    draw = random.Random(2)
    made = {
        draw.choice(["ok", "okay", "yes", "no", "lol", "haha", "thanks"])
        + draw.choice(["", "!", ".", "…", " :)", "?"]) * draw.randint(1, 12)
        + draw.choice(["", "x", "s", "k"])
        for _ in range(20 * count)
    }
    return sorted(made)[:count]


@pytest.mark.parametrize("make", [orders, oks])
def test_crowds_keep_every_duplicate_and_every_group(make: object) -> None:
    texts = make(300)  # type: ignore[operator]
    true = brute_force(texts, 0.5)
    assert len(true) > 5_000
    found = find(texts, 0.5, few=0)
    pairs = pairs_of(found)
    assert pairs.items() <= true.items()
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        all_true = [pair for pair, value in true.items() if value >= threshold]
        listed = [pair for pair, value in pairs.items() if value >= threshold]
        assert parts(len(texts), listed) == parts(len(texts), all_true)
        assert {i for pair in listed for i in pair} == {i for pair in all_true for i in pair}
    assert len(pairs) <= 40 * len(texts)
    assert found.thinned[[i for pair in true.keys() - pairs.keys() for i in pair]].all()


def test_thousands_of_the_same_reply_are_one_text() -> None:
    texts = ["ok", "OK ", "sounds good to me", "ok!"] * 5_000
    found = find(texts, 0.5)
    assert pairs_of(found) == {(0, 3): 1.0}
    assert np.unique(found.same).tolist() == [0, 2, 3]


def test_the_texts_are_read_once_and_in_parts() -> None:
    waiting = 0

    def stream() -> Iterator[str]:
        nonlocal waiting
        for waiting in range(3_000):
            yield f"turn number {waiting} of a long chat"

    seen: list[int] = []

    class Watch:
        def step(self, task: str, done: float, total: float, note: str = "") -> None:
            seen.append(waiting)

        def say(self, line: str) -> None:
            raise AssertionError

    find(stream(), 0.9, shard=100, engine=LocalEngine(1), progress=Watch())
    assert seen[-1] == 2_999
    with_length = [f"turn number {i}" for i in range(300)]
    assert len(find(with_length, 0.9, shard=100, progress=Watch()).same) == 300


def test_nothing_in_nothing_out() -> None:
    for texts in ([], [""], ["alone"], ["", "  "]):
        found = find(texts, 0.5)
        assert pairs_of(found) == {}
        assert found.same.tolist() == [0 if text.strip() else -1 for text in texts]
