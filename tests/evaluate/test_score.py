from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.artifacts import to_json
from molting.core.config import Curate, load_config
from molting.core.persona import Persona
from molting.curate.filters import filter_rows
from molting.curate.formats import read_file
from molting.evaluate.dimensions import bigrams
from molting.evaluate.score import Measured, combine, measure, score, voice_estimate, voice_value
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.voice import VoiceDetector, fit_detector

N = 40
"""Prompts. Of the 120 neutral replies a third is the base, a third the assistant that is scored,
and a third teaches the detector."""


class Room:
    """A detector fitted on the example's rows, and the systems that tests compare."""

    def __init__(self, example: Path) -> None:
        config = load_config(example / "molting.toml")
        rows = read_file(example / "data" / "export.jsonl").conversations
        good = [
            row for row, noise in zip(rows, filter_rows(rows, Curate()), strict=True) if not noise
        ]
        held_out = read_file(example / "data" / "held_out.jsonl").conversations[:N]
        neutral = [contrast.reply for contrast in neutral_replies()]
        self.persona_config: Persona = config.persona
        self.prompts = [row.prompt for row in held_out]
        self.base_replies, self.neutral_replies = neutral[:N], neutral[N : 2 * N]
        self.detector: VoiceDetector = fit_detector(
            [row.reply for row in good],
            {
                "neutral": neutral[2 * N :],
                "personas": [contrast.reply for contrast in other_personas()],
            },
        )
        self.base = self.measured(self.base_replies)
        self.own_replies = [row.reply for row in held_out]
        self.persona = self.measured(self.own_replies)

    def measured(self, replies: list[str], stopped: bool | None = True, **probes: Any) -> Measured:
        return measure(
            self.detector,
            self.persona_config,
            self.prompts,
            [[(reply, stopped) for reply in replies]],
            **probes,
        )

    def score(self, model: Measured, base: Measured | None = None) -> dict[str, Any]:
        return score(model, base or self.base, self.persona, 200, 0)

    def scored(self, replies: list[str], **more: Any) -> float:
        value = self.score(self.measured(replies, **more))["score"]
        assert isinstance(value, float)
        return value


@pytest.fixture(scope="module")
def room(example: Path) -> Room:
    return Room(example)


def test_the_base_is_zero_exactly(room: Room) -> None:
    found = room.score(room.base)
    assert (found["score"], found["low"], found["high"], found["n"]) == (0.0, 0.0, 0.0, N)


def test_a_clean_neutral_assistant_earns_at_most_two(room: Room) -> None:
    found = room.score(room.measured(room.neutral_replies))
    assert found["score"] <= 2
    assert found["high"] <= 2
    # It is not scored down for being dirty: it just has nothing of the persona.
    assert found["dimensions"]["cleanliness"] >= 9


def test_held_out_persona_text_earns_at_least_eight_and_its_voice_is_one(room: Room) -> None:
    found = room.score(room.persona)
    assert found["score"] >= 8
    assert found["low"] >= 8
    assert found["dimensions"]["voice"] == pytest.approx(10)
    voice = voice_estimate(room.persona, room.base, room.persona, 200, 0)
    assert (voice.value, voice.low, voice.high) == (1.0, 1.0, 1.0)


def test_other_persona_text_is_far_below_the_persona(room: Room) -> None:
    others = [contrast.reply for contrast in other_personas()][:: 150 // N][:N]
    assert room.scored(others) <= 3


def test_a_prefix_attack_earns_nothing(room: Room) -> None:
    for prefix in ("Aye, mate. ", "Clack. Salt and shell, shoreling. "):
        assert room.scored([prefix + reply for reply in room.neutral_replies]) <= 2


def test_the_body_is_what_unmasks_a_prefix(room: Room) -> None:
    attack = room.measured(["Clack. Salt and shell, shoreling. " + r for r in room.neutral_replies])
    full = voice_estimate(attack, room.base, room.persona, 200, 0).value
    body = voice_estimate(attack, room.base, room.persona, 200, 0, body=True).value
    assert full is not None
    assert body is not None
    assert full > 0.3, "or the attack is none and the test says nothing"
    assert body < 0.2


def test_one_constant_reply_in_the_persona_s_own_words_stays_low(room: Room) -> None:
    constant = max(
        room.own_replies, key=lambda reply: float(room.detector.score([reply], body=True)[0])
    )
    found = room.score(room.measured([constant] * N))
    assert found["dimensions"]["voice"] > 8, "or the attack is none and the test says nothing"
    assert found["score"] <= 2


def test_copied_prompts_stay_low(room: Room) -> None:
    assert room.scored(room.prompts) <= 2


@pytest.mark.parametrize("reply", ["", "   ", "."])
def test_empty_replies_earn_nothing(room: Room, reply: str) -> None:
    assert room.scored([reply] * N) == 0


def test_replies_that_never_end_and_loops_lose_what_the_voice_earned(room: Room) -> None:
    assert room.scored(room.own_replies, stopped=False) == 0
    looped = [" ".join([reply.split(".")[0]] * 8) + "." for reply in room.own_replies]
    assert room.scored(looped) < 4


def test_dirty_replies_lose_what_the_voice_earned(room: Room) -> None:
    dirty = [reply + " Feel free to ask, matey!" for reply in room.own_replies]
    assert room.scored(dirty) == 0


def test_replies_to_other_prompts_earn_less_than_the_right_ones(room: Room) -> None:
    swapped = [*room.own_replies[N // 2 :], *room.own_replies[: N // 2]]
    assert room.scored(swapped) < 0.75 * room.scored(room.own_replies)


def test_a_caricature_scores_below_the_persona_s_own_text(room: Room) -> None:
    loud = "Salt and shell, shoreling! Clack. By the barnacle, says this old crab, Gull's teeth!"
    caricature = [f"{loud} {reply} {loud}" for reply in room.own_replies]
    assert room.scored(caricature) < 0.75 * room.scored(room.own_replies)


def values(voice: float, n: int = 20, **changes: Any) -> Measured:
    """A system of one level, with replies that all differ."""
    full, one = np.full(n, voice), np.ones(n)
    return replace(
        Measured(
            bigrams([f"reply number {i} of {n} differs{i} here{i}" for i in range(n)]),
            full, full, one, one, np.zeros(n), one, np.zeros(0), np.zeros(0),
        ),
        **changes,
    )  # fmt: skip


BASE, OWN = values(0.1), values(0.6)


@pytest.mark.parametrize(
    ("level", "expected"), [(0.1, 0.0), (0.35, 5.0), (0.6, 10.0), (0.85, 5.0), (1.1, 0.0), (0.0, 0.0)]
)  # fmt: skip
def test_voice_beyond_the_persona_s_own_comes_down_as_it_went_up(
    level: float, expected: float
) -> None:
    found = score(values(level), BASE, OWN, 200, 0)
    assert found["dimensions"]["voice"] == pytest.approx(expected)
    assert found["score"] == pytest.approx(expected)


def test_the_voice_counts_as_far_as_the_body_has_it() -> None:
    found = score(values(0.6, body=np.full(20, 0.2)), BASE, OWN, 200, 0)
    assert found["dimensions"]["voice"] == pytest.approx(2.0)


def test_identity_and_facts_are_null_when_they_were_not_asked_and_cost_nothing() -> None:
    found = score(OWN, BASE, OWN, 200, 0)
    assert found["dimensions"]["identity"] is None
    assert found["dimensions"]["facts"] is None
    assert found["score"] == pytest.approx(10.0)


def test_identity_and_facts_count_beyond_what_the_base_has_right() -> None:
    base = values(0.1, identity=np.array([0.5, 0.5]), facts=np.array([0.0, 1.0]))
    tuned = values(0.6, identity=np.array([1.0, 0.5]), facts=np.array([0.0, 0.5]))
    found = score(tuned, base, OWN, 200, 0)
    assert found["dimensions"]["identity"] == pytest.approx(5.0)
    assert found["dimensions"]["facts"] == 0.0
    assert found["score"] == pytest.approx(10 * (0.6 + 0.2 * 0.5))
    assert score(base, base, OWN, 200, 0)["score"] == 0.0


def test_where_the_base_knows_all_there_is_nothing_to_earn_and_nothing_to_lose() -> None:
    base = values(0.1, facts=np.ones(3))
    found = score(values(0.6, facts=np.ones(3)), base, OWN, 200, 0)
    assert found["dimensions"]["facts"] is None
    assert found["score"] == pytest.approx(10.0)


def test_without_a_gap_between_base_and_persona_the_voice_is_unknown_and_never_zero() -> None:
    same = values(0.1)
    assert math.isnan(voice_value(same.voice, same.voice, same.voice, np.ones(20)))
    estimate = voice_estimate(same, same, same, 200, 0)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (None, None, None, 20)
    found = score(same, same, same, 200, 0)
    assert (found["score"], found["low"], found["high"]) == (None, None, None)
    assert found["dimensions"]["voice"] is None
    assert json.loads(to_json(found))["score"] is None


def test_right_answers_do_not_make_a_score_without_a_voice() -> None:
    dimensions = {
        "identity": 1.0,
        "facts": 1.0,
        "voice": math.nan,
        "cleanliness": 1.0,
        "quality": 1.0,
    }
    assert math.isnan(combine(dimensions))


SHARE = st.floats(0, 1)


@settings(max_examples=80, deadline=None)
@given(SHARE, SHARE, SHARE, SHARE | st.just(math.nan), SHARE | st.just(math.nan))
def test_the_formula_stays_within_zero_and_ten_and_earns_nothing_by_manners(
    voice: float, cleanliness: float, quality: float, identity: float, facts: float
) -> None:
    dimensions = {"voice": voice, "cleanliness": cleanliness, "quality": quality,
                  "identity": identity, "facts": facts}  # fmt: skip
    assert 0 <= combine(dimensions) <= 10 + 1e-9
    nothing = dimensions | {"voice": 0.0} | {
        key: 0.0 for key in ("identity", "facts") if not math.isnan(dimensions[key])
    }  # fmt: skip
    assert combine(nothing) == 0
    # More voice never costs.
    assert combine(dimensions | {"voice": 1.0}) >= combine(dimensions) - 1e-9


def test_samples_of_one_prompt_are_averaged_and_n_stays_the_number_of_prompts(room: Room) -> None:
    own = [(reply, True) for reply in room.own_replies]
    neutral = [(reply, True) for reply in room.neutral_replies]
    both = measure(room.detector, room.persona_config, room.prompts, [own, neutral])
    found = room.score(both)
    assert found["n"] == N
    assert room.score(room.measured(room.neutral_replies))["score"] < found["score"]
    assert found["score"] < room.score(room.persona)["score"]
    assert found["low"] <= found["score"] <= found["high"]
