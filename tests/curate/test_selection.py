from __future__ import annotations

import random

import pytest

from molting.core.conversation import Conversation, Source, Turn
from molting.curate.selection import Score, score_rows, select
from molting.signals.contrast import neutral_replies

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


@pytest.fixture(scope="module")
def rows() -> list[Conversation]:
    return [row(f"prompt {i} {PIRATE[i % 12]}", pirate(25, i), i) for i in range(24)]


def test_scoring_and_selecting_are_the_same_every_time(rows: list[Conversation]) -> None:
    scores = score_rows(rows, seed=3)
    assert scores == score_rows(rows, seed=3)
    groups = list(range(len(rows)))
    assert select(rows, groups, scores, 10, 0.5) == select(rows, groups, scores, 10, 0.5)


def test_a_row_out_of_voice_scores_lower(rows: list[Conversation]) -> None:
    # The last neutral reply of the shipped ones: its kind is known, its words are whole.
    mixed = [*rows, row("odd one", neutral_replies()[-1].reply, 99)]
    scores = score_rows(mixed, seed=0)
    voices = [score.voice for score in scores if score.voice is not None]
    assert len(voices) == len(mixed)
    assert voices[-1] == min(voices)
    assert scores[-1].score < min(score.score for score in scores[:-1])
    assert all(0 <= score.score <= 1 and 0 <= score.substance <= 1 for score in scores)


def test_substance_rises_with_words_and_falls_when_a_row_rambles() -> None:
    sizes = (2, 10, 20, 25, 400)
    short, half, enough, more, rambling = (
        score.substance for score in score_rows([row(str(n), pirate(n, n)) for n in sizes], 0)
    )
    assert (short, half, enough, more) == (0.1, 0.5, 1.0, 1.0)
    assert rambling < 0.5


def test_too_few_rows_have_no_voice_score_instead_of_a_0(rows: list[Conversation]) -> None:
    scores = score_rows(rows[:19], seed=0)
    assert {score.voice for score in scores} == {None}
    assert all(score.score == score.substance for score in scores)
    assert score_rows([], 0) == []


def test_the_best_rows_are_taken_when_diversity_is_off(rows: list[Conversation]) -> None:
    scores = flat(0.1, 0.9, 0.5, 0.7)
    taken = select(rows[:4], [0, 1, 2, 3], scores, 3, 0.0)
    assert [place for place, _ in taken] == [1, 3, 2]


def test_every_prompt_gets_its_first_row_before_any_gets_a_second(rows: list[Conversation]) -> None:
    scores = flat(0.9, 0.8, 0.7, 0.1, 0.05, 0.85)
    taken = [place for place, _ in select(rows[:6], [7, 7, 7, 1, 2, 7], scores, 6, 0.0)]
    assert taken == [0, 3, 4, 5, 1, 2]
    assert [place for place, _ in select(rows[:6], [7, 7, 7, 1, 2, 7], scores, 3, 0.0)] == taken[:3]


def test_diversity_prefers_a_row_unlike_the_ones_taken() -> None:
    same = "The tide is out and the old crab walks the sand alone."
    rows = [
        row("a b c", same),
        row("a b c", same + " Aye."),
        row("q", "Never buy boots from gulls!"),
    ]
    scores = flat(0.9, 0.89, 0.5)
    assert [i for i, _ in select(rows, [0, 1, 2], scores, 2, 0.0)] == [0, 1]
    taken = select(rows, [0, 1, 2], scores, 3, 0.5)
    assert [i for i, _ in taken] == [0, 2, 1]
    # Each with its likeness to the nearest row taken before it.
    assert taken[0][1] == 0
    assert taken[1][1] < 0.3 < 0.7 < taken[2][1] <= 1.0001


def test_the_target_is_a_limit_and_no_row_is_taken_twice(rows: list[Conversation]) -> None:
    scores = flat(*[0.5] * len(rows))
    for target in (0, 1, 5, len(rows), 999):
        taken = [i for i, _ in select(rows, list(range(len(rows))), scores, target, 0.5)]
        assert len(taken) == len(set(taken)) == min(target, len(rows))
    assert select([], [], [], 5, 0.5) == []
