"""`molting questionnaire`, and what stands beside the score in `molting show`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def copy(finished: Any, tmp_path: Path) -> Path:
    return shutil.copytree(finished.root, tmp_path / "copy")


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "items.json"
    rows = [
        {"text": "Worry about things", "keyed": "plus", "domain": "N"},
        {"text": "Remain calm under pressure", "keyed": "minus", "domain": "N"},
    ]
    path.write_text(json.dumps(rows))
    return path


def test_it_is_asked_once_and_shown_everywhere(copy: Path, items: Path, molting: Any) -> None:
    found = molting("questionnaire", copy, "--items", items, "--json").json
    assert found["items"] == 2
    assert list(found["systems"]) == ["base", "prompted", "tuned", "tuned_prompted"]
    assert found["systems"]["tuned"]["domains"]["N"]["n"] == 2
    again = molting("questionnaire", copy, "--items", items)
    assert again.code == 0
    assert "questionnaire, base" not in again.err
    assert "no part of the score" in again.out
    shown = molting("show", copy, "--json").json
    assert shown["questionnaire"]["items"] == 2
    report = (copy / ".molting" / "molts" / "1" / "report.html").read_text("utf-8")
    assert "How it describes itself" in report


def test_a_bad_item_file_is_one_line(copy: Path, tmp_path: Path, molting: Any) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text("[]")
    done = molting("questionnaire", copy, "--items", bad)
    assert done.code == 2
    assert "bad.json: has fewer than two items" in done.line


def test_gates_and_measures_are_beside_the_score(finished: Any, molting: Any) -> None:
    shown = molting("show", finished.root, "--json").json
    assert list(shown["retention"]) == ["neutral_perplexity", "grammar", "everyday"]
    for entry in shown["retention"].values():
        assert {"base", "tuned", "low", "high", "n", "margin", "passed"} <= entry.keys()
    for key in ("likelihood_gain", "forced_choice", "robustness", "copying", "diversity"):
        assert shown[key] is not None, key
    assert shown["projection"] is None
    assert shown["questionnaire"] is None
    assert shown["verdict"]["lost"] == [
        name for name, entry in shown["retention"].items() if entry["passed"] is False
    ] + [name for name in ("copying", "diversity") if shown[name]["passed"] is False]
    told = molting("show", finished.root).out
    assert "grammar" in told
    assert "Likelihood gain L" in told


def test_a_retention_file_that_is_not_there_is_told_before_any_work(
    copy: Path, molting: Any
) -> None:
    done = molting("evaluate", copy, "--set", 'evaluate.retention=["gone.jsonl"]')
    assert done.code == 2
    assert "gone.jsonl: no such file" in done.line


def test_a_changed_retention_file_is_asked_anew(copy: Path, molting: Any) -> None:
    file = copy / "own.jsonl"
    pairs = [{"good": f"It is {n}.", "bad": f"It are {n}."} for n in range(8)]
    setting = 'evaluate.retention=["own.jsonl"]'
    found = []
    for count in (4, 8):
        file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs[:count]))
        shown = molting("evaluate", copy, "--set", setting, "--json").json
        found.append(shown["retention"]["own"]["n"])
    assert found == [4, 8]
