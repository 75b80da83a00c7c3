from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molting.curate.formats import read_file


@pytest.fixture
def project(make_project: Callable[..., Path], tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


@pytest.mark.parametrize(
    ("format", "name"),
    [("messages", "a.jsonl"), ("sharegpt", "a.json"), ("alpaca", "a.jsonl"), ("parquet", "a.parquet")],
)  # fmt: skip
def test_the_training_rows_are_written(
    format: str, name: str, project: Path, tmp_path: Path, molting: Any
) -> None:
    to = tmp_path / "out" / name
    done = molting("corpus", "export", project, "--to", to, "--format", format, "--json")
    assert done.code == 0, done.err
    told = done.json
    assert (told["split"], told["format"], told["left_out"]) == ("train", format, {})
    curated = molting("curate", project, "--json").json
    train = [row for row in curated["rows"] if row["split"] == "train"]
    assert told["rows"] == told["rows_in"] == len(train) > 0
    assert {c.id for c in read_file(to).conversations} == {row["id"] for row in train}
    assert "a" in json.loads((to.parent / "dataset_info.json").read_text())


def test_each_split_and_all_of_them(project: Path, tmp_path: Path, molting: Any) -> None:
    counts = {}
    for split in ("train", "validation", "test", "all"):
        done = molting(
            "corpus", "export", project, "--to", tmp_path / f"{split}.jsonl", "--format",
            "messages", "--split", split, "--json",
        )  # fmt: skip
        assert done.code == 0, done.err
        counts[split] = done.json["rows"]
    assert counts["all"] == counts["train"] + counts["validation"] + counts["test"]


def test_the_words_for_a_person(project: Path, tmp_path: Path, molting: Any) -> None:
    to = tmp_path / "a.jsonl"
    done = molting("corpus", "export", project, "--to", to, "--format", "sharegpt")
    assert done.code == 0, done.err
    assert f"wrote {to}:".replace("\n", "") in done.out.replace("\n", "")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--to", "a.jsonl", "--format", "chatml"], "--format chatml: there are messages, sharegpt"),
        (["--to", "a.txt", "--format", "alpaca"], "a.txt: a alpaca file ends in .jsonl"),
        (["--to", "a.jsonl", "--format", "messages", "--split", "dev"], "--split dev: there are train"),
        (["--format", "messages"], "Missing option '--to'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(more: list[str], told: str, project: Path, molting: Any) -> None:
    done = molting("corpus", "export", project, *more)
    assert (done.code, done.out) == (2, "")
    assert told in done.line
    assert not (project / "a.jsonl").exists()
