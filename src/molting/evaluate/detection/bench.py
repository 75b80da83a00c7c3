"""Every head beside the baselines on one data set: the same writers, folds and seeds for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from molting.core.config import Detect
from molting.core.progress import Progress
from molting.evaluate.detection.baselines import BASELINES
from molting.evaluate.detection.crossval import Predictions, Quality, difference, quality
from molting.evaluate.detection.features import Reader
from molting.evaluate.detection.task import Task
from molting.signals.stats import Estimate


class Line(msgspec.Struct, frozen=True):
    """One head or baseline on one task."""

    name: str
    quality: Quality
    over_words: Estimate | None
    """Macro-F1 minus that of the bag of words, paired; None for baselines."""
    seconds: float
    """Of all the fits of the cross-validation, without features."""
    passes: int
    """Windows that went through the model while it ran; 0 is the point of frozen features."""


class Bench(msgspec.Struct, frozen=True):
    """All lines of one task."""

    data: str
    masked: bool
    rows: int
    writers: int
    windows: int
    features: dict[str, Any]
    feature_passes: int
    """Windows that went through the model to get the features; the rest was remembered."""
    lines: tuple[Line, ...]


def bench(
    task: Task, reader: Reader, heads: Sequence[str], options: Detect, progress: Progress
) -> Bench:
    """Features once, then every baseline and head."""
    before = reader.passes
    sequences = task.sequences(reader)
    read = reader.passes - before
    folds, seeds = options.folds, options.seeds
    lines: list[Line] = []
    words: Predictions | None = None
    label = f"{task.data.name}{' masked' if task.masked else ''}"
    for done, name in enumerate((*BASELINES, *heads)):
        progress.step(f"{label}: heads", done, len(BASELINES) + len(heads), name)
        before = reader.passes
        if name in BASELINES:
            found = task.validate_baseline(name, folds, seeds)
        else:
            found = task.validate_head(name, sequences, folds, seeds)
        if name == "bag_of_words":
            words = found
        over = None
        if name in heads and words is not None:
            over = difference(found, words, task.labels_NK, task.groups, options.resamples)
        lines.append(
            Line(
                name,
                quality(found, task.labels_NK, task.traits, task.groups, options.resamples),
                over,
                round(found.seconds, 2),
                reader.passes - before,
            )
        )
    total = len(BASELINES) + len(heads)
    progress.step(f"{label}: heads", total, total)
    return Bench(
        task.data.name,
        task.masked,
        len(task.texts),
        len(set(task.groups)),
        sum(len(windows) for windows in task.texts),
        msgspec.to_builtins(reader.settings),
        read,
        tuple(lines),
    )
