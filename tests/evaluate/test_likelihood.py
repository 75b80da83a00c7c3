"""Likelihood gain and forced choice: arithmetic by hand, then the fake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from molting.core.config import Evaluate
from molting.core.conversation import Conversation, Source, Turn
from molting.evaluate.forced_choice import RIVALS, choice_estimates, choice_rows, forced_choice, won
from molting.evaluate.heard import REPLY_TOKENS, Heard, reply_row
from molting.evaluate.likelihood_gain import gain_estimates, gains, likelihood_gain
from molting.evaluate.systems import Speaker
from molting.models.generate import Ended, Generated
from molting.models.likelihood import RowLoss
from molting.signals.stats import Array

OPTIONS = Evaluate(resamples=200, choices=6)


def unheard(prompts: Sequence[str], texts: Sequence[str]) -> Array:
    raise AssertionError("nothing here asks for the voice")


def heard(count: int = 6, reply: str = "It is what it is.") -> Heard:
    rows = [
        Conversation(
            (Turn("user", f"Question {i}?"), Turn("assistant", f"Clack, shoreling, number {i}.")),
            Source("held_out.jsonl", i),
        )
        for i in range(count)
    ]
    said = [Generated(f"{reply} {i}", Ended.stop, 9) for i in range(count)]
    return Heard(rows, {"base": [said], "tuned": [said]}, unheard, rows)


def losses(*nats: float, tokens: int = 10) -> list[RowLoss]:
    return [RowLoss(value, tokens) for value in nats]


def test_gain_is_what_the_persona_gained_beyond_neutral_text() -> None:
    persona = gains(losses(30, 40, 50), losses(20, 30, 40))
    neutral = gains(losses(20, 20, 20), losses(22, 22, 22))
    found = gain_estimates(persona, neutral, OPTIONS)
    assert found["persona"]["value"] == pytest.approx(1.0)
    assert found["neutral"]["value"] == pytest.approx(-0.2)
    assert found["gain"]["value"] == pytest.approx(1.2)
    assert found["gain"]["n"] == 3


def test_a_gain_weighs_tokens_not_replies() -> None:
    persona = gains([RowLoss(20, 10), RowLoss(300, 100)], [RowLoss(10, 10), RowLoss(300, 100)])
    assert persona.mean(np.ones(2)) == pytest.approx(10 / 110)


def test_the_likelier_reply_by_token_wins_whatever_its_length() -> None:
    own = [RowLoss(30, 10), RowLoss(30, 10), RowLoss(30, 10), RowLoss(30, 10)]
    rival = [RowLoss(40, 10), RowLoss(40, 20), RowLoss(6, 2), RowLoss(0, 0)]
    assert won(own, rival)[:3].tolist() == [1.0, 0.0, 0.5]
    assert np.isnan(won(own, rival)[3])


def test_choice_is_the_mean_over_rivals_and_the_gain_is_paired() -> None:
    lost, gained = np.zeros(4), np.ones(4)
    unknown = np.full(4, np.nan)
    base: Any = dict(zip(RIVALS, (lost, gained, lost, gained), strict=True))
    tuned: Any = dict(zip(RIVALS, (gained, gained, lost, unknown), strict=True))
    found = choice_estimates(base, tuned, OPTIONS)
    assert found["base"]["value"] == pytest.approx(0.5)
    assert found["tuned"]["value"] == pytest.approx(2 / 3)
    assert found["gain"]["value"] == pytest.approx(1 / 6)
    assert found["by_rival"]["persona"] == {"base": 1.0, "tuned": None}


def test_a_reply_that_was_cut_off_is_not_scored_for_an_end_it_never_said(speaker: Speaker) -> None:
    context = (Turn("user", "Who?"),)
    whole = reply_row(speaker, context, "A crab", Ended.stop)
    cut = reply_row(speaker, context, "A crab", Ended.length)
    assert whole.ids == cut.ids
    assert whole.trained_tokens == cut.trained_tokens + 1 == len("A crab") + 1
    long = reply_row(speaker, context, "a" * 300, Ended.length)
    assert long.trained_tokens == REPLY_TOKENS
    empty = reply_row(speaker, context, "", Ended.length)
    assert empty.trained_tokens == 0


def test_no_rival_is_the_own_reply(speaker: Speaker) -> None:
    rows = choice_rows(heard(), speaker, OPTIONS)
    assert len(rows) == 6 * (1 + len(RIVALS))
    own = [row.ids for row in rows[:6]]
    other = [row.ids for row in rows[6 * 3 : 6 * 4]]
    assert all(mine != theirs for mine, theirs in zip(own, other, strict=True))


def test_the_fake_is_measured_and_switched_off(speaker: Speaker) -> None:
    gain = likelihood_gain(heard(), speaker, OPTIONS)
    choice = forced_choice(heard(), speaker, OPTIONS)
    assert gain is not None
    assert choice is not None
    assert gain["gain"]["value"] == pytest.approx(
        gain["persona"]["value"] - gain["neutral"]["value"]
    )
    assert 0 <= choice["tuned"]["value"] <= 1
    off = Evaluate(choices=0)
    assert likelihood_gain(heard(), speaker, off) is None
    assert forced_choice(heard(), speaker, off) is None
