"""What was lost, and what it does to a verdict."""

from __future__ import annotations

from typing import Any

import pytest

from molting.report.gates import lost, summarize_gates, weigh


def task(passed: bool | None, **changes: Any) -> dict[str, Any]:
    return {
        "measure": "accuracy",
        "base": 0.8,
        "tuned": 0.7,
        "low": 0.62,
        "high": 0.78,
        "n": 84,
        "margin": 0.05,
        "passed": passed,
    } | changes


def copied(passed: bool | None) -> dict[str, Any]:
    return {
        "run_words": 8,
        "base": 0.0,
        "tuned": 0.4,
        "held_out_text": 0.05,
        "longest_run_words": 20,
        "excess": {"value": 0.35, "low": 0.2, "high": 0.5, "n": 40},
        "n": 40,
        "margin": 0.1,
        "passed": passed,
    }


def varied(passed: bool | None) -> dict[str, Any]:
    distinct = {"tuned": 0.5, "held_out_text": 0.9}
    return {
        "distinct_1": distinct,
        "distinct_2": distinct,
        "distinct_3": distinct,
        "tuned_over_own": {"value": 0.55, "low": 0.5, "high": 0.6, "n": 40},
        "n": 40,
        "margin": 0.2,
        "passed": passed,
    }


def verdict(code: str) -> dict[str, Any]:
    return {"code": code, "sentence": "The tune has Ann's voice."}


def likelier(base: float, tuned: float, low: float | None, high: float | None) -> dict[str, Any]:
    """Perplexity of held-out replies; low and high of tuned over base."""
    ratio = {"value": tuned / base, "low": low, "high": high, "n": 60}
    return {"base": base, "tuned": tuned, "n": 60, "tuned_over_base": ratio}


def test_changes_are_told_so_that_more_is_better() -> None:
    rise = task(
        False, measure="perplexity", base=20.0, tuned=30.0, low=28.0, high=33.0, margin=0.25
    )
    found = {
        gate.name: gate
        for gate in summarize_gates(
            {
                "retention": {"grammar": task(None), "wiki_perplexity": rise},
                "copying": copied(False),
                "diversity": varied(False),
            }
        )
    }
    assert list(found) == ["grammar", "wiki_perplexity", "copying", "diversity"]
    assert found["grammar"].change == pytest.approx({"value": -0.1, "low": -0.18, "high": -0.02})
    assert found["wiki_perplexity"].change == pytest.approx(
        {"value": -0.5, "low": -0.65, "high": -0.4}
    )
    assert found["copying"].change == pytest.approx({"value": -0.35, "low": -0.5, "high": -0.2})
    assert found["diversity"].change == pytest.approx({"value": -0.45, "low": -0.5, "high": -0.4})
    assert found["copying"].shown == "5 % → 40 %"
    assert found["wiki_perplexity"].label == "wiki"


@pytest.mark.parametrize(
    ("code", "then"),
    [
        ("yes", "at_a_cost"),
        ("partly", "at_a_cost"),
        ("no_gain", "no_gain"),
        ("caricature", "caricature"),
        ("not_measurable", "not_measurable"),
    ],
)
def test_a_failed_gate_is_weighed_against_a_voice_that_is_claimed(code: str, then: str) -> None:
    result = {"retention": {"grammar": task(False), "everyday": task(True)}}
    made = weigh(verdict(code), result)
    assert made is not None
    assert made["code"] == then
    assert made["lost"] == ["grammar"]
    assert "cost more than the margin allows: grammar 80 % → 70 %" in made["sentence"]


@pytest.mark.parametrize(
    ("low", "high", "passed"),
    [(0.6, 0.8, True), (0.95, 1.2, None), (1.01, 1.4, False), (None, None, None)],
)
def test_held_out_text_must_not_become_less_likely(
    low: float | None, high: float | None, passed: bool | None
) -> None:
    (gate,) = summarize_gates({"perplexity": likelier(20.0, 22.0, low, high)})
    assert (gate.name, gate.passed, gate.n) == ("held_out", passed, 60)
    assert gate.shown == "perplexity 20.00 → 22.00"
    assert gate.change["value"] == pytest.approx(-0.1)


@pytest.mark.parametrize(
    ("code", "then"),
    [("yes", "overtrained"), ("partly", "overtrained")],
)
def test_a_voice_learned_by_heart_is_no_success(code: str, then: str) -> None:
    result = {"perplexity": likelier(20.0, 90.0, 3.9, 5.1), "retention": {"grammar": task(False)}}
    made = weigh(verdict(code), result)
    assert made is not None
    assert made["code"] == then
    assert made["lost"] == ["held_out", "grammar"]
    assert "by heart" in made["sentence"]
    assert "perplexity 20.00 → 90.00" in made["sentence"]
    assert "cost more than the margin allows: grammar 80 % → 70 %" in made["sentence"]


@pytest.mark.parametrize("code", ["no_gain", "not_measurable", "caricature"])
def test_without_a_claimed_voice_the_loss_is_told_and_no_cause_is_named(code: str) -> None:
    made = weigh(verdict(code), {"perplexity": likelier(20.0, 90.0, 3.9, 5.1)})
    assert made is not None
    assert made["code"] == code
    assert "by heart" not in made["sentence"]
    assert "held-out text perplexity 20.00 → 90.00" in made["sentence"]


@pytest.mark.parametrize("passed", [True, None])
def test_what_is_kept_or_undecided_flags_nothing(passed: bool | None) -> None:
    result = {"retention": {"grammar": task(passed)}, "copying": copied(passed)}
    made = weigh(verdict("yes"), result)
    assert made == verdict("yes") | {"lost": []}
    assert lost(result) == []


def test_without_a_verdict_nothing_is_weighed() -> None:
    assert weigh(None, {"retention": {"grammar": task(False)}}) is None


def test_an_evaluation_from_before_there_were_gates_has_none() -> None:
    old = {"neutral_perplexity": {"base": 20.0, "tuned": 25.0, "low": 24.0, "high": 26.0, "n": 9}}
    assert summarize_gates({"retention": old}) == []
    assert summarize_gates({}) == []


def test_unknown_stays_unknown() -> None:
    (gate,) = summarize_gates({"retention": {"grammar": task(None, low=None, high=None)}})
    assert (gate.change["low"], gate.change["high"]) == (None, None)
    assert gate.change["value"] == pytest.approx(-0.1)
