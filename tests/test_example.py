"""The shipped example, and what starting the command costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from molting.core.config import Config, Curate, load_config
from molting.core.conversation import Conversation
from molting.curate.filters import filter_rows
from molting.curate.formats import read_file
from molting.curate.grouping import duplicate_pairs, leaks
from molting.curate.pipeline import curate


@pytest.fixture(scope="module")
def config(example: Path) -> Config:
    return load_config(example / "molting.toml")


@pytest.fixture(scope="module")
def export(example: Path) -> tuple[Conversation, ...]:
    return read_file(example / "data" / "export.jsonl", "data/export.jsonl").conversations


@pytest.fixture(scope="module")
def held_out(example: Path) -> tuple[Conversation, ...]:
    return read_file(example / "data" / "held_out.jsonl", "data/held_out.jsonl").conversations


def test_the_example_has_the_rows_that_its_description_says(
    config: Config, export: tuple[Conversation, ...], held_out: tuple[Conversation, ...]
) -> None:
    assert (len(export), len(held_out)) == (450, 60)
    assert config.persona.name == "Skerry"
    assert config.data.files == ("data/export.jsonl",)
    assert config.data.held_out == ("data/held_out.jsonl",)
    assert len(config.persona.facts) == 10


def test_curation_keeps_the_good_rows_and_takes_out_the_noise(
    config: Config, export: tuple[Conversation, ...], held_out: tuple[Conversation, ...]
) -> None:
    corpus = curate(export, held_out, config)
    mine = corpus.rows[: len(export)]
    good = [row for row in mine if row.verdict.kept or row.verdict.reason == "not_selected"]
    # 300 good conversations and 150 rows of noise, ten of which are merely bland.
    assert len(good) >= 300
    assert len(mine) - len(good) >= 120
    assert len(corpus.split("train")) == config.curate.target
    assert len(corpus.split("test")) == len(held_out)
    # A duplicate goes only where its twin stays.
    stays = {row.conversation.id for row in good}
    for row in mine:
        if row.verdict.reason.endswith("_duplicate"):
            assert row.verdict.evidence["twin"] in stays


def test_the_good_rows_hold_hardly_a_near_duplicate(
    config: Config, export: tuple[Conversation, ...], held_out: tuple[Conversation, ...]
) -> None:
    corpus = curate(export, held_out, config)
    good = [
        row.conversation
        for row in corpus.rows[: len(export)]
        if row.verdict.kept or row.verdict.reason == "not_selected"
    ]
    exact, near = duplicate_pairs(good, config.curate.near_threshold)
    assert exact == []
    assert len({pair.right for pair in near}) <= 0.02 * len(good)


def test_no_held_out_prompt_or_reply_stands_in_the_export(
    config: Config, export: tuple[Conversation, ...], held_out: tuple[Conversation, ...]
) -> None:
    assert leaks(export, held_out, config.curate.near_threshold) == []


def test_the_held_out_rows_are_clean_and_differ(held_out: tuple[Conversation, ...]) -> None:
    assert filter_rows(held_out, Curate()) == [None] * len(held_out)
    assert duplicate_pairs(held_out, 0.7) == ([], [])
    assert len({row.prompt.casefold() for row in held_out}) == len(held_out)


def test_the_export_has_every_kind_of_noise_that_real_exports_have(
    export: tuple[Conversation, ...],
) -> None:
    reasons = {verdict.reason for verdict in filter_rows(export, Curate()) if verdict}
    assert reasons >= {"error", "boilerplate", "agent_chatter", "tool_output", "cut_off", "secret",
                       "empty_reply"}  # fmt: skip
    exact, near = duplicate_pairs(export, 0.7)
    assert exact
    assert near


def test_the_check_finds_nothing_left_after_curation(example: Path, molting: object) -> None:
    assert callable(molting)
    # The fake reads bytes, 2,048 of them: so short a reply leaves room for the persona's prompt.
    settings = ("base.model=fake", "train.max_tokens=2048", "evaluate.max_new_tokens=16")
    done = molting("check", example, *(f for s in settings for f in ("--set", s)), "--json")
    assert done.code == 0, done.err
    found = done.json
    assert [f["code"] for f in found["findings"] if f["open"]] == []
    assert found["open"] == 0
    assert (found["rows"], found["training_rows"]) == (450, 260)
    estimate = found["estimate"]
    assert estimate["train_minutes"] > 0
    assert estimate["memory_gib"] > 0
    assert estimate["tokens_per_epoch"] > estimate["trained_tokens_per_epoch"] > 0


@pytest.mark.parametrize("module", ["molting.cli.main", "molting.core.project", "molting.flow"])
def test_starting_the_command_imports_nothing_heavy(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "transformers", "peft", "sklearn", "scipy", "pyarrow", "matplotlib",
             "huggingface_hub", "jinja2"}  # fmt: skip
    assert heavy & set(json.loads(done.stdout)) == set()


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['molting', '--help']\n"
        "from molting.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'pyarrow', 'matplotlib', 'numpy'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "curate" in done.stdout
