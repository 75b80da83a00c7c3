"""metrics.jsonl is whole after each evaluation; trackers hear the same."""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from molting.core.errors import UsageError
from molting.train.checkpoint import Position
from molting.train.watching import MetricsFile, Tracker, trackers

RECORD = {"epoch": 1, "step": 2, "validation_loss": 2.5, "preferred": 1, "voice": None}
POSITION = Position(2, 1, 1, 2.5, 1.0, 9, ({"epoch": 0, "step": 0}, RECORD), (3.0, 2.0), (1.0, 0.5))


def test_the_file_has_a_line_a_step_and_a_line_an_evaluation(tmp_path: Path) -> None:
    watcher = MetricsFile(tmp_path / "metrics.jsonl")
    watcher.step(1, 3.0, 1e-4, 1.0)
    watcher.evaluated(POSITION)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [
        {"step": 1, "train_loss": 3.0, "gradient_norm": 1.0},
        {"step": 2, "train_loss": 2.0, "gradient_norm": 0.5},
        {"epoch": 0, "step": 0},
        RECORD,
    ]


def test_a_tracker_hears_numbers_alone_and_the_step() -> None:
    heard: list[Any] = []
    tracker = Tracker(lambda numbers, step: heard.append((numbers, step)))
    tracker.step(1, 3.0, 1e-4, 0.5)
    tracker.evaluated(POSITION)
    assert heard == [
        ({"train_loss": 3.0, "learning_rate": 1e-4, "gradient_norm": 0.5}, 1),
        ({"validation_loss": 2.5, "preferred": 1.0}, 2),
    ]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("tensorboard", "torch.utils.tensorboard"), ("trackio", "trackio"), ("mlflow", "mlflow"),
    ],
)  # fmt: skip
def test_one_that_is_not_installed_is_named_with_the_command(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"pip install 'molting-lm\[{name}\]'"):
        trackers((name,), tmp_path, "run", {})


def test_trackio_gets_the_settings_and_every_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    fake = types.ModuleType("trackio")

    class Run:
        def log(self, numbers: Any, step: int) -> None:
            seen.append((numbers, step))

    def init(**settings: Any) -> Run:
        seen.append(settings)
        return Run()

    fake.init = init  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trackio", fake)
    (watcher,) = trackers(("trackio", "trackio"), tmp_path, "run-1", {"rank": 4})
    watcher.step(1, 3.0, 1e-4, 0.5)
    assert seen[0]["config"] == {"rank": 4}
    assert seen[0]["name"] == "run-1"
    assert seen[1] == ({"train_loss": 3.0, "learning_rate": 1e-4, "gradient_norm": 0.5}, 1)


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="needs the extra tensorboard"
)
def test_tensorboard_writes_events_beside_the_molt(tmp_path: Path) -> None:
    (watcher,) = trackers(("tensorboard",), tmp_path, "run", {})
    watcher.step(1, 3.0, 1e-4, 0.5)
    (file,) = (tmp_path / "tensorboard").iterdir()
    assert file.stat().st_size > 0
