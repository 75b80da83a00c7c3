"""`molting detect`: train, predict, bench, from end to end over the shipped fakes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

LOUD, STILL = (
    ["party", "crowd", "dance", "loud", "friends"],
    ["book", "tea", "window", "alone", "quiet"],
)
COMMON = ["the", "a", "and", "of", "to", "in", "on", "with", "for", "it", "was", "is"]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty writers, one trait that the words tell and one that nothing tells."""
    draw = random.Random(0)
    rows = []
    for i in range(40):
        words = LOUD if i % 2 else STILL
        posts = [
            " ".join(draw.choice(words if draw.random() < 0.4 else COMMON) for _ in range(15))
            for _ in range(3)
        ]
        rows.append(
            {"posts": posts, "label": {"outgoing": bool(i % 2), "coin": draw.random() < 0.5}}
        )
    file = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("memory")


def train(molting: Any, texts: Path, memory: Path, to: Path, head: str, *more: object) -> Any:
    return molting(
        "detect", "train", texts, "--head", head, "--out", to, "--memory", memory,
        "--features", "fake-encoder", "--json", *more,
    )  # fmt: skip


def test_a_second_head_needs_no_pass_of_the_model(
    molting: Any, texts: Path, tmp_path: Path
) -> None:
    passes = []
    for head in ("logistic", "centroid"):
        done = molting(
            "detect", "train", texts, "--head", head, "--out", tmp_path / head, "--json",
            "--memory", tmp_path / "memory", "--features", "fake",
        )  # fmt: skip
        assert done.code == 0, done.err
        passes.append((done.json["feature_passes"], done.json["head_passes"]))
    assert passes[0][0] > 0
    assert passes == [(passes[0][0], 0), (0, 0)]
    assert done.json["features"]["layer"] == 1


def test_train_says_what_to_expect_and_predict_keeps_to_it(
    molting: Any, texts: Path, memory: Path, tmp_path: Path
) -> None:
    done = train(molting, texts, memory, tmp_path / "out", "logistic")
    assert done.code == 0, done.err
    found = done.json["cross_validated"]
    assert found["traits"]["outgoing"]["low"] > 0.9
    assert found["traits"]["coin"]["low"] < 0.6
    assert found["traits"]["coin"]["n"] == 40
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "detector.json", "head.safetensors", "manifest.json",
    ]  # fmt: skip
    new = tmp_path / "new.jsonl"
    new.write_text(
        json.dumps({"text": " ".join(LOUD * 6)}) + "\n" + json.dumps({"text": " ".join(STILL * 6)}),
        "utf-8",
    )
    told = molting("detect", "predict", tmp_path / "out", new, "--memory", memory, "--json")
    assert told.code == 0, told.err
    named = [row["answers"]["outgoing"] for row in told.json["rows"]]
    assert [answer["named"] for answer in named] == ["yes", "no"]
    assert named[0]["probability"]["yes"] > 0.8 > 0.2 > named[1]["probability"]["yes"]
    assert told.json["rows"][0]["labels"] is None
    assert told.json["right"] == {}
    again = molting("detect", "predict", tmp_path / "out", texts, "--memory", memory)
    assert again.code == 0, again.err
    assert "outgoing: 40 of 40 as labelled" in again.out


def test_bench_sets_heads_beside_baselines(molting: Any, texts: Path, memory: Path) -> None:
    done = molting(
        "detect", "bench", texts, "--head", "centroid", "--head", "mlp", "--seeds", 2, "--json",
        "--features", "fake-encoder", "--memory", memory,
    )  # fmt: skip
    assert done.code == 0, done.err
    (task,) = done.json["tasks"]
    lines = {line["name"]: line for line in task["lines"]}
    assert list(lines) == ["majority", "length", "bag_of_words", "centroid", "mlp"]
    assert all(line["passes"] == 0 for line in lines.values())
    f1 = {name: line["quality"]["traits"]["outgoing"]["value"] for name, line in lines.items()}
    assert f1["majority"] < 0.5
    assert min(f1["bag_of_words"], f1["centroid"], f1["mlp"]) > 0.9
    assert lines["bag_of_words"]["over_words"] is None
    assert lines["mlp"]["over_words"]["n"] == 40


def test_masked_and_unmasked_stand_side_by_side(molting: Any, tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [
        {"type": kind, "posts": [f"I am an {kind} and " + " ".join(draw.choices(COMMON, k=12))]}
        for i in range(40)
        for kind in [("INFP", "ESTJ")[i % 2]]
    ]
    file = tmp_path / "types.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    done = molting(
        "detect", "bench", file, "--head", "centroid", "--seeds", 1, "--json", "--types",
        "--features", "fake-encoder", "--memory", tmp_path / "memory",
    )  # fmt: skip
    assert done.code == 0, done.err
    plain, covered = done.json["tasks"]
    assert (plain["masked"], covered["masked"]) == (False, True)
    words = [
        {line["name"]: line["quality"]["macro_f1"]["value"] for line in task["lines"]}
        for task in (plain, covered)
    ]
    assert words[0]["bag_of_words"] == words[0]["centroid"] == 1
    assert max(words[1].values()) < 0.8


def test_what_is_wrong_is_one_line(molting: Any, texts: Path, memory: Path, tmp_path: Path) -> None:
    done = train(molting, texts, memory, tmp_path / "out", "grue")
    assert (done.code, "no head 'grue'; one of logistic" in done.line) == (2, True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("mine")
    done = train(molting, texts, memory, tmp_path / "mine", "centroid")
    assert (done.code, "is no detector" in done.line) == (2, True)
    assert (tmp_path / "mine" / "letter.txt").exists()
    done = train(molting, texts, memory, tmp_path / "out", "centroid", "--layer", 3)
    assert (done.code, "no --layer" in done.line) == (2, True)
    done = train(molting, texts, memory, tmp_path / "out", "centroid", "--seeds", 0)
    assert done.code == 2
    done = train(molting, texts, memory, tmp_path / "out", "centroid", "--rows", 5)
    assert (done.code, "writers are too few" in done.line) == (1, True)
    assert not (tmp_path / "out").exists()
    done = molting("detect", "predict", tmp_path, texts)
    assert (done.code, "no detector" in done.line) == (2, True)


def test_a_damaged_detector_is_named_and_one_of_other_features_refused(
    molting: Any, texts: Path, memory: Path, tmp_path: Path
) -> None:
    to = tmp_path / "out"
    assert train(molting, texts, memory, to, "centroid").code == 0
    # Made again in its place.
    assert train(molting, texts, memory, to, "mlp").code == 0
    manifest = json.loads((to / "manifest.json").read_text())
    settings = json.loads((to / "detector.json").read_text())
    raw = (to / "head.safetensors").read_bytes()
    (to / "head.safetensors").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    done = molting("detect", "predict", to, texts, "--memory", memory)
    assert (done.code, "is damaged" in done.line) == (2, True)
    (to / "head.safetensors").write_bytes(raw)

    from molting.core.artifacts import file_hash

    settings["features_id"] = "b2:other"
    (to / "detector.json").write_text(json.dumps(settings))
    manifest["files"]["detector.json"] = file_hash(to / "detector.json")
    (to / "manifest.json").write_text(json.dumps(manifest))
    done = molting("detect", "predict", to, texts, "--memory", memory)
    assert (done.code, "other weights" in done.line) == (2, True)
