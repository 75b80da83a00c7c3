"""`molting evaluate --replies`: any transcript, scored in a project that was never trained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from molting.signals.contrast import neutral_replies

Rows = Sequence[tuple[str, str]]


def write(path: Path, rows: Rows) -> Path:
    lines = [json.dumps({"prompt": prompt, "reply": reply}) + "\n" for prompt, reply in rows]
    path.write_text("".join(lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def own(example: Path) -> Rows:
    lines = (example / "data" / "held_out.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line)["messages"] for line in lines]
    return [(row[0]["content"], row[-1]["content"]) for row in rows][:40]


@pytest.fixture(scope="module")
def project(make_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained: molting.toml and chats, 150 rows of which some are noise, 40 held out."""
    root = tmp_path_factory.mktemp("outside") / "project"
    made: Path = make_project(root, 150, 40, curate={"target": 120}, evaluate={"resamples": 100})
    return made


@pytest.fixture(scope="module")
def base(own: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    neutral = [contrast.reply for contrast in neutral_replies()]
    rows = [(prompt, neutral[i]) for i, (prompt, _) in enumerate(own)]
    return write(tmp_path_factory.mktemp("base") / "base.jsonl", rows)


def test_own_text_scores_high_without_any_training(
    project: Path, own: Rows, base: Path, molting: Any, tmp_path: Path
) -> None:
    file = write(tmp_path / "own.jsonl", own)
    found = molting("evaluate", project, "--replies", file, "--base-replies", base, "--json").json
    assert not (project / ".molting" / "molts").exists()
    score, voice = found["personality"], found["voice"]
    assert score["score"] >= 8
    assert score["low"] <= score["score"] <= score["high"]
    assert set(score["dimensions"]) == {"identity", "facts", "voice", "cleanliness", "quality"}
    assert score["dimensions"]["identity"] is None
    assert (voice["value"], voice["n"], voice["measurable"]) == (1.0, 40, True)
    assert voice["body"]["value"] == 1.0
    assert voice["agree"]
    assert voice["detector_auc"] > 0.9
    assert found["prompts"]["voice"] == 40


def test_the_base_model_answers_where_no_base_replies_are_given(
    project: Path, own: Rows, molting: Any, tmp_path: Path
) -> None:
    file = write(tmp_path / "own.jsonl", own[:12])
    found = molting("evaluate", project, "--replies", file, "--json")
    assert found.code == 0, found.err
    assert found.json["base"] == "fake"
    assert found.json["voice"]["n"] == 12
    assert "wide intervals" in found.json["notes"][0]
    assert found.json["personality"]["score"] is None or found.json["personality"]["score"] > 0


def test_prompts_need_not_be_the_corpus_s(
    project: Path, own: Rows, molting: Any, tmp_path: Path
) -> None:
    rows = [(f"Tell me about thing {i}, please.", reply) for i, (_, reply) in enumerate(own)]
    neutral = [contrast.reply for contrast in neutral_replies()]
    base = write(tmp_path / "b.jsonl", [(p, neutral[i]) for i, (p, _) in enumerate(rows)])
    file = write(tmp_path / "r.jsonl", rows)
    found = molting("evaluate", project, "--replies", file, "--base-replies", base, "--json").json
    assert found["voice"]["value"] > 0.8
    plain = molting("evaluate", project, "--replies", base, "--base-replies", base)
    assert plain.code == 0
    assert "personality, 0–10" in plain.out
    assert "0.0 to 0.0" in plain.out
    assert found["voice"]["n"] == 40


def test_answers_about_itself_are_judged_and_kept_out_of_the_voice(
    project: Path, own: Rows, base: Path, molting: Any, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.jsonl"
    written = molting("evaluate", project, "--write-prompts", asked, "--json").json
    prompts = [json.loads(line)["prompt"] for line in asked.read_text("utf-8").splitlines()]
    assert written["prompts"] == len(prompts) == 40 + 8 + 1
    replies = dict(own)
    rows = [
        (p, replies.get(p, "They call me Skerry, and boiling pots frighten me.")) for p in prompts
    ]
    file = write(tmp_path / "answered.jsonl", rows)
    found = molting("evaluate", project, "--replies", file, "--base-replies", base, "--json").json
    assert found["prompts"] | {"rows": 0} == {
        "rows": 0, "voice": 40, "held_out_text": 40, "identity": 8, "facts": 1,
    }  # fmt: skip
    assert found["personality"]["dimensions"]["identity"] == 10
    assert found["personality"]["dimensions"]["facts"] == 10
    assert found["personality"]["score"] >= 8


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", None, "holds no rows"),
        ('{"prompt": "a", "reply": "b"}\n{"prompt": "a"\n', 2, "not JSON"),
        ('{"prompt": "a", "reply": "b"}\n\n["a", "b"]\n', 3, "must be an object"),
        ('{"prompt": "a", "response": "b"}\n', 1, '"reply" is missing'),
        ('{"prompt": "a", "reply": 7}\n', 1, '"reply" must be a text'),
        ('{"prompt": " ", "reply": "b"}\n', 1, '"prompt" is empty'),
    ],
)
def test_a_bad_line_is_one_clear_line(
    text: str, line: int | None, said: str, project: Path, molting: Any, tmp_path: Path
) -> None:
    file = tmp_path / "replies.jsonl"
    file.write_text(text, "utf-8")
    done = molting("evaluate", project, "--replies", file, "--json")
    assert (done.code, done.out) == (2, "")
    assert said in done.line
    assert "replies.jsonl" + (f":{line}" if line else "") in done.line


def test_a_few_rows_are_refused_and_told_how_many_it_takes(
    project: Path, own: Rows, base: Path, molting: Any, tmp_path: Path
) -> None:
    file = write(tmp_path / "few.jsonl", own[:7])
    done = molting("evaluate", project, "--replies", file, "--base-replies", base, "--json")
    assert done.code == 1
    assert "different prompts to measure the voice on: 7;" in done.line
    assert "at least 8" in done.line


def test_base_replies_must_answer_the_prompts(
    project: Path, own: Rows, base: Path, molting: Any, tmp_path: Path
) -> None:
    file = write(tmp_path / "other.jsonl", [*own[:9], ("What is new?", "The gull is.")])
    done = molting("evaluate", project, "--replies", file, "--base-replies", base)
    assert done.code == 2
    assert 'first "What is new?"' in done.line


@pytest.mark.parametrize(
    "flags", [("--base-replies", "x"), ("--replies", "x", "--molt", "1"), ("--replies", "x", "--write-prompts", "y")]
)  # fmt: skip
def test_flags_that_contradict_each_other_are_named(
    flags: tuple[str, ...], project: Path, molting: Any
) -> None:
    done = molting("evaluate", project, *flags)
    assert done.code == 2
    assert "--" in done.line
