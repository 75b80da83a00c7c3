"""The whole flow with the fake model: what it leaves behind, and what a second run repeats."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molting.core.artifacts import file_hash
from molting.core.config import Train
from molting.core.corpus import Corpus, load_corpus
from molting.core.errors import ConfigError
from molting.core.progress import Silent
from molting.core.project import open_project
from molting.evaluate.probes import IDENTITY_QUESTIONS
from molting.flow import molt_fingerprint, read_inputs

S = {"score": ..., "low": ..., "high": ..., "n": ...,
     "dimensions": dict.fromkeys(("identity", "facts", "voice", "cleanliness", "quality"), ...)}  # fmt: skip
V = {"value": ..., "low": ..., "high": ..., "n": ...}
SHOWN: dict[str, Any] = {
    "molt": ..., "base": ..., "method": ...,
    "corpus": {"rows_in": ..., "kept": ..., "rejected": ...,
               "duplicates": {"exact": ..., "near": ..., "semantic": ...}},
    "train": dict.fromkeys(("trainable_parameters", "total_parameters", "epochs_run", "best_epoch", "tokens", "seconds", "tokens_per_second", "stopped_by"), ...),
    "perplexity": {"base": ..., "tuned": ...},
    "personality": {"base": S, "prompted": S, "tuned": S, "tuned_prompted": S},
    "voice": {"detector_auc": ..., "measurable": ..., "base": V, "prompted": V, "tuned": V,
              "tuned_body": V},
    "retention": ...,
    "overlap": {"train_eval_exact": ..., "train_eval_near": ...},
    "paths": {"adapter": ..., "report": ...},
}  # fmt: skip
"""The keys that scripts may rely on."""


def missing(wanted: Any, found: Any, at: str = "") -> list[str]:
    """Keys of `wanted` that `found` lacks."""
    if wanted is ...:
        return []
    if not isinstance(found, dict):
        return [f"{at} is {found!r}"]
    return [
        line
        for key, inner in wanted.items()
        for line in (missing(inner, found[key], f"{at}.{key}") if key in found else [f"{at}.{key}"])
    ]


def transcripts(root: Path, number: int = 1) -> list[dict[str, Any]]:
    path = root / ".molting" / "molts" / str(number) / "transcripts.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_run_ends_with_the_whole_summary_and_nothing_else_on_standard_output(
    finished: Any,
) -> None:
    shown = finished.run.json
    assert missing(SHOWN, shown) == []
    assert (shown["molt"], shown["base"], shown["method"]) == (1, "fake", "lora")
    assert "Traceback" not in finished.run.err
    assert "Warning" not in finished.run.err


def test_the_numbers_of_a_run_are_consistent(finished: Any) -> None:
    shown = finished.run.json
    corpus, train = shown["corpus"], shown["train"]
    assert corpus["rows_in"] == 50
    assert corpus["kept"] + sum(corpus["rejected"].values()) == corpus["rows_in"]
    assert sum(corpus["splits"].values()) == corpus["kept"]
    assert corpus["duplicates"]["semantic"] == 0, "looked for, none there"
    assert train["epochs_run"] == 2
    assert 0 < train["trainable_parameters"] < train["total_parameters"]
    assert train["tokens"] > 0
    assert shown["perplexity"]["tuned"] < shown["perplexity"]["base"]
    assert shown["voice"]["base"]["value"] == 0
    for system in ("base", "prompted", "tuned", "tuned_prompted"):
        found = shown["personality"][system]
        assert found["n"] == shown["prompts"]["voice"]
        assert 0 <= found["low"] <= found["score"] <= found["high"] <= 10
    # The fake speaks bytes: whatever it earned would be a fault of the score.
    assert shown["personality"]["tuned"]["score"] <= 2
    assert shown["personality"]["held_out_text"]["score"] >= 8
    assert shown["personality"]["held_out_text"]["dimensions"]["identity"] is None
    assert shown["verdict"]["code"] == "no_gain"


def test_every_reply_of_the_evaluation_is_kept(finished: Any) -> None:
    shown = finished.run.json
    kept = Counter((t["kind"], t["system"]) for t in transcripts(finished.root))
    for system in ("base", "prompted", "tuned", "tuned_prompted"):
        assert kept["held_out", system] == shown["prompts"]["voice"]
        assert kept["identity", system] == 2 * len(IDENTITY_QUESTIONS)
        assert kept["fact", system] == 2
    assert kept.total() == 4 * (shown["prompts"]["voice"] + 2 * len(IDENTITY_QUESTIONS) + 2)
    for told in transcripts(finished.root):
        assert told["ended"] in ("stop", "length")
        assert (told["right"] is None) == (told["kind"] == "held_out")


def test_the_prompts_that_were_asked_are_the_held_out_ones(finished: Any) -> None:
    lines = (finished.root / "held_out.jsonl").read_text("utf-8").splitlines()
    held_out = {json.loads(line)["messages"][-2]["content"] for line in lines}
    asked = {t["prompt"][-1]["text"] for t in transcripts(finished.root) if t["kind"] == "held_out"}
    assert asked == held_out


def test_nothing_that_a_run_wrote_holds_a_path_of_this_machine(finished: Any) -> None:
    state = finished.root / ".molting"
    told = re.compile(rb"/home/|/root/|/Users/|/tmp/|[A-Z]:\\\\")
    names = {str(finished.root).encode(), str(Path.home()).encode() + b"/"}
    looked = set()
    for path in state.rglob("*"):
        if path.suffix not in (".json", ".jsonl", ".html", ".safetensors", ".md"):
            continue
        looked.add(path.name)
        raw = path.read_bytes()
        assert not told.search(raw), f"{path}: {told.search(raw)}"
        assert not any(name in raw for name in names), path
    assert looked >= {
        "manifest.json", "config.json", "evaluation.json", "transcripts.jsonl", "metrics.jsonl",
        "adapter_config.json", "adapter_model.safetensors", "report.html",
    }  # fmt: skip
    assert not any(name.decode() in finished.run.out for name in names)


def test_the_manifest_pins_what_the_molt_was_made_of(finished: Any) -> None:
    folder = finished.root / ".molting" / "molts" / "1"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["adapter"] == file_hash(folder / "adapter" / "adapter_model.safetensors")
    assert manifest["corpus"] == finished.run.json["corpus"]["id"]
    assert manifest["base"]["weights"].startswith("b2:")
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in metrics if "epoch" not in line]
    epochs = [line for line in metrics if "epoch" in line]
    assert [line["step"] for line in steps] == list(range(1, manifest["train"]["steps"] + 1))
    assert [line["epoch"] for line in epochs] == [0, 1, 2]
    assert not list(folder.glob("resume*")), "a finished molt needs no resume point"


@pytest.fixture
def copy(finished: Any, tmp_path: Path) -> Path:
    return shutil.copytree(finished.root, tmp_path / "copy")


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let the named functions fail the test when they are called."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("was computed a second time")

    for name in names:
        monkeypatch.setattr(name, fail)


TRAINS = "molting.train.loop.train"
SPEAKS = "molting.memory.replies.generate"
MEASURES = "molting.evaluate.measure.evaluate"


def test_a_second_run_trains_nothing_and_measures_nothing(
    finished: Any, copy: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, TRAINS, SPEAKS, MEASURES)
    again = molting("run", copy, "--json")
    assert again.code == 0, again.err
    assert again.json == finished.run.json
    assert molting("show", copy, "--json").json == finished.run.json


def test_other_ways_of_measuring_generate_no_reply_again(
    finished: Any, copy: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, TRAINS, SPEAKS)
    before = transcripts(copy)
    again = molting("evaluate", copy, "--set", "evaluate.resamples=100", "--json")
    assert again.code == 0, again.err
    assert (
        again.json["personality"]["tuned"]["score"]
        == (finished.run.json["personality"]["tuned"]["score"])
    )
    assert again.json["perplexity"]["tuned"] == finished.run.json["perplexity"]["tuned"]
    assert transcripts(copy) == before


def test_deleting_the_memory_changes_no_result(finished: Any, copy: Path, molting: Any) -> None:
    shutil.rmtree(copy / ".molting" / "memory")
    (copy / ".molting" / "molts" / "1" / "evaluation.json").unlink()
    again = molting("evaluate", copy, "--json").json
    assert {**again, "paths": ...} == {**finished.run.json, "paths": ...}
    assert transcripts(copy) == transcripts(finished.root)


def test_another_configuration_is_another_molt_and_the_first_one_stays(
    finished: Any, copy: Path, molting: Any
) -> None:
    second = molting("train", copy, "--set", "train.epochs=1", "--json")
    assert second.code == 0, second.err
    assert second.json["molt"] == 2
    assert second.json["adapter"] == ".molting/molts/2/adapter"
    shown = molting("show", copy, "--json").json
    assert shown["molt"] == 2
    # Trained, and not measured: null, never 0.
    assert missing(
        {k: v for k, v in SHOWN.items() if k not in ("personality", "voice")}, shown
    ) == []  # fmt: skip
    assert shown["personality"] == dict.fromkeys(
        ("base", "prompted", "tuned", "tuned_prompted", "held_out_text")
    )
    assert set(shown["voice"]) >= set(SHOWN["voice"])
    assert set(shown["voice"].values()) == {None}
    assert shown["perplexity"] == {"base": None, "tuned": None}
    assert shown["overlap"] == {"train_eval_exact": None, "train_eval_near": None}
    assert shown["verdict"] is None
    assert shown["paths"]["report"] is None
    first = molting("show", copy, "--molt", 1, "--json").json
    assert first == finished.run.json
    plain = molting("show", copy)
    assert plain.code == 0
    assert "not evaluated yet" in plain.out
    assert "not measured" in plain.out


def test_a_molt_that_was_killed_before_it_was_called_finished_is_finished_by_the_next_run(
    copy: Path, molting: Any
) -> None:
    project = open_project(copy)
    with project.database() as db:
        db.execute("UPDATE molts SET finished = NULL")
    (project.molt_folder(1) / "resume.safetensors").write_bytes(b"left behind")
    assert molting("train", copy, "--json").json["molt"] == 1
    assert project.molt().finished is not None
    assert not (project.molt_folder(1) / "resume.safetensors").exists()


def test_the_adapter_is_read_by_plain_peft(finished: Any) -> None:
    import torch
    from peft import PeftModel

    from molting.models.fake import fake_model

    folder = finished.root / ".molting" / "molts" / "1" / "adapter"
    ids = torch.tensor([[1, 2, 3, 4]])
    with torch.no_grad():
        before = fake_model()(ids).logits
        after = PeftModel.from_pretrained(fake_model(), folder)(ids).logits
    assert torch.isfinite(after).all()
    assert not torch.equal(before, after)


def test_the_report_is_one_page_about_this_molt(finished: Any) -> None:
    page = (finished.root / ".molting" / "molts" / "1" / "report.html").read_text("utf-8")
    assert "Skerry" in page
    assert "<script" not in page
    assert "nan" not in re.findall(r">\s*(nan|None|null)\s*<", page)


def test_training_depends_on_the_corpus_the_weights_and_the_training_keys_alone(
    make_project: Callable[..., Path], tmp_path: Path
) -> None:
    def key(corpus: str = "b2:c", weights: str = "b2:w", **sections: Any) -> str:
        root = make_project(tmp_path, **sections)
        return molt_fingerprint(Corpus(corpus, (), {}), open_project(root).config, weights, 48)

    same = key()
    assert key(evaluate={"samples": 3}, persona={"description": "another"}) == same
    assert len({same, key("b2:d"), key(weights="b2:v"), key(train={"epochs": 3}), key(base={"dtype": "auto"})}) == 5  # fmt: skip
    assert Train().seed == 0


def test_every_row_that_came_in_is_in_the_corpus_with_its_reason(finished: Any) -> None:
    (folder,) = (finished.root / ".molting" / "corpora").iterdir()
    corpus = load_corpus(folder)
    assert len(corpus.rows) == 50
    assert {row.verdict.kept for row in corpus.rows} == {True, False}
    lines = {str(row.conversation.source) for row in corpus.rows}
    assert lines == {f"export.jsonl:{i}" for i in range(1, 41)} | {
        f"held_out.jsonl:{i}" for i in range(1, 11)
    }


def test_a_project_without_chat_files_says_where_to_name_them(
    make_project: Callable[..., Path], tmp_path: Path
) -> None:
    project = open_project(make_project(tmp_path, data={"files": []}))
    with pytest.raises(ConfigError, match=r"molting\.toml: data\.files: names no chat files"):
        read_inputs(project, Silent())


def test_a_curated_corpus_is_found_and_not_made_again(
    copy: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid(monkeypatch, "molting.flow.rows.curate")
    found = molting("curate", copy, "--json")
    assert found.code == 0, found.err
    assert len(found.json["rows"]) == found.json["rows_in"] == 50
