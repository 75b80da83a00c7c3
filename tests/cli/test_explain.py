"""`molting curate --target N --selector NAME --explain`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Molting = Callable[..., Any]


@pytest.fixture
def project(make_project: Callable[..., Path], tmp_path: Path) -> Path:
    return make_project(tmp_path / "project", rows=60)


@pytest.mark.parametrize("selector", ["quality", "facility", "random", "longest"])
def test_target_and_selector_choose_the_rows(
    molting: Molting, project: Path, selector: str
) -> None:
    done = molting("curate", project, "--target", 12, "--selector", selector, "--json")
    assert done.code == 0, done.err
    assert done.json["splits"]["train"] == 12
    taken = [row for row in done.json["rows"] if row["reason"] == "selected"]
    assert sorted(row["evidence"]["rank"] for row in taken) == list(range(1, 13))
    for row in taken:
        assert {"score", "voice", "in_voice", "topic", "topic_words", "nearest"} <= set(
            row["evidence"]
        )


def test_explain_says_why_rows_were_taken_and_left_out(molting: Molting, project: Path) -> None:
    done = molting("curate", project, "--target", 12, "--explain")
    assert done.code == 0, done.err
    assert "taken, in order (12 of 12) · quality" in done.out
    assert "left out, best first (12 of " in done.out
    assert "in_voice" in done.out
    assert "export.jsonl:" in done.out
    assert "topics" in done.out
    as_json = molting("curate", project, "--target", 12, "--explain", "--json").json
    found = as_json["explanation"]
    assert len(found["taken"]) == 12
    assert len(found["left_out"]) == as_json["rejected"]["not_selected"]
    assert "explanation" not in molting("curate", project, "--target", 12, "--json").json


def test_an_unknown_selector_is_one_clear_line(molting: Molting, project: Path) -> None:
    done = molting("curate", project, "--selector", "best")
    assert done.code == 2
    assert "curate.selector" in done.line
    assert "quality, facility, random, longest" in done.line
    assert molting("curate", project, "--target", 0).code == 2
