"""A detector at rest: a head, its calibration, and which features it reads. No pickle.

detector.json      head, traits and classes, shares, temperatures, features, windows, masks
head.safetensors   the head's arrays
manifest.json      hashes of both, written last; the folder appears whole or not at all
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from molting.core.artifacts import (
    MANIFEST,
    atomic_folder,
    file_hash,
    read_json,
    storage_errors,
    write_json,
)
from molting.core.config import Detect
from molting.core.errors import InputError, UsageError
from molting.evaluate.detection.arrays import Floats, Numbers
from molting.evaluate.detection.calibrated import class_shares, fit_temperature, probabilities
from molting.evaluate.detection.features import FeatureSettings, Reader
from molting.evaluate.detection.heads import HEADS, Head, fit_head, load_head
from molting.evaluate.detection.linear import one_thread
from molting.evaluate.detection.splits import held_part
from molting.evaluate.detection.task import Task

_KIND = "detector-1"


class DetectorSettings(msgspec.Struct, frozen=True):
    """All of a detector but its arrays."""

    kind: str
    head: str
    data: str
    data_kind: str
    masked: bool
    traits: dict[str, tuple[str, ...]]
    shares: dict[str, tuple[float, ...]]
    """Of each class in the training rows: what a probability is to be compared with."""
    temperatures: dict[str, float]
    features: FeatureSettings
    features_id: str
    window_words: int
    windows: int
    rows: int
    writers: int
    seed: int


class Answer(msgspec.Struct, frozen=True):
    """What a detector says of one trait of one writer."""

    named: str
    """The class that stands highest above its share."""
    probability: dict[str, float]


@dataclass(frozen=True)
class Detector:
    """A head with its calibration."""

    settings: DetectorSettings
    head: Head

    def answers(self, sequences: Sequence[Floats]) -> list[dict[str, Answer]]:
        """For each writer's rows (W, D) an answer for every trait."""
        scores = self.head.score(sequences)
        found: list[dict[str, Answer]] = [{} for _ in sequences]
        for (trait, classes), score in zip(self.settings.traits.items(), scores, strict=True):
            shares = np.array(self.settings.shares[trait])
            p = probabilities(score, shares, self.settings.temperatures[trait])
            for i, row in enumerate(p):
                found[i][trait] = Answer(
                    classes[int(score[i].argmax())],
                    {c: round(float(v), 4) for c, v in zip(classes, row, strict=True)},
                )
        return found


def fit_detector(
    name: str,
    task: Task,
    sequences: Sequence[Floats],
    reader: Reader,
    options: Detect,
    seed: int,
) -> Detector:
    """Fit on four fifths of the writers; stop and calibrate on the rest."""
    if name not in HEADS:
        raise UsageError(f"no head {name!r}; one of {', '.join(HEADS)}")
    fit, stop = held_part(task.groups, task.labels_NK, np.arange(len(task.groups)), seed)
    with one_thread():
        head = fit_head(name, sequences, task.labels_NK, task.classes, fit, stop, seed)
    held: Sequence[Numbers] = head.score([sequences[i] for i in stop])
    shares, temperatures = {}, {}
    for k, (trait, count) in enumerate(zip(task.traits, task.classes, strict=True)):
        share = class_shares(task.labels_NK[:, k], count)
        shares[trait] = tuple(float(value) for value in share)
        temperatures[trait] = fit_temperature(held[k], task.labels_NK[stop, k], share)
    settings = DetectorSettings(
        kind=_KIND,
        head=name,
        data=task.data.name,
        data_kind=task.data.kind,
        masked=task.masked,
        traits=task.data.traits,
        shares=shares,
        temperatures=temperatures,
        features=reader.settings,
        features_id=reader.id,
        window_words=options.window_words,
        windows=options.windows,
        rows=len(task.texts),
        writers=len(set(task.groups)),
        seed=seed,
    )
    return Detector(settings, head)


def save_detector(detector: Detector, folder: Path, measured: dict[str, Any]) -> None:
    """Write the folder; one that holds something else is left alone."""
    from safetensors.numpy import save

    refuse_other(folder)
    with atomic_folder(folder) as temporary, storage_errors(folder):
        (temporary / "head.safetensors").write_bytes(
            save({k: np.ascontiguousarray(v) for k, v in detector.head.tensors().items()})
        )
        write_json(temporary / "detector.json", detector.settings)
        write_json(
            temporary / MANIFEST,
            {
                "kind": _KIND,
                "files": {
                    file: file_hash(temporary / file)
                    for file in ("detector.json", "head.safetensors")
                },
                "measured": measured,
            },
        )


def refuse_other(folder: Path) -> None:
    """Raise UsageError where saving would replace anything but a detector."""
    if not folder.exists():
        return
    manifest = folder / MANIFEST
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if not manifest.is_file() or _read(manifest).get("kind") != _KIND:
        raise UsageError(f"{folder}: exists and is no detector; give another --out")


def load_detector(folder: Path) -> Detector:
    """Read a detector; one clear line where it is none, or not the one that was written."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    manifest = folder / MANIFEST
    if not manifest.is_file() or (found := _read(manifest)).get("kind") != _KIND:
        raise InputError(
            "no detector; `molting detect train FILE --out FOLDER` makes one", file=folder
        )
    for name in ("detector.json", "head.safetensors"):
        path = folder / name
        if not path.is_file() or file_hash(path) != found.get("files", {}).get(name):
            raise InputError("is damaged: not the file that was written; train again", file=path)
    try:
        settings = msgspec.convert(_read(folder / "detector.json"), DetectorSettings)
        tensors = load((folder / "head.safetensors").read_bytes())
        classes = [len(names) for names in settings.traits.values()]
        head = load_head(settings.head, tensors, classes)
    except (msgspec.MsgspecError, SafetensorError, KeyError, RuntimeError) as error:
        raise InputError(f"cannot be read: {error}", file=folder) from None
    return Detector(settings, head)


def _read(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (OSError, msgspec.DecodeError):
        return {}
    return value if isinstance(value, dict) else {}
