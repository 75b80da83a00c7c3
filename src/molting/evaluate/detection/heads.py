"""Replaceable heads: from the rows of a writer's windows to a score for every class.

All of them see the same features, so exchanging one needs no pass of the model. Every class weighs
alike in the fit (macro-F1 counts the rare class as much as the common one); how common a class is
comes back in calibration. Writing one: a function that fits, and what it gives back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from molting.evaluate.detection.arrays import Floats, Integers, Tensors

HEADS = ("logistic", "centroid", "mlp", "gru", "lstm", "cnn", "transformer")


class Head(Protocol):
    """A head that has been fitted."""

    def score(self, sequences: Sequence[Floats]) -> list[Floats]:
        """For each trait (N, C) scores, log-odds up to a constant; sequences are (W, D)."""

    def tensors(self) -> Tensors:
        """All that `load_head` needs, as arrays."""


def fit_head(
    name: str,
    sequences: Sequence[Floats],
    labels_NK: Integers,
    classes: Sequence[int],
    fit: Integers,
    stop: Integers,
    seed: int,
) -> Head:
    """Fit on rows `fit`; when to stop, or how strongly to hold back, is chosen on rows `stop`."""
    from molting.evaluate.detection import linear, networks

    if name == "logistic":
        return linear.fit_logistic(sequences, labels_NK, classes, fit, stop)
    if name == "centroid":
        return linear.fit_centroid(sequences, labels_NK, classes, fit)
    return networks.fit_network(name, sequences, labels_NK, classes, fit, stop, seed)


def load_head(name: str, tensors: Mapping[str, Floats], classes: Sequence[int]) -> Head:
    """A fitted head from its tensors."""
    from molting.evaluate.detection import linear, networks

    if name in ("logistic", "centroid"):
        return linear.Linear(dict(tensors))
    return networks.Network.load(name, dict(tensors), classes)
