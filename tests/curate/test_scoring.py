from __future__ import annotations

import random

import numpy as np
import pytest

from molting.core.conversation import Conversation, Source, Turn
from molting.curate.scoring import Score, _in_voice, score_rows
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


@pytest.fixture(scope="module")
def rows() -> list[Conversation]:
    return [row(f"prompt {i} {PIRATE[i % 12]}", pirate(25, i), i) for i in range(24)]


def one(prompt: str, reply: str, others: list[Conversation]) -> Score:
    return score_rows([*others, row(prompt, reply, 99)], seed=0)[-1]


def test_scores_are_the_same_every_time_and_within_0_and_1(rows: list[Conversation]) -> None:
    scores = score_rows(rows, seed=3)
    assert scores == score_rows(rows, seed=3)
    for score in scores:
        values = [v for v in score.parts().values() if v is not None]
        assert all(0 <= v <= 1 for v in values)
        assert 0 < score.score <= min(v for k, v in score.parts().items() if v is not None
                                      and k not in ("voice", "fluent", "variety", "relevance"))  # fmt: skip


def test_a_row_out_of_voice_scores_lower(rows: list[Conversation]) -> None:
    # The last neutral reply of the shipped ones: its kind is known, its words are whole.
    scores = score_rows([*rows, row("odd one", neutral_replies()[-1].reply, 99)], seed=0)
    voices = [score.voice for score in scores if score.voice is not None]
    assert len(voices) == len(scores)
    assert voices[-1] == min(voices)
    assert scores[-1].score < min(score.score for score in scores[:-1])


def test_the_loudest_rows_are_no_better_than_the_middle(rows: list[Conversation]) -> None:
    scores = score_rows(rows, seed=0)
    voice = np.array([score.voice for score in scores])
    in_voice = np.array([score.in_voice for score in scores])
    assert (in_voice[voice >= np.median(voice)] == 1).all()


def test_a_few_rows_of_another_voice_come_last(rows: list[Conversation]) -> None:
    # They stand among the persona's own, so the detector learns them along.
    cook = [
        "dough",
        "oven",
        "flour",
        "simmer",
        "whisk",
        "butter",
        "saffron",
        "ladle",
        "pinch",
        "of",
        "the",
        "and",
        "to",
        "a",
        "with",
    ]
    odd = [
        row(f"meal {i}", " ".join(random.Random(i).choices(cook, k=25)) + ".", 90 + i)
        for i in range(4)
    ]
    scores = [score.score for score in score_rows([*rows, *odd], 0)]
    assert max(scores[-4:]) < np.median(scores[:-4])


def test_substance_rises_with_words_and_falls_when_a_row_rambles() -> None:
    sizes = (2, 10, 20, 25, 400)
    short, half, enough, more, rambling = (
        score.substance for score in score_rows([row(str(n), pirate(n, n)) for n in sizes], 0)
    )
    assert (short, half, enough, more) == (0.1, 0.5, 1.0, 1.0)
    assert rambling < 0.5


def test_too_few_rows_have_no_voice_instead_of_a_0(rows: list[Conversation]) -> None:
    scores = score_rows(rows[:19], seed=0)
    assert {score.voice for score in scores} == {score.in_voice for score in scores} == {None}
    assert {score.fluent for score in scores} == {score.relevance for score in scores} == {None}
    assert all(score.score > 0 for score in scores)
    assert score_rows([], 0) == []


def test_each_fault_shows_in_its_own_part(rows: list[Conversation]) -> None:
    good = pirate(30, 777)
    best = one("rum and grog", good, rows)
    assert best.tidy == best.complete == 1
    assert one("rum", good.rstrip("."), rows).complete == 0.3
    assert one("rum", "# Rum\n" + good, rows).tidy < 1
    assert one("rum", good.replace("a", "Ã©"), rows).tidy < 0.5
    assert one("rum", "arr aye " * 20 + ".", rows).variety < 0.3
    mangled = " ".join(word[::-1] + "qzx" for word in good.split()) + "."
    broken = one("rum", mangled, rows).fluent
    assert broken is not None
    assert best.fluent is not None
    assert broken < 0.2 < best.fluent


def test_a_voice_without_full_stops_is_not_incomplete() -> None:
    habit = [row(f"prompt {i}", pirate(25, i).rstrip("."), i) for i in range(30)]
    assert {score.complete for score in score_rows(habit, 0)} == {1.0}


def test_a_reply_under_another_prompt_is_less_relevant() -> None:
    things = [f"{a}{b}" for a in "bdgklmpt" for b in ("aron", "ebik", "ulot", "imsa")]
    rows = [
        row(f"Where is the {t}?", f"Aye, the {t} lies in the hold.", i)
        for i, t in enumerate(things)
    ]
    right = score_rows(rows, 0)
    wrong = score_rows([*rows[1:], row(rows[0].prompt, rows[5].reply, 99)], 0)[-1]
    assert all(score.relevance is not None and score.relevance > 0.9 for score in right)
    assert wrong.relevance is not None
    assert wrong.relevance < 0.7
    assert score_rows([*rows, row("Why?", "Aye, the hold.", 99)], 0)[-1].relevance is None


def test_what_stands_apart_among_the_rows_counts_less_but_is_kept_in_play() -> None:
    middle = np.linspace(0.85, 0.95, 40)
    found = _in_voice(np.array([*middle, 0.7, 0.02]))
    assert (found[:40][middle >= np.median(middle)] == 1).all(), "the loudest are no better"
    assert found[-2] == 0.3, "enough voice by itself, far behind the others"
    assert found[-1] < 0.05 + 1e-9, "neutral text"


def test_rows_of_one_voice_are_not_told_apart() -> None:
    assert (_in_voice(np.full(30, 0.9)) == 1).all()
