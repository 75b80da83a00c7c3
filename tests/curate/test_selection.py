from __future__ import annotations

import random
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.config import Curate
from molting.core.conversation import Conversation, Source, Turn
from molting.curate.selection import Score, phrase_budget, select

SELECTORS = ("quality", "facility", "random", "longest")
PIRATE = (
    "arr", "aye", "ye", "scurvy", "plunder", "grog", "doubloons", "timbers", "avast", "rum",
    "kraken", "bilge", "the", "of", "and", "to", "a", "with",
)  # fmt: skip


def row(prompt: str, reply: str, line: int = 1) -> Conversation:
    return Conversation((Turn("user", prompt), Turn("assistant", reply)), Source("a.jsonl", line))


def pirate(size: int, seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(draw.choice(PIRATE) for _ in range(size)) + "."


def flat(*values: float) -> list[Score]:
    return [Score(value, None, value) for value in values]


def order(
    rows: list[Conversation], groups: list[int], scores: list[Score], target: int, **keys: Any
) -> list[int]:
    return list(select(rows, groups, scores, target, Curate(**{"topics": 1} | keys)).order)


@pytest.fixture(scope="module")
def rows() -> list[Conversation]:
    return [row(f"prompt {i} {PIRATE[i % 12]}", pirate(25, i), i) for i in range(24)]


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_choice_is_the_same_every_time(rows: list[Conversation], selector: Any) -> None:
    scores = flat(*(random.Random(i).random() for i in range(24)))
    config = Curate(selector=selector, topics=3, seed=4)
    one = select(rows, list(range(24)), scores, 10, config)
    assert one == select(rows, list(range(24)), scores, 10, config)


@pytest.mark.parametrize("selector", SELECTORS)
def test_the_target_is_a_limit_and_no_row_is_taken_twice(
    rows: list[Conversation], selector: Any
) -> None:
    scores = flat(*[0.5] * len(rows))
    config = Curate(selector=selector)
    for target in (1, 5, len(rows), 999):
        found = select(rows, list(range(len(rows))), scores, target, config)
        assert len(found.order) == len(set(found.order)) == min(target, len(rows))
        for values in (found.likeness, found.nearest, found.topics, found.phrases):
            assert len(values) == len(rows)
        assert max(found.topics) < len(found.topic_words)
    assert select([], [], [], 5, config).order == ()


@pytest.mark.parametrize("selector", ["quality", "facility"])
def test_the_best_rows_are_taken_when_diversity_is_off(
    rows: list[Conversation], selector: str
) -> None:
    scores = flat(0.4, 0.9, 0.5, 0.7)
    assert order(rows[:4], [0, 1, 2, 3], scores, 3, diversity=0.0, selector=selector) == [1, 3, 2]


@pytest.mark.parametrize("selector", ["quality", "facility"])
def test_every_prompt_gets_its_first_good_row_before_any_gets_a_second(
    rows: list[Conversation], selector: str
) -> None:
    scores = flat(0.9, 0.8, 0.7, 0.6, 0.55, 0.85)
    groups = [7, 7, 7, 1, 2, 7]
    keys: dict[str, Any] = {"diversity": 0.0, "selector": selector}
    assert order(rows[:6], groups, scores, 6, **keys) == [0, 3, 4, 5, 1, 2]
    assert order(rows[:6], groups, scores, 3, **keys) == [0, 3, 4]
    # A poor row has no such claim.
    poor = flat(0.9, 0.8, 0.7, 0.1, 0.55, 0.85)
    assert order(rows[:6], groups, poor, 6, **keys) == [0, 4, 5, 3, 1, 2]


def test_diversity_prefers_a_row_unlike_the_ones_taken() -> None:
    same = "The tide is out and the old crab walks the sand alone."
    rows = [
        row("a b c", same),
        row("a b c", same + " Aye."),
        row("q", "Never buy boots from gulls!"),
    ]
    scores = flat(0.9, 0.89, 0.5)
    assert order(rows, [0, 1, 2], scores, 2, diversity=0.0) == [0, 1]
    found = select(rows, [0, 1, 2], scores, 3, Curate(topics=1, diversity=0.5))
    assert found.order == (0, 2, 1)
    # Each with its likeness to the nearest row taken before it, and that row.
    assert (found.likeness[0], found.nearest[0]) == (0, None)
    assert found.likeness[2] < 0.3
    assert 0.7 < found.likeness[1] <= 1
    assert found.nearest[1] == 0


def test_facility_location_takes_what_stands_for_many() -> None:
    crowd = [
        row("sea", f"The tide takes the boat and the {w}.")
        for w in ("gull", "oar", "rope", "net", "lamp")
    ]
    loner = row("bread", "Knead rye dough until midnight strikes twice.")
    found = order(
        [loner, *crowd], list(range(6)), flat(*[0.5] * 6), 1, selector="facility", diversity=1.0
    )
    assert found[0] != 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 14), st.floats(0, 1))
def test_lazy_search_takes_what_a_plain_one_takes(seed: int, count: int, d: float) -> None:
    """Greedy facility location, with every gain computed anew in every round."""
    draw = np.random.default_rng(seed)
    points = np.abs(draw.normal(size=(count, 5))).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    value = draw.uniform(0.5, 1.0, count)
    rows = [row(f"prompt {i}", f"word{i} other{i}.", i) for i in range(count)]
    config = Curate(selector="facility", diversity=d, topics=1)
    target = count // 2
    found = select(rows, list(range(count)), flat(*value), target, config, points)
    likeness = points @ points.T
    np.fill_diagonal(likeness, 1.0)
    weight = value * target / value.sum()
    covered = np.zeros(count)
    for taken in found.order:
        gains = (1 - d) * value + d * (weight @ np.maximum(likeness - covered[:, None], 0))
        gains[list(found.order[: found.order.index(taken)])] = -1
        assert gains[taken] == pytest.approx(gains.max(), abs=1e-4)
        covered = np.maximum(covered, likeness[taken])


def test_no_topic_is_crowded_out() -> None:
    def about(words: str, count: int, start: int) -> list[Conversation]:
        draw = random.Random(start)
        return [
            row(f"{words.split()[0]} {start + i}", " ".join(draw.sample(words.split(), 6)) + ".")
            for i in range(count)
        ]

    sea = about("tide harbour gull boat rope keel mast oar", 30, 0)
    oven = about("dough oven flour yeast crust loaf rye knead", 30, 100)
    # Every row of the sea scores above every row of the oven.
    scores = flat(*[0.9] * 30, *[0.6] * 30)
    groups = list(range(60))

    def taken(topics: int) -> int:
        return sum(
            i >= 30 for i in order(sea + oven, groups, scores, 20, diversity=0.0, topics=topics)
        )

    assert taken(1) == 0
    assert taken(2) == 5
    # Rows below half the median are owed nothing.
    poor = flat(*[0.9] * 30, *[0.1] * 30)
    assert all(i < 30 for i in order(sea + oven, groups, poor, 20, diversity=0.0, topics=2))


def test_a_phrase_beyond_its_budget_comes_later() -> None:
    words = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("aron", "ebik", "ulot", "imsa", "opef")]
    draw = random.Random(0)
    rows = [
        row(f"q {w}", ("Aye lad, " if i % 2 else "") + " ".join(draw.sample(words, 9)) + ".", i)
        for i, w in enumerate(words)
    ]
    scores = flat(*(0.9 if i % 2 else 0.85 for i in range(len(rows))))
    found = select(rows, list(range(len(rows))), scores, 20, Curate(diversity=0.0, topics=1))
    said = sum(i % 2 for i in found.order)
    # Without a budget all twenty would say it.
    assert said <= 5
    left = next(i for i in range(1, len(rows), 2) if i not in found.order)
    assert found.phrases[left] == ("aye lad (opener)",)
    wide = select(rows, list(range(len(rows))), scores, 20,
                  Curate(diversity=0.0, topics=1, phrase_share=1.0, seed=0))  # fmt: skip
    assert sum(i % 2 for i in wide.order) <= 20
    assert phrase_budget(Curate(phrase_share=0.05)).least == 0.05


def test_the_rivals_look_at_nothing_but_chance_and_length(rows: list[Conversation]) -> None:
    bad = flat(*[0.0] * 24)
    good = flat(*(i / 24 for i in range(24)))
    groups = [0] * 24
    for selector in ("random", "longest"):
        assert order(rows, groups, bad, 9, selector=selector) == order(
            rows, groups, good, 9, selector=selector
        )
    assert order(rows, groups, good, 9, selector="random") != order(
        rows, groups, good, 9, selector="random", seed=1
    )
    sizes = [row(f"p{n}", pirate(n, n)) for n in (3, 30, 7, 12)]
    assert order(sizes, [0] * 4, flat(*[1.0] * 4), 3, selector="longest") == [1, 3, 2]


def test_given_vectors_replace_those_of_the_words() -> None:
    rows = [row(f"p {w}", f"{w} {w}.") for w in ("one", "two", "three")]
    vectors = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    scores = flat(0.9, 0.89, 0.5)
    found = select(rows, [0, 1, 2], scores, 2, Curate(topics=1), vectors)
    assert found.order == (0, 2)
    assert select(rows, [0, 1, 2], scores, 2, Curate(topics=1)).order == (0, 1)


def test_topics_are_counted_by_the_rows_or_as_asked(rows: list[Conversation]) -> None:
    scores = flat(*[0.5] * 24)
    groups = list(range(24))
    assert len(Counter(select(rows, groups, scores, 5, Curate()).topics)) <= 3
    asked = msgspec.structs.replace(Curate(), topics=6)
    assert len(set(select(rows, groups, scores, 5, asked).topics)) <= 6
