"""The sections beside the score, from invented numbers: no model is loaded here."""

from __future__ import annotations

import re
from typing import Any

import pytest

from molting.report.beside import measures, opinions, render_beside

HOSTILE = '<script>alert("x")</script>'
UNKNOWN = {"value": None, "low": None, "high": None, "n": 16}
NOTHING: dict[str, Any] = dict.fromkeys(
    ("likelihood_gain", "forced_choice", "robustness", "projection", "copying", "diversity",
     "questionnaire")
) | {"persona": "Skerry", "retention": {}}  # fmt: skip


def interval(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 16}


def described() -> dict[str, Any]:
    systems = {
        system: {
            "domains": {scale: interval(3.0 + 0.1 * i) for i, scale in enumerate("NEOAC")},
            "acquiescence": 0.3,
            "order_effect": 1.2,
            "order_correlation": None,
        }
        for system in ("base", "prompted", "tuned", "tuned_prompted")
    }
    return {
        "items": 120,
        "systems": systems,
        "alpha": {"N": 0.8, "E": 0.2, "O": None, "A": 0.5, "C": 0.9},
        "administrations": 8,
    }


def everything() -> dict[str, Any]:
    return NOTHING | {
        "persona": HOSTILE,
        "retention": {
            "grammar": {
                "measure": "accuracy", "base": 0.8, "tuned": 0.6, "low": 0.5, "high": 0.7, "n": 84,
                "margin": 0.05, "passed": False,
            },
            HOSTILE: {
                "measure": "perplexity", "base": 20.0, "tuned": 21.0, "low": 20.5, "high": 21.5,
                "n": 40, "margin": 0.25, "passed": True,
            },
        },
        "likelihood_gain": {
            "gain": interval(0.5), "persona": interval(0.4), "neutral": interval(-0.1),
        },
        "forced_choice": {
            "base": interval(0.4), "tuned": interval(0.7), "gain": interval(0.3),
            "by_rival": {"base": {"base": 0.0, "tuned": None}},
        },
        "robustness": {"stop": {"kept": UNKNOWN, "voice": interval(0.1), "plain": interval(0.15)}},
        "projection": {"reliability": 0.1, "p": 0.4, "measured": False, "n": 16, "tuned": None},
        "questionnaire": described(),
    }  # fmt: skip


def test_nothing_measured_is_said_twice_and_breaks_nothing() -> None:
    page = render_beside(NOTHING)
    assert page.count("not measured") == 2
    assert "<table" not in page


def test_all_is_shown_and_what_people_wrote_is_escaped() -> None:
    page = render_beside(everything())
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "✗ lost" in page
    assert "✓ within the margin" in page
    assert "−20.0 [−30.0, −10.0]" in page
    assert "no part of the score" in page
    assert page.count("<svg") == 1
    # Nothing is fetched, and no id is there twice.
    assert not re.search(r"https?://|<link|url\((?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("text", ["too unreliable a direction", "V 0.15 [0.05, 0.25] → 0.10"])
def test_what_could_not_be_measured_says_why(text: str) -> None:
    assert any(text in parts for _, _, _, parts in measures(everything()))


def test_every_figure_has_its_n_and_its_interval_or_says_that_it_is_unknown() -> None:
    for label, value, n, _ in measures(everything()):
        assert n == "16", label
        assert value == "not measured" or re.search(r"\[.+, .+\]", value), label


def judged(passed: bool) -> dict[str, Any]:
    won = interval(0.7)
    return {
        "judge": {"model": HOSTILE},
        "calibration": {"n": 30, "kappa": interval(0.6), "reasons": ["favours the first reply"]},
        "wins_over": {"base": won, "prompted": UNKNOWN},
        "agreement_with_voice": {"share": interval(0.8)},
        "headline": won if passed else None,
    }


def voted() -> dict[str, Any]:
    return {
        "votes": 24, "ties": 3, "voters": {"annika": 12, HOSTILE: 12},
        "wins_over": {"base": interval(0.75), "prompted": interval(0.6)},
        "left_chosen": interval(0.5), "agreement_with_voice": None,
        "between_voters": [{"voters": ["annika", HOSTILE], "kappa": interval(0.4)}],
    }  # fmt: skip


def test_a_judge_that_passed_and_people_are_shown_with_n_and_intervals() -> None:
    summary = everything() | {"judge": judged(True), "people": voted()}
    page = render_beside(summary)
    assert "What others prefer" in page
    assert "<script" not in page
    assert "passed its test on 30 known-bad replies" in page
    assert "24 votes by 2 people, 3 of them ties" in page
    assert "κ between voters 1 and 2" in page
    assert "annika" not in page, "a page is passed on without names"
    for _, rows, _ in opinions(summary):
        for what, value, n in rows:
            assert (value == "not measured") == (what == "agree with the voice detector"), what
            assert n in ("16", "not measured")
    prefer = [what for _, rows, _ in opinions(summary) for what, _, _ in rows if "prefer" in what]
    assert len(prefer) == 3, "a rival that nobody compared is left out"


def test_a_judge_that_failed_is_named_without_its_figures() -> None:
    page = render_beside(everything() | {"judge": judged(False)})
    assert "failed its test, so its figures are not shown: it favours the first reply" in page
    assert "0.70" not in page.split("What others prefer")[1]


def test_where_nobody_compared_nothing_is_said() -> None:
    assert "What others prefer" not in render_beside(everything())
