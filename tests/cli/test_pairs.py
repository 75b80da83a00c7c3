"""`molting duplicates --pairs`: two columns in, one score a row out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def pairs(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        file = tmp_path / "pairs.tsv"
        file.write_bytes(text.encode("utf-8"))
        return file

    return write


def test_each_row_gets_its_score(molting: Any, pairs: Any) -> None:
    file = pairs("the tide turns\tthe tide turns\nthe tide turns\ta loaf of bread\n")
    done = molting("duplicates", "--pairs", file, "--encoder", "fake", "--json")
    assert done.code == 0, done.err
    found = done.json
    assert found["encoder"] == "fake"
    assert found["threshold"] == 0.8
    assert [row["line"] for row in found["pairs"]] == [1, 2]
    assert found["pairs"][0] == {"line": 1, "score": 1.0, "duplicate": True}
    assert found["pairs"][1]["score"] < 0.1
    assert found["pairs"][1]["duplicate"] is False


def test_without_json_it_is_a_table(molting: Any, pairs: Any) -> None:
    done = molting("duplicates", "--pairs", pairs("a b\ta b\n"), "--encoder", "fake")
    assert done.out == "line\tscore\tduplicate\n1\t1.0000\tyes\n"


def test_a_threshold_changes_the_verdict_not_the_score(molting: Any, pairs: Any) -> None:
    file = pairs("the tide turns at nine\tthe tide turned at nine\n")
    rows = [
        molting(
            "duplicates", "--pairs", file, "--encoder", "fake", "--threshold", limit, "--json"
        ).json["pairs"][0]
        for limit in ("0.05", "1")
    ]
    assert rows[0]["score"] == rows[1]["score"]
    assert (rows[0]["duplicate"], rows[1]["duplicate"]) == (True, False)


@pytest.mark.parametrize("head", ["left\tright", "Sentence1\tsentence2", "text_a\ttext_b"])
def test_names_of_columns_blank_lines_and_windows_ends_are_no_rows(
    head: str, molting: Any, pairs: Any
) -> None:
    file = pairs(f"\ufeff{head}\r\n\r\na b\ta b\r\n")
    found = molting("duplicates", "--pairs", file, "--encoder", "fake", "--json").json
    assert [(row["line"], row["score"]) for row in found["pairs"]] == [(3, 1.0)]


def test_a_pair_may_be_half_empty(molting: Any, pairs: Any) -> None:
    file = pairs("a b\t\n")
    found = molting("duplicates", "--pairs", file, "--encoder", "fake", "--json").json
    assert found["pairs"][0]["score"] == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\tb\nonly one\n", "pairs.tsv:2: 1 column, expected two"),
        ("a\tb\tc\n", "pairs.tsv:1: 3 columns, expected two"),
        ("", "pairs.tsv: no pairs in it"),
        ("left\tright\n", "no pairs in it"),
    ],
)
def test_what_is_no_pair_is_one_line(text: str, told: str, molting: Any, pairs: Any) -> None:
    done = molting("duplicates", "--pairs", pairs(text), "--encoder", "fake", "--json")
    assert done.code == 2
    assert told in done.line
    assert done.out == ""


def test_a_missing_file_and_an_unknown_encoder_are_one_line(
    molting: Any, pairs: Any, tmp_path: Path
) -> None:
    done = molting("duplicates", "--pairs", tmp_path / "none.tsv")
    assert (done.code, "no such file" in done.line) == (2, True)
    done = molting("duplicates", "--pairs", pairs("a\tb\n"), "--encoder", "minilmm")
    assert (done.code, "did you mean 'minilm'" in done.line) == (2, True)
    done = molting("duplicates", "--encoder", "fake")
    assert (done.code, "--pairs" in done.line) == (2, True)
    done = molting("duplicates", "--pairs", pairs("a\tb\n"), "--semantic-threshold", "0.9")
    assert (done.code, "goes with --semantic" in done.line) == (2, True)


def test_in_a_project_the_trainee_encodes_and_is_remembered(
    molting: Any, pairs: Any, tmp_path: Path, make_project: Any
) -> None:
    root = make_project(tmp_path / "project")
    file = pairs("the tide turns\tthe tide turned\n")
    calls = [
        molting("duplicates", root, "--pairs", file, "--encoder", "trainee", "--json")
        for _ in range(2)
    ]
    assert calls[0].code == 0, calls[0].err
    assert calls[0].out == calls[1].out
    assert (root / ".molting" / "memory" / "values.db").exists()
