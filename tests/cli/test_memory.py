"""`molting memory`, and a second run that computes nothing below the boundary again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def trained(
    make_project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, apart: Any
) -> Path:
    """A project trained once in fast mode; each test works on a copy."""
    root = make_project(
        tmp_path_factory.mktemp("memory") / "project",
        rows=24,
        train={"mode": "fast", "top_layers": 1, "epochs": 1},
    )
    done = apart("train", root, "--json")
    assert done.code == 0, done.err
    below = done.json["train"]["below"]
    assert below["boundary"] == 1
    assert below["layer_passes"] >= below["parts_computed"] > 0
    return root


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "project")


def adapter(root: Path, molt: int) -> bytes:
    return (root / f".molting/molts/{molt}/adapter/adapter_model.safetensors").read_bytes()


def test_other_settings_of_the_top_run_nothing_below(project: Path, molting: Any) -> None:
    done = molting(
        "train", project, "--json", "--set", "train.rank=4", "--set", "train.learning_rate=0.002"
    )
    assert done.code == 0, done.err
    assert done.json["molt"] == 2
    below = done.json["train"]["below"]
    assert (below["parts_computed"], below["layer_passes"]) == (0, 0)
    assert below["parts_remembered"] > 0


def test_a_deleted_memory_changes_no_bit(project: Path, apart: Any) -> None:
    before = adapter(project, 1)
    shutil.rmtree(project / ".molting/memory")
    shutil.rmtree(project / ".molting/molts")
    (project / ".molting/project.db").unlink()
    done = apart("train", project, "--json")
    assert done.code == 0, done.err
    assert done.json["train"]["below"]["parts_computed"] > 0
    assert adapter(project, 1) == before


def test_stats_verify_clear(project: Path, molting: Any) -> None:
    stats = molting("memory", "stats", project, "--json").json
    kind = stats["kinds"]["boundary"]
    assert kind["entries"] > 0
    assert kind["misses"] > 0
    assert stats["bytes"] <= stats["disk_bytes"] < stats["budget_bytes"] == 4 << 30
    assert "boundary" in molting("memory", "stats", project).out
    done = molting("memory", "verify", project, "--json")
    assert (done.code, done.json["checked"], done.json["damaged"]) == (0, kind["entries"], {})
    done = molting("memory", "clear", project)
    assert done.code == 0
    assert f"removed {kind['entries']} entries" in done.out
    assert molting("memory", "stats", project, "--json").json["entries"] == 0
    assert "empty" in molting("memory", "stats", project).out


def test_verify_names_damage_and_drops_it(project: Path, molting: Any) -> None:
    (shard,) = (project / ".molting/memory/shards").iterdir()
    raw = bytearray(shard.read_bytes())
    raw[100] ^= 1
    shard.write_bytes(raw)
    done = molting("memory", "verify", project, "--json")
    assert (done.code, done.json["damaged"]) == (1, {"boundary": 1})
    assert "1 of" in done.line
    assert molting("memory", "verify", project).code == 0


def test_a_folder_that_is_no_project_is_one_clear_line(tmp_path: Path, molting: Any) -> None:
    done = molting("memory", "stats", tmp_path)
    assert done.code == 2
    assert "molting.toml" in done.line
