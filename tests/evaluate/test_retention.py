from __future__ import annotations

import math

import pytest

from molting.core.config import Config, Evaluate
from molting.core.errors import InputError
from molting.evaluate import retention as room
from molting.evaluate.items import NOTHING, Asked, Item, ItemSet
from molting.evaluate.retention import (
    accuracy,
    neutral_rows,
    perplexity_entry,
    retention,
    retention_rows,
    windows,
)
from molting.evaluate.systems import Speaker
from molting.models.likelihood import RowLoss
from molting.models.render import Rendered

CONFIG = Config(evaluate=Evaluate(resamples=200))


def losses(nats: float, count: int = 40) -> list[RowLoss]:
    return [RowLoss(nats * 10 + 0.01 * (i % 3), 10) for i in range(count)]


@pytest.mark.parametrize(
    ("rise", "passed"), [(1.0, True), (1.2, True), (1.4, False), (0.7, True), (3.0, False)]
)
def test_a_rise_of_the_perplexity_is_held_against_its_margin(rise: float, passed: bool) -> None:
    tuned = [
        RowLoss(row.nats + (0.1 if i % 2 else -0.1), row.tokens)
        for i, row in enumerate(losses(2.0 + math.log(rise)))
    ]
    found = perplexity_entry(losses(2.0), tuned, CONFIG)
    assert found["tuned"] / found["base"] == pytest.approx(rise, rel=0.01)
    assert found["low"] < found["tuned"] < found["high"]
    assert found["passed"] is passed


def test_nothing_scored_is_unknown() -> None:
    found = perplexity_entry([], [], CONFIG)
    assert (found["base"], found["tuned"], found["low"], found["passed"]) == (None,) * 4


def answers(monkeypatch: pytest.MonkeyPatch, base: list[float], tuned: list[float]) -> ItemSet:
    import numpy as np

    monkeypatch.setattr(
        room, "right_answers", lambda items, speaker, on, limit: np.array(tuned if on else base)
    )
    return ItemSet("some", "pairs", tuple(Item((("", "a"), ("", "b")), 0) for _ in base))


def test_lost_answers_fail_the_gate(monkeypatch: pytest.MonkeyPatch, speaker: Speaker) -> None:
    items = answers(monkeypatch, [1.0] * 90 + [0.0] * 10, [1.0] * 70 + [0.0] * 30)
    found = accuracy(items, CONFIG, speaker)
    assert (found["base"], found["tuned"], found["n"], found["margin"]) == (0.9, 0.7, 100, 0.05)
    assert found["low"] < 0.7 < found["high"] < 0.85
    assert found["passed"] is False


def test_equal_answers_pass_when_there_are_enough(
    monkeypatch: pytest.MonkeyPatch, speaker: Speaker
) -> None:
    many = answers(monkeypatch, [1.0, 0.0] * 60, [1.0, 0.0] * 60)
    assert accuracy(many, CONFIG, speaker)["passed"] is True
    few = answers(monkeypatch, [1.0, 0.0] * 4, [1.0, 0.0] * 4)
    assert accuracy(few, CONFIG, speaker)["passed"] is None


def test_windows_are_evenly_spaced_and_begin_unscored(speaker: Speaker) -> None:
    text = "".join(chr(97 + i // 256 % 26) for i in range(256 * 90))
    rows = windows(text, "text", speaker)
    assert len(rows) == 40
    assert all(len(row.ids) == 257 and row.trained_tokens == 224 for row in rows)
    assert all(row.first_trained == 33 for row in rows)
    assert len({row.ids[1:] for row in rows}) > 1
    with pytest.raises(InputError, match="short: has 10 tokens"):
        windows("0123456789", "short", speaker)


def test_what_is_scored_beforehand_is_all_that_is_asked(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One engine at a time: a row that was forgotten would build each of them again and again."""
    for tuned in (True, False):
        for rows in retention_rows(speaker, NOTHING):
            speaker.losses(tuned, rows)

    def fail(tuned: bool) -> None:
        raise AssertionError("something was not scored beforehand")

    monkeypatch.setattr(speaker, "_engine", fail)
    retention(CONFIG, speaker, NOTHING)


def test_all_that_is_asked_is_in_the_result(speaker: Speaker) -> None:
    asked = Asked(
        (ItemSet("next", "continuation", (Item((("It is a", "dog"),), 0),)),),
        ("news", "It rained on the harbor all day. " * 20),
    )
    found = retention(CONFIG, speaker, asked)
    assert list(found) == ["neutral_perplexity", "news_perplexity", "grammar", "everyday", "next"]
    assert {entry["measure"] for entry in found.values()} == {"perplexity", "accuracy"}
    assert all(0 <= found[name]["base"] <= 1 for name in ("grammar", "everyday", "next"))


def test_neutral_rows_score_replies_only(speaker: Speaker) -> None:
    rows: list[Rendered] = neutral_rows(speaker, NOTHING)["neutral_perplexity"]
    assert len(rows) == 120
    assert all(0 < row.trained_tokens < len(row.ids) for row in rows)
