"""The `molting show --json` object and its verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.artifacts import to_json, write_json
from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.corpus import Corpus, Row, SplitName, save_corpus
from molting.core.project import Molt, Project, open_project
from molting.report.summary import summarize, verdict

UNKNOWN = {"value": None, "low": None, "high": None, "n": 20}


def interval(low: float, high: float) -> dict[str, Any]:
    return {"value": (low + high) / 2, "low": low, "high": high, "n": 20}


def result(
    tuned: dict[str, Any],
    *,
    prompted: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
    measurable: bool = True,
    auc: float | None = 0.95,
) -> dict[str, Any]:
    return {
        "voice": {
            "detector_auc": auc,
            "measurable": measurable,
            "tuned": tuned,
            "prompted": prompted or interval(0.0, 0.2),
            "tuned_body": body or tuned,
        }
    }


def told(found: dict[str, Any]) -> tuple[str, str]:
    made = verdict(found, "Ann")
    assert made is not None
    return made["code"], made["sentence"]


def test_without_an_evaluation_there_is_no_verdict() -> None:
    assert verdict({}, "Ann") is None


def test_poor_detector_forbids_any_claim_however_high_v_is() -> None:
    code, sentence = told(result(interval(0.9, 1.0), measurable=False, auc=0.81))
    assert code == "not_measurable"
    assert "AUC 0.81" in sentence


def test_unknown_auc_is_said_to_be_unknown() -> None:
    code, sentence = told(result(interval(0.9, 1.0), measurable=False, auc=None))
    assert code == "not_measurable"
    assert "AUC unknown" in sentence


@pytest.mark.parametrize(
    "unknown", [{"tuned": UNKNOWN}, {"tuned": interval(0.8, 1.0), "prompted": UNKNOWN}]
)
def test_unknown_v_is_neither_a_gain_nor_the_lack_of_one(unknown: dict[str, Any]) -> None:
    assert told(result(**unknown))[0] == "not_measurable"


@pytest.mark.parametrize("tuned", [interval(-0.1, 0.4), interval(-0.5, -0.2), interval(0.0, 0.3)])
def test_interval_that_reaches_the_base_is_no_gain(tuned: dict[str, Any]) -> None:
    assert told(result(tuned))[0] == "no_gain"


def test_interval_that_reaches_the_prompts_is_not_better_than_the_prompt() -> None:
    code, sentence = told(result(interval(0.5, 0.9), prompted=interval(0.3, 0.6)))
    assert code == "not_better_than_prompt"
    assert "V 0.45 [0.30, 0.60]" in sentence


def test_interval_wholly_beyond_the_personas_own_text_is_caricature() -> None:
    assert told(result(interval(1.1, 1.5)))[0] == "caricature"


def test_interval_that_still_reaches_the_own_text_is_no_caricature() -> None:
    assert told(result(interval(0.98, 1.5)))[0] == "yes"


def test_half_of_the_way_is_partly() -> None:
    assert told(result(interval(0.4, 0.6)))[0] == "partly"


def test_stuck_on_opening_without_a_body_is_only_partly() -> None:
    code, sentence = told(result(interval(0.85, 0.95), body=interval(0.2, 0.4)))
    assert code == "partly"
    assert "body 0.30 [0.20, 0.40]" in sentence


def test_voice_and_body_near_the_own_text_is_yes_with_every_number() -> None:
    code, sentence = told(result(interval(0.85, 0.95)))
    assert code == "yes"
    assert "V 0.90 [0.85, 0.95]" in sentence
    assert "0.10 [0.00, 0.20]" in sentence


def test_unmeasured_body_does_not_count_as_zero_and_is_said() -> None:
    code, sentence = told(result(interval(0.85, 0.95), body=UNKNOWN))
    assert code == "yes"
    assert "could not be measured" in sentence


@given(
    low=st.floats(-1, 2),
    width=st.floats(0, 1),
    prompted=st.floats(-1, 2),
    body=st.none() | st.floats(-1, 2),
)
@settings(max_examples=100, deadline=None)
def test_success_is_claimed_only_above_the_base_and_the_prompt(
    low: float, width: float, prompted: float, body: float | None
) -> None:
    code, sentence = told(
        result(
            interval(low, low + width),
            prompted=interval(prompted - 0.1, prompted),
            body=UNKNOWN if body is None else interval(body, body),
        )
    )
    if code in ("yes", "partly", "caricature"):
        assert low > 0
        assert low > prompted
    assert sentence.endswith(".")
    assert "None" not in sentence


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "molting.toml").write_text('[persona]\nname = "Ann"\n', encoding="utf-8")
    return open_project(tmp_path)


def grow(project: Project) -> Molt:
    rows = []
    splits: list[SplitName | None] = ["train", "train", "validation", "test", None]
    for i, split in enumerate(splits, 1):
        row = Conversation((Turn("user", f"q{i}"), Turn("assistant", f"a{i}")), Source("c", i))
        reason = "exact_duplicate" if split is None else "selected"
        rows.append(Row(row, Verdict(row.id, split is not None, reason), split))
    save_corpus(Corpus("b2:c0", tuple(rows), {}), project.corpora)
    molt = project.claim_molt("f", "b2:c0")
    write_json(
        project.molt_folder(molt.number) / "manifest.json",
        {
            "base": {"name": "fake", "weights": "b2:1", "revision": None},
            "method": "lora",
            "dtype": "float32",
            "train": {"best_epoch": 1, "history": [{"epoch": 0}]},
        },
    )
    return molt


def nulls(value: Any) -> bool:
    return all(map(nulls, value.values())) if isinstance(value, dict) else value is None


def test_unevaluated_molt_has_every_key_and_null_for_what_was_not_measured(
    project: Project,
) -> None:
    found = summarize(project, grow(project))
    assert set(found) >= {
        "molt", "base", "method", "corpus", "train", "perplexity", "personality", "voice",
        "retention", "overlap", "paths",
    }  # fmt: skip
    assert set(found["personality"]) >= {"base", "prompted", "tuned", "tuned_prompted"}
    assert set(found["voice"]) >= {
        "detector_auc", "measurable", "base", "prompted", "tuned", "tuned_body",
    }  # fmt: skip
    for key in ("perplexity", "personality", "voice", "overlap", "verdict"):
        assert nulls(found[key]), key
    assert found["retention"] == {}
    assert found["paths"]["report"] is None
    assert found["corpus"]["rows_in"] == 5
    assert found["corpus"]["kept"] == 4
    assert found["corpus"]["duplicates"] == {"exact": 1, "near": 0, "semantic": None}
    assert found["train"] == {"best_epoch": 1}
    to_json(found)


def test_evaluated_molt_shows_the_measured_values_and_its_verdict(project: Project) -> None:
    molt = grow(project)
    measured = result(interval(0.85, 0.95)) | {
        "perplexity": {"base": 9.0, "tuned": 4.0},
        "personality": {"tuned": {"score": 7.0}, "held_out_text": {"score": 10.0}},
        "overlap": {"train_eval_exact": 0, "train_eval_near": 2},
    }
    write_json(project.molt_folder(molt.number) / "evaluation.json", {"result": measured})
    found = summarize(project, molt)
    assert found["verdict"]["code"] == "yes"
    assert found["perplexity"] == {"base": 9.0, "tuned": 4.0}
    assert found["personality"]["tuned"] == {"score": 7.0}
    assert found["personality"]["prompted"] is None
    assert found["overlap"]["train_eval_near"] == 2


def test_paths_are_relative_to_the_project(project: Project) -> None:
    molt = grow(project)
    (project.molt_folder(molt.number) / "report.html").write_text("", encoding="utf-8")
    assert summarize(project, molt)["paths"] == {
        "adapter": ".molting/molts/1/adapter",
        "report": ".molting/molts/1/report.html",
        "transcripts": None,
    }
