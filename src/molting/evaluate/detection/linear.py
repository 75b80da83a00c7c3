"""Heads that are linear in a writer's mean row: logistic regression and nearest centroid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from molting.evaluate.detection.arrays import UNKNOWN, Floats, Integers, Numbers, Tensors, pooled
from molting.evaluate.detection.calibrated import balanced_loss

_STRENGTHS = (0.03, 0.3, 3.0)
"""Inverse penalties tried, over the width of the features: there are more features than rows."""
_NEVER = -20.0
"""Score of a class that no row fitted on has."""


class Linear:
    """One matrix a trait over standardised mean rows."""

    def __init__(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self._traits = sum(name.startswith("weight.") for name in tensors)

    def score(self, sequences: Sequence[Floats]) -> list[Floats]:
        rows = (pooled(sequences) - self._tensors["mean"]) / self._tensors["scale"]
        return [
            np.asarray(
                rows @ self._tensors[f"weight.{k}"].T + self._tensors[f"bias.{k}"], np.float32
            )
            for k in range(self._traits)
        ]

    def tensors(self) -> Tensors:
        return self._tensors


def fit_logistic(
    sequences: Sequence[Floats],
    labels_NK: Integers,
    classes: Sequence[int],
    fit: Integers,
    stop: Integers,
) -> Linear:
    """Logistic regression; how strongly it is held back is chosen on rows `stop`."""
    rows = pooled(sequences)
    tensors = _standard(rows[fit])
    rows = (rows - tensors["mean"]) / tensors["scale"]
    for k, count in enumerate(classes):
        strengths = [strength / rows.shape[1] for strength in _STRENGTHS]
        weight, bias = best_logistic(
            rows[fit], labels_NK[fit, k], rows[stop], labels_NK[stop, k], count, strengths
        )
        tensors |= {f"weight.{k}": weight, f"bias.{k}": bias}
    return Linear(tensors)


def fit_centroid(
    sequences: Sequence[Floats], labels_NK: Integers, classes: Sequence[int], fit: Integers
) -> Linear:
    """Nearest class mean in standardised features: −|x − m|²/2D is linear in x up to a constant."""
    rows = pooled([sequences[i] for i in fit])
    tensors = _standard(rows)
    rows = (rows - tensors["mean"]) / tensors["scale"]
    width = rows.shape[1]
    for k, count in enumerate(classes):
        weight = np.zeros((count, width), np.float32)
        bias = np.full(count, _NEVER, np.float32)
        for c in range(count):
            members = rows[labels_NK[fit, k] == c]
            if len(members):
                weight[c] = members.mean(0) / width
                bias[c] = -float((members.mean(0) ** 2).sum()) / (2 * width)
        tensors |= {f"weight.{k}": weight, f"bias.{k}": bias}
    return Linear(tensors)


def best_logistic(
    rows: Any,
    labels: Integers,
    held: Any,
    held_labels: Integers,
    classes: int,
    strengths: Sequence[float],
) -> tuple[Floats, Floats]:
    """Weight (C, D) and bias (C,) of the fit, over `strengths`, with the least loss on `held`.

    `rows` and `held` may be sparse. Every class weighs alike.
    """
    fits = [_one_logistic(rows, labels, classes, strength) for strength in strengths]
    if len(held_labels) == 0 or len(fits) == 1:
        return fits[0]
    losses = [balanced_loss(held @ w.T + b, held_labels) for w, b in fits]
    return fits[int(np.argmin(losses))]


def _one_logistic(
    rows: Any, labels: Integers, classes: int, strength: float
) -> tuple[Floats, Floats]:
    from sklearn.linear_model import LogisticRegression

    known = labels != UNKNOWN
    seen = np.unique(labels[known])
    weight = np.zeros((classes, rows.shape[1]), np.float32)
    bias = np.full(classes, _NEVER, np.float32)
    if len(seen) < 2:
        bias[seen] = 0.0
        return weight, bias
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000)
    model.fit(rows[np.flatnonzero(known)], labels[known])
    coefficients, intercepts = model.coef_, model.intercept_
    if len(seen) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight[seen], bias[seen] = coefficients, intercepts
    return weight, bias


def one_thread() -> Any:
    """The solver's vectors are short: more BLAS threads only wait for each other."""
    from importlib import import_module

    limits: Callable[..., Any] = import_module("threadpoolctl").threadpool_limits
    return limits(1, user_api="blas")


def _standard(rows: Numbers) -> Tensors:
    return {"mean": rows.mean(0), "scale": np.maximum(rows.std(0), 1e-6)}
