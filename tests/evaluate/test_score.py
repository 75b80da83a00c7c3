from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.artifacts import to_json
from molting.evaluate.dimensions import bigrams
from molting.evaluate.score import Measured, Scale, combine, score, voice_estimate, voice_value
from molting.signals.contrast import other_personas

N = 40


def test_the_base_is_zero_exactly(room: Any) -> None:
    found = room.score(room.base)
    assert (found["score"], found["low"], found["high"], found["n"]) == (0.0, 0.0, 0.0, N)


def test_a_clean_neutral_assistant_earns_at_most_two(room: Any) -> None:
    found = room.score(room.measured(room.neutral_replies))
    assert found["score"] <= 2
    assert found["high"] <= 2
    # It is not scored down for being dirty (some say that they are an AI): it has no persona.
    assert found["dimensions"]["cleanliness"] >= 7


def test_held_out_persona_text_earns_at_least_eight_and_its_voice_is_one(room: Any) -> None:
    found = room.score(room.own)
    assert found["score"] >= 8
    assert found["low"] >= 8
    assert found["dimensions"]["voice"] == pytest.approx(10)
    voice = voice_estimate(room.own, room.scale, 200, 0)
    assert (voice.value, voice.low, voice.high) == (1.0, 1.0, 1.0)


def test_persona_text_to_other_prompts_earns_at_least_eight_too(room: Any) -> None:
    """Another half of the held-out text is measured, against the first half as V = 1."""
    half = N // 2
    part = lambda some: replace(  # noqa: E731
        some,
        said=bigrams((room.own_replies if some is room.own else room.base_replies)[half:]),
        **{
            name: getattr(some, name)[..., half:]
            for name in ("voice", "body", "clean", "complete", "repetition", "relevance", "order",
                         "answers", "over")
        },
    )  # fmt: skip
    scale = room.scale._replace(base=part(room.base), paired=False)
    assert score(part(room.own), scale, 200, 0)["score"] >= 8
    assert score(part(room.base), scale, 200, 0)["score"] == 0


def test_other_persona_text_is_far_below_the_persona(room: Any) -> None:
    others = [contrast.reply for contrast in other_personas()][:: 150 // N][:N]
    assert room.scored(others) <= 3


def test_the_body_is_what_unmasks_a_prefix(room: Any) -> None:
    attack = room.measured(["Clack. Salt and shell, shoreling. " + r for r in room.neutral_replies])
    neutral = room.measured(room.neutral_replies)
    assert room.voice(attack) > room.voice(neutral) + 0.15, "or the attack is none"
    assert room.voice(attack, body=True) < 0.2
    assert room.score(attack)["score"] == 0


def test_one_constant_reply_in_the_persona_s_own_words_earns_nothing(room: Any) -> None:
    heard = room.battery.detectors[0].score(room.own_replies, body=True)
    constant = room.own_replies[int(heard.argmax())]
    attack = room.measured([constant] * N)
    assert room.voice(attack) > 0.8, "or the attack is none and the test says nothing"
    assert room.score(attack)["score"] == 0


def test_copied_prompts_stay_low(room: Any) -> None:
    assert room.scored(room.prompts) <= 2


@pytest.mark.parametrize("reply", ["", "   ", "."])
def test_empty_replies_earn_nothing(room: Any, reply: str) -> None:
    assert room.scored([reply] * N) == 0


def test_replies_that_never_end_and_loops_lose_what_the_voice_earned(room: Any) -> None:
    assert room.scored(room.own_replies, stopped=False) == 0
    looped = [" ".join([reply.split(".")[0]] * 8) + "." for reply in room.own_replies]
    assert room.scored(looped) < 4


def test_dirty_replies_lose_what_the_voice_earned(room: Any) -> None:
    dirty = [reply + " Feel free to ask, matey!" for reply in room.own_replies]
    assert room.scored(dirty) == 0


def test_replies_to_other_prompts_earn_less_than_the_right_ones(room: Any) -> None:
    swapped = [*room.own_replies[N // 2 :], *room.own_replies[: N // 2]]
    assert room.scored(swapped) < 0.75 * room.scored(room.own_replies)


def test_a_caricature_scores_below_the_persona_s_own_text(room: Any) -> None:
    loud = "Salt and shell, shoreling! Clack. By the barnacle, says this old crab, Gull's teeth!"
    caricature = [f"{loud} {reply} {loud}" for reply in room.own_replies]
    assert room.scored(caricature) < 0.75 * room.scored(room.own_replies)


def values(voice: float, n: int = 20, **changes: Any) -> Measured:
    """A system of one level, with replies that all differ."""
    heard, one = np.full((2, n), voice), np.ones(n)
    return replace(
        Measured(
            bigrams([f"reply number {i} of {n} differs{i} here{i}" for i in range(n)]),
            heard, heard, one, one, np.zeros(n), one, one, one, np.zeros(n),
            np.zeros(0), np.zeros(0),
        ),
        **changes,
    )  # fmt: skip


BASE, OWN = values(0.1), values(0.6)
SCALE = Scale(BASE, OWN, paired=True, floor=0.3)


@pytest.mark.parametrize(
    ("level", "expected"),
    # V is 0, .3 (the floor), .6, .9 (as good as 1 by chance), 1, 1.05, 1.55, 2.05, below 0
    [(0.1, 0.0), (0.25, 0.0), (0.4, 5.0), (0.55, 10.0), (0.6, 10.0), (0.625, 10.0), (0.875, 5.0),
     (1.125, 0.0), (0.0, 0.0)],
)  # fmt: skip
def test_the_voice_rises_from_the_floor_to_1_and_falls_beyond(
    level: float, expected: float
) -> None:
    found = score(values(level), SCALE, 200, 0)
    assert found["dimensions"]["voice"] == pytest.approx(expected)
    assert found["score"] == pytest.approx(expected)


def test_the_least_of_detectors_and_body_counts() -> None:
    for name in ("voice", "body"):
        for k in (0, 1):
            heard = np.full((2, 20), 0.6)
            heard[k] = 0.25
            system = replace(OWN, **{name: heard})
            assert score(system, SCALE, 200, 0)["score"] == pytest.approx(0, abs=1e-9)


def test_phrases_beyond_the_persona_s_rate_cost_half_of_the_voice_at_most() -> None:
    assert score(values(0.6, over=np.full(20, 0.2)), SCALE, 200, 0)["score"] == pytest.approx(10)
    assert score(values(0.6, over=np.ones(20)), SCALE, 200, 0)["score"] == pytest.approx(5)


@pytest.mark.parametrize("name", ["relevance", "order", "answers", "complete", "clean"])
def test_what_every_reply_must_be_lowers_the_score_to_nothing(name: str) -> None:
    nothing = {"relevance": 0.5, "order": 0.5, "answers": 0.0, "complete": 0.0, "clean": 0.0}
    system = values(0.6, **{name: np.full(20, nothing[name])})
    assert score(system, SCALE, 200, 0)["score"] == 0


def test_a_relation_to_the_prompt_that_the_persona_does_not_show_is_not_asked_for() -> None:
    loose = Scale(BASE, values(0.6, relevance=np.full(20, 0.55)), paired=True, floor=0.3)
    unrelated = values(0.6, relevance=np.full(20, 0.5))
    assert score(unrelated, loose, 200, 0)["score"] == pytest.approx(10)


def test_identity_and_facts_are_null_when_they_were_not_asked_and_cost_nothing() -> None:
    found = score(OWN, SCALE, 200, 0)
    assert found["dimensions"]["identity"] is None
    assert found["dimensions"]["facts"] is None
    assert found["score"] == pytest.approx(10.0)


def test_identity_and_facts_count_beyond_what_the_base_has_right() -> None:
    base = values(0.1, identity=np.array([0.5, 0.5]), facts=np.array([0.0, 1.0]))
    tuned = values(0.6, identity=np.array([1.0, 0.5]), facts=np.array([0.0, 0.5]))
    scale = SCALE._replace(base=base)
    found = score(tuned, scale, 200, 0)
    assert found["dimensions"]["identity"] == pytest.approx(5.0)
    assert found["dimensions"]["facts"] == 0.0
    assert found["score"] == pytest.approx(10 * (0.6 + 0.2 * 0.5))
    assert score(base, scale, 200, 0)["score"] == 0.0


def test_where_the_base_knows_all_there_is_nothing_to_earn_and_nothing_to_lose() -> None:
    scale = SCALE._replace(base=values(0.1, facts=np.ones(3)))
    found = score(values(0.6, facts=np.ones(3)), scale, 200, 0)
    assert found["dimensions"]["facts"] is None
    assert found["score"] == pytest.approx(10.0)


def test_without_a_gap_between_base_and_persona_the_voice_is_unknown_and_never_zero() -> None:
    same = values(0.1)
    flat = Scale(same, same, paired=True)
    assert math.isnan(voice_value(same.voice[0], same.voice[0], same.voice[0], np.ones(20)))
    estimate = voice_estimate(same, flat, 200, 0)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (None, None, None, 20)
    found = score(same, flat, 200, 0)
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


def test_samples_of_one_prompt_are_averaged_and_n_stays_the_number_of_prompts(room: Any) -> None:
    both = room.battery.measure(
        room.prompts,
        [
            [(own, True), (own, True), (own, True), (neutral, True)]
            for own, neutral in zip(room.own_replies, room.neutral_replies, strict=True)
        ],
    )
    found = room.score(both)
    assert found["n"] == N
    assert room.score(room.measured(room.neutral_replies))["score"] < found["score"]
    assert found["score"] < room.score(room.own)["score"]
    assert found["low"] <= found["score"] <= found["high"]


def test_what_was_never_said_is_not_half_a_persona(room: Any) -> None:
    foreign = ["Zvxq wqkj pffu zzrt qwxv jjkp vvuy mmnt" for _ in range(N)]
    assert room.voice(room.measured(foreign)) < 0.1
