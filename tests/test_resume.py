"""Killed at any moment, a run goes on from there and ends as if it had been left alone."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molting.core.artifacts import read_json

TRAIN = {"dropout": 0.1, "epochs": 3, "batch_rows": 4, "checkpoint_seconds": 0, "patience": 3}
"""Seven steps an epoch, and a resume point after every one."""

DIE = """
import os, signal, pathlib
replace, left = os.replace, [{number}]
def dying(source, target):
    if {name!r} in (pathlib.Path(target).name, ""):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = dying
"""


def die(number: int, name: str = "") -> str:
    """The process kills itself where it would rename the n-th finished file (of that name)."""
    return DIE.format(number=number, name=name)


def adapter(root: Path) -> bytes:
    return (root / ".molting/molts/1/adapter/adapter_model.safetensors").read_bytes()


def resume_point(root: Path) -> Path:
    return root / ".molting/molts/1/resume.safetensors"


def saved_again(root: Path, times: int) -> Callable[[], bool]:
    """True when the resume point was seen to be written that often."""
    seen: list[int] = []

    def look() -> bool:
        try:
            now = resume_point(root).stat().st_mtime_ns
        except FileNotFoundError:
            return False
        if now not in seen:
            seen.append(now)
        return len(seen) > times

    return look


def left_over(root: Path) -> list[Path]:
    state = root / ".molting"
    return [*state.rglob(".*.tmp"), *state.rglob("resume*")]


@pytest.fixture(scope="module")
def curated(
    make_project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, apart: Any
) -> Path:
    """A project with its corpus; each test trains a copy."""
    root = make_project(tmp_path_factory.mktemp("resume") / "project", train=TRAIN)
    done = apart("curate", root, "--json")
    assert done.code == 0, done.err
    return root


@pytest.fixture(scope="module")
def uninterrupted(curated: Path, tmp_path_factory: pytest.TempPathFactory, apart: Any) -> Path:
    root = shutil.copytree(curated, tmp_path_factory.mktemp("whole") / "project")
    done = apart("train", root, "--json")
    assert done.code == 0, done.err
    assert done.json["train"]["epochs_run"] == 3
    assert done.json["train"]["steps"] == 21
    return root


def test_killed_at_several_moments_of_training_it_ends_with_the_same_bytes(
    curated: Path, uninterrupted: Path, tmp_path: Path, apart: Any
) -> None:
    root = shutil.copytree(curated, tmp_path / "project")
    for times in (0, 2, 5):
        killed = apart("train", root, when=saved_again(root, times))
        assert killed.code == -signal.SIGKILL, killed.err
        assert resume_point(root).exists()
        assert not (root / ".molting/molts/1/manifest.json").exists()
        assert not (root / ".molting/molts/1/adapter").exists()
    done = apart("train", root, "--json")
    assert done.code == 0, done.err
    assert "resuming at step" in done.err
    assert adapter(root) == adapter(uninterrupted)
    assert done.json["train"]["steps"] == 21
    assert left_over(root) == []


def test_killed_wherever_a_file_was_about_to_be_finished_it_ends_with_the_same_bytes(
    curated: Path, uninterrupted: Path, tmp_path: Path, apart: Any
) -> None:
    root = shutil.copytree(curated, tmp_path / "project")
    moments = [
        (1, "started.json"), (9, "resume.safetensors"), (1, "metrics.jsonl"), (1, "manifest.json"),
    ]  # fmt: skip
    for number, name in moments:
        killed = apart("train", root, before=die(number, name))
        assert killed.code == -signal.SIGKILL, killed.err
        assert not (root / ".molting/molts/1/manifest.json").exists()
    done = apart("train", root, "--json")
    assert done.code == 0, done.err
    assert done.json["molt"] == 1
    assert adapter(root) == adapter(uninterrupted)
    assert left_over(root) == []


def test_ctrl_c_during_training_is_one_line_and_130_and_the_same_command_goes_on(
    curated: Path, uninterrupted: Path, tmp_path: Path, apart: Any
) -> None:
    root = shutil.copytree(curated, tmp_path / "project")
    stopped = apart("train", root, "--json", when=saved_again(root, 3), send=signal.SIGINT)
    assert stopped.code == 130, stopped.err
    assert "interrupted at step" in stopped.line
    assert "the same command resumes there" in stopped.line
    assert stopped.out == ""
    done = apart("train", root, "--json")
    assert done.code == 0, done.err
    assert adapter(root) == adapter(uninterrupted)


def test_ctrl_c_elsewhere_is_one_line_and_130(curated: Path, tmp_path: Path, apart: Any) -> None:
    root = shutil.copytree(curated, tmp_path / "project")
    interrupt = """
import molting.cli.stages, os, signal
molting.cli.stages.read_inputs = lambda *_: os.kill(os.getpid(), signal.SIGINT)
"""
    stopped = apart("curate", root, before=interrupt)
    assert stopped.code == 130
    assert stopped.line.startswith("molting: interrupted; finished stages are kept")


def test_a_resume_point_that_was_damaged_is_no_resume_point(
    curated: Path, uninterrupted: Path, tmp_path: Path, apart: Any
) -> None:
    root = shutil.copytree(curated, tmp_path / "project")
    killed = apart("train", root, when=saved_again(root, 2))
    assert killed.code == -signal.SIGKILL
    whole = resume_point(root).read_bytes()
    resume_point(root).write_bytes(whole[: len(whole) // 2])
    done = apart("train", root, "--json")
    assert done.code == 0, done.err
    assert "resuming" not in done.err
    assert adapter(root) == adapter(uninterrupted)


def test_killed_while_curating_nothing_half_is_left_that_counts(
    make_project: Callable[..., Path],
    uninterrupted: Path,
    tmp_path: Path,
    apart: Any,
    molting: Any,
) -> None:
    root = make_project(tmp_path / "project", train=TRAIN)
    for number in (1, 2):
        # First the manifest inside the corpus, then the corpus itself.
        assert apart("curate", root, before=die(number)).code == -signal.SIGKILL
        assert not list((root / ".molting" / "corpora").glob("b2*"))
    shown = molting("show", root)
    assert shown.code == 2
    assert "no trained molt yet" in shown.line
    done = apart("curate", root, "--json")
    assert done.code == 0, done.err
    (folder,) = (root / ".molting" / "corpora").iterdir()
    (twin,) = (uninterrupted / ".molting" / "corpora").iterdir()
    assert folder.name == twin.name
    # All but the moment at which it was made.
    made, other = (read_json(path / "manifest.json") | {"created": None} for path in (folder, twin))
    assert made == other
    assert left_over(root) == []


def test_killed_while_evaluating_the_molt_can_be_shown_and_the_next_run_ends_the_same(
    finished: Any, tmp_path: Path, apart: Any, molting: Any
) -> None:
    root = shutil.copytree(finished.root, tmp_path / "project")
    molt = root / ".molting/molts/1"
    for name in ("evaluation.json", "transcripts.jsonl", "report.html"):
        (molt / name).unlink()
    shutil.rmtree(root / ".molting/memory")
    # In the midst of the replies, at the transcripts, and before the numbers.
    thinking = """
import os, signal
from molting.memory.store import Memory
put, left = Memory.put, [3]
def dying(self, values):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    put(self, values)
Memory.put = dying
"""
    for before in (thinking, die(1, "transcripts.jsonl"), die(1, "evaluation.json")):
        assert apart("run", root, before=before).code == -signal.SIGKILL
        assert not (molt / "evaluation.json").exists()
        shown = molting("show", root, "--json")
        assert shown.code == 0, shown.err
        assert shown.json["perplexity"] == {"base": None, "tuned": None}
    done = apart("run", root, "--json")
    assert done.code == 0, done.err
    assert done.json == finished.run.json
    assert left_over(root) == []
