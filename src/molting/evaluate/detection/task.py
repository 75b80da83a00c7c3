"""A data set made ready: windows, label matrix, features; what every head and baseline is given."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from molting.core.config import Detect
from molting.core.errors import CheckFailed
from molting.evaluate.detection.arrays import UNKNOWN, Floats, Integers
from molting.evaluate.detection.baselines import BASELINES, Scorer, fit_baseline
from molting.evaluate.detection.crossval import Fitter, Predictions, cross_validate
from molting.evaluate.detection.datasets import Dataset, Sample
from molting.evaluate.detection.features import Reader
from molting.evaluate.detection.heads import fit_head
from molting.evaluate.detection.windows import windows


@dataclass(frozen=True)
class Task:
    """One data set, masked or not, as windows with labels."""

    data: Dataset
    masked: bool
    texts: list[list[str]]
    """The windows of each sample."""
    labels_NK: Integers

    @property
    def traits(self) -> list[str]:
        return list(self.data.traits)

    @property
    def classes(self) -> list[int]:
        return [len(names) for names in self.data.traits.values()]

    @property
    def groups(self) -> list[str]:
        return [sample.group for sample in self.data.samples]

    def sequences(self, reader: Reader) -> list[Floats]:
        """The rows of each sample's windows, (W, D); what the memory knows is not computed."""
        return read_sequences(self.texts, reader)

    def validate_head(
        self, name: str, sequences: Sequence[Floats], folds: int, seeds: int
    ) -> Predictions:
        """Cross-validate a head on features that are there already."""

        def fitter(fit: Integers, stop: Integers, seed: int) -> Scorer:
            head = fit_head(name, sequences, self.labels_NK, self.classes, fit, stop, seed)
            return lambda rows: list(head.score([sequences[i] for i in rows]))

        return self._validate(fitter, folds, seeds)

    def validate_baseline(self, name: str, folds: int, seeds: int) -> Predictions:
        """Cross-validate one of BASELINES on the same windows."""
        assert name in BASELINES

        def fitter(fit: Integers, stop: Integers, seed: int) -> Scorer:
            return fit_baseline(name, self.texts, self.labels_NK, self.classes, fit, stop)

        return self._validate(fitter, folds, seeds)

    def _validate(self, fitter: Fitter, folds: int, seeds: int) -> Predictions:
        return cross_validate(fitter, self.labels_NK, self.classes, self.groups, folds, seeds)


def make_task(data: Dataset, options: Detect, *, masked: bool, rows: int | None = None) -> Task:
    """Cut and mask a data set; `rows`: a random part of it, the same at every call.

    Windows are cut before they are masked, so that both tasks have the same ones and what has
    nothing to mask is one text for the memory.
    """
    if rows is not None and rows < len(data.samples):
        some = sorted(random.Random(0).sample(range(len(data.samples)), rows))
        data = msgspec.structs.replace(data, samples=tuple(data.samples[i] for i in some))
    groups = {sample.group for sample in data.samples}
    least = 2 * options.folds
    if len(groups) < least:
        raise CheckFailed(
            f"{data.name}: {len(groups)} writers are too few for {options.folds} folds; "
            f"give at least {least}"
        )
    texts = [sample_windows(data, sample, options, masked=masked) for sample in data.samples]
    labels = np.full((len(data.samples), len(data.traits)), UNKNOWN, np.int64)
    for k, (trait, names) in enumerate(data.traits.items()):
        for i, sample in enumerate(data.samples):
            if trait in sample.labels:
                labels[i, k] = names.index(sample.labels[trait])
    return Task(data, masked, texts, labels)


def sample_windows(data: Dataset, sample: Sample, options: Detect, *, masked: bool) -> list[str]:
    """The windows of one sample."""
    found = windows(sample.pieces, options.window_words, options.windows)
    return [data.masked(text, sample) for text in found] if masked else found


def read_sequences(texts: Sequence[Sequence[str]], reader: Reader) -> list[Floats]:
    """Rows of each sample's windows, in one call of the reader."""
    flat = reader.read([text for windows in texts for text in windows])
    ends = np.cumsum([len(windows) for windows in texts])
    return list(np.split(flat, ends[:-1]))
