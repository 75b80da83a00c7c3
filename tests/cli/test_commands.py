"""What the commands print: one object with --json, and something for a person without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def copy(finished: Any, tmp_path: Path) -> Path:
    return shutil.copytree(finished.root, tmp_path / "copy")


def test_show_prints_scores_with_intervals_and_what_was_not_measured(
    finished: Any, molting: Any
) -> None:
    done = molting("show", finished.root)
    assert (done.code, done.err) == (0, "")
    told = " ".join(done.out.split())
    assert "Skerry · molt 1 · fake" in told
    for word in ("untouched base", "tuned + prompt", "own text", "cleanliness", "not measured",
                 "perplexity", "overlap", "adapter"):  # fmt: skip
        assert word in told
    assert "…" not in told, "a number that is cut off is no number"
    assert "nan" not in told.casefold().split()


def test_curate_says_for_every_row_why_it_stayed_or_went(finished: Any, molting: Any) -> None:
    found = molting("curate", finished.root, "--json").json
    rows = found["rows"]
    assert len(rows) == found["rows_in"] == found["kept"] + sum(found["rejected"].values())
    for row in rows:
        assert row["reason"]
        assert row["kept"] == (row["split"] is not None)
    plain = molting("curate", finished.root)
    for reason in found["rejected"]:
        assert reason in plain.out


def test_check_previews_what_is_trained(finished: Any, molting: Any) -> None:
    path = finished.root / "export.jsonl"
    row = json.loads(path.read_text("utf-8").splitlines()[3])["messages"]
    done = molting("check", path, "--model", "fake", "--preview", "--row", 4)
    assert done.code == 0, done.err
    told = "".join(done.out.split())
    _, _, trained = told.partition("trained:")
    assert trained == "".join((row[1]["content"] + "<|end|>").split())
    assert "theend-of-turntokenistrained" in told


def test_check_prints_findings_for_a_person(finished: Any, molting: Any) -> None:
    done = molting("check", finished.root)
    assert done.code == 0, done.err
    for word in ("boilerplate", "In the files as they came", "Estimate"):
        assert word in done.out


def test_train_and_evaluate_find_what_is_there(copy: Path, molting: Any) -> None:
    train = molting("train", copy)
    assert train.code == 0
    assert "2 epochs" in train.out
    assert "already trained" in train.err
    evaluate = molting("evaluate", copy)
    assert evaluate.code == 0
    assert "already evaluated" in evaluate.err
    assert "personality" in evaluate.out


def test_chat_answers_saves_and_quits(copy: Path, molting: Any) -> None:
    saved = copy / "talk.json"
    lines = [
        "Hello there.",
        "/base",
        "And now?",
        f"/save {saved}",
        "/nonsense",
        "",
        "/quit",
        "never said",
    ]
    done = molting("chat", copy, "--system", "Be brief.", stdin="\n".join(lines))
    assert done.code == 0, done.err
    assert "Skerry: " in done.out
    assert "base: " in done.out
    assert "unknown command /nonsense" in done.out
    messages = json.loads(saved.read_text())["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert [m["content"] for m in messages if m["role"] == "user"] == ["Hello there.", "And now?"]


def test_chat_ends_with_its_input_and_refuses_what_cannot_fit(copy: Path, molting: Any) -> None:
    done = molting("chat", copy, "--base", stdin="/persona\n/reset\n/help\n/tuned\n")
    assert done.code == 0, done.err
    assert "system prompt: You are Skerry." in done.out
    assert "conversation forgotten" in done.out
    long = molting("chat", copy, stdin="x" * 3000 + "\n")
    assert long.code == 2
    assert "longer than the model's context" in long.line
