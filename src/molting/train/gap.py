"""What fast mode has cost in quality, where that is known."""

from __future__ import annotations

from typing import Any

import msgspec

from molting.core.artifacts import read_json
from molting.core.config import Train
from molting.core.project import Project
from molting.train.depth import Depths, study_key


class Gap(msgspec.Struct, frozen=True):
    """Validation loss of fast mode minus that of exact mode, nats per token."""

    value: float
    low: float | None
    high: float | None
    n: int | None
    """Validation rows."""
    source: str

    def __str__(self) -> str:
        interval = (
            "no interval"
            if self.low is None or self.high is None
            else f"[{self.low:+.3f}, {self.high:+.3f}]"
        )
        rows = "" if self.n is None else f", n={self.n}"
        return f"{self.value:+.3f} nats/token {interval}{rows} ({self.source})"


def gap_to_exact(project: Project, number: int) -> Gap | None:
    """The gap of a fast molt: from `molting study layers`, or an exact molt of the same settings."""
    manifest = project.manifest(number) or {}
    train = _settings(project, number)
    if train is None or train.mode != "fast" or not manifest["train"]["below"]:
        return None
    key = study_key(manifest["corpus"], manifest["base"]["weights"], train)
    return _studied(project, key, manifest["train"]) or _sibling(project, key, manifest)


def _studied(project: Project, key: str, trained: dict[str, Any]) -> Gap | None:
    """What the study found of as many layers at the same peak rate."""
    below = trained["below"]
    top_layers = below["layers"] - below["boundary"]
    path = project.study_file("depths", key)
    if not path.exists():
        return None
    depths = msgspec.convert(read_json(path), Depths)
    for depth in depths.measured:
        gap = depth.gap
        same = depth.top_layers == top_layers and depth.learning_rate == trained["learning_rate"]
        if same and gap is not None and gap.value is not None:
            return Gap(
                gap.value, gap.low, gap.high, gap.n, "after one epoch, `molting study layers`"
            )
    return None


def _sibling(project: Project, key: str, manifest: dict[str, Any]) -> Gap | None:
    for molt in reversed(project.molts()):
        other = project.manifest(molt.number)
        train = _settings(project, molt.number)
        if other is None or train is None or train.mode != "exact":
            continue
        if study_key(other["corpus"], other["base"]["weights"], train) != key:
            continue
        losses = [
            min(record["validation_loss"] for record in one["train"]["history"])
            for one in (manifest, other)
        ]
        return Gap(
            losses[0] - losses[1], None, None, None,
            f"best epochs, against molt {molt.number}, one run each",
        )  # fmt: skip
    return None


def _settings(project: Project, number: int) -> Train | None:
    path = project.molt_folder(number) / "config.json"
    try:
        return msgspec.convert(read_json(path)["train"], Train)
    except (OSError, KeyError, msgspec.ValidationError):
        # A molt of another version: nothing is known about it here.
        return None
