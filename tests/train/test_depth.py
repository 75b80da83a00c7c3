"""How many top layers: measured against all of them, row by row, and remembered for the molt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from molting.core.artifacts import write_json
from molting.core.config import Train
from molting.core.errors import UsageError
from molting.core.progress import Silent
from molting.core.project import Project, open_project
from molting.memory.store import Memory
from molting.models.base import load_model
from molting.models.render import Rendered
from molting.models.sources import find_model
from molting.signals.stats import Estimate
from molting.train.depth import Depth, Depths, measure_depths, study_key, usual_depths
from molting.train.gap import gap_to_exact


def row(length: int, step: int) -> Rendered:
    ids = tuple((7 + i * step) % 250 for i in range(length))
    return Rendered(ids, tuple(i >= 5 for i in range(length)), True)


ROWS = [row(12 + i % 5, 1 + i % 3) for i in range(12)]


def test_every_depth_is_measured_against_all_layers(tmp_path: Path) -> None:
    base = load_model(find_model("fake", None, Silent()), "float32")
    before = {name: p.clone() for name, p in base.model.named_parameters()}
    with Memory(tmp_path) as memory:
        found = measure_depths(
            base, ROWS[:8], ROWS[8:], Train(rank=2, learning_rate=1e-2), [1], memory, Silent()
        )
        again = measure_depths(
            base, ROWS[:8], ROWS[8:], Train(rank=2, learning_rate=1e-2), [1], memory, Silent()
        )
    top, every = found.measured
    assert (top.top_layers, every.top_layers, every.of_layers) == (1, 2, 2)
    assert top.trainable_parameters < every.trainable_parameters
    assert (every.gap, every.fill_seconds) == (None, None)
    assert top.gap is not None
    assert top.gap.n == 4
    assert top.gap.value == pytest.approx(top.validation_loss - every.validation_loss, abs=1e-9)
    assert top.gap.low is not None
    assert top.gap.high is not None
    assert found.chosen == (1 if top.gap.high <= 0.02 else 2)
    assert [d.validation_loss for d in again.measured] == [
        top.validation_loss,
        every.validation_loss,
    ]
    assert base.model.state_dict().keys() == before.keys() | {"lm_head.weight"}


@pytest.mark.parametrize(
    ("config", "depths"), [(Train(), [3]), (Train(), [0]), (Train(method="dpo"), [1])]
)
def test_what_cannot_be_measured_is_one_clear_line(
    tmp_path: Path, config: Train, depths: list[int]
) -> None:
    base = load_model(find_model("fake", None, Silent()), "float32")
    with Memory(tmp_path) as memory, pytest.raises(UsageError):
        measure_depths(base, ROWS[:8], ROWS[8:], config, depths, memory, Silent())


@pytest.mark.parametrize(("layers", "expected"), [(1, [1]), (2, [1, 2]), (30, [5, 10, 15, 30])])
def test_usual_depths(layers: int, expected: list[int]) -> None:
    assert usual_depths(layers) == expected


# The gap of a molt, from what lies in the project.


def molt(
    project: Project, config: Train, losses: list[float], weights: str = "w", rate: float = 1e-3
) -> int:
    number = project.claim_molt(f"f{len(project.molts())}", "c").number
    folder = project.molt_folder(number)
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {"train": msgspec.to_builtins(config)})
    below = {"boundary": 20, "layers": 30} if config.mode == "fast" else None
    history = [{"validation_loss": loss} for loss in losses]
    train = {"mode": config.mode, "below": below, "history": history, "learning_rate": rate}
    manifest = {"corpus": "c", "base": {"weights": weights}, "train": train}
    write_json(folder / "manifest.json", manifest)
    return number


FAST, EXACT = Train(mode="fast", rank=8), Train(rank=8)


@pytest.fixture
def project(make_project: Any, tmp_path: Path) -> Project:
    return open_project(make_project(tmp_path / "project"))


def test_unknown_stays_unknown(project: Project) -> None:
    fast = molt(project, FAST, [2.5, 2.2])
    assert gap_to_exact(project, fast) is None
    # Other settings, other weights: no measure of this one.
    molt(project, Train(rank=4), [2.5, 2.1])
    molt(project, EXACT, [2.5, 2.1], weights="other")
    assert gap_to_exact(project, fast) is None
    assert gap_to_exact(project, molt(project, EXACT, [2.5, 2.1])) is None


def test_an_exact_molt_of_the_same_settings_tells_it(project: Project) -> None:
    exact = molt(project, EXACT, [2.5, 2.1, 2.3])
    gap = gap_to_exact(project, molt(project, FAST, [2.5, 2.2]))
    assert gap is not None
    assert gap.value == pytest.approx(0.1)
    assert (gap.low, gap.high, gap.n) == (None, None, None)
    assert f"molt {exact}" in str(gap)
    assert "no interval" in str(gap)


def test_the_study_tells_it_with_its_interval(project: Project) -> None:
    molt(project, EXACT, [2.5, 2.1])
    depth = Depth(10, 30, 1, 1e-3, 1.0, 1.0, 2.0, Estimate(0.013, 0.004, 0.021, 15))
    study = Depths(10, "rule", (msgspec.structs.replace(depth, top_layers=5, gap=None), depth))
    path = project.study_file("depths", study_key("c", "w", EXACT))
    write_json(path, msgspec.to_builtins(study))
    gap = gap_to_exact(project, molt(project, FAST, [2.5, 2.2]))
    assert str(gap) == (
        "+0.013 nats/token [+0.004, +0.021], n=15 (after one epoch, `molting study layers`)"
    )
    # Trained at another rate than the study, which so says nothing of it: the exact molt does.
    slower = gap_to_exact(project, molt(project, FAST, [2.5, 2.2], rate=5e-4))
    assert slower is not None
    assert slower.n is None
