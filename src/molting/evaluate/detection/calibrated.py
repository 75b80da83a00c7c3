"""From a head's scores to probabilities that mean what they say.

Scores come from a fit in which every class weighs alike. A probability is
softmax(score / T + log share): the share of each class in the training rows comes back in, and one
temperature T for each trait is fitted on rows that the head was not fitted on (Guo et al.,
arXiv 1706.04599). A trait the head knows nothing about gets a high T, and every writer the shares.
The class named is the one whose probability stands highest above its share: that is the highest
score, and what macro-F1 asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from molting.evaluate.detection.arrays import UNKNOWN, Integers, Numbers

_WIDEST = (0.05, 1000.0)
"""Between these T is sought."""
_SPREAD = 1.5
"""Standard deviation, before any row is seen, of log T around 0: four rows that happen to be right
must not make a head certain."""


def class_shares(labels: Integers, classes: int) -> Numbers:
    """Share of each class (C,), with half a row added to each so that none is 0."""
    counts = np.bincount(labels[labels != UNKNOWN], minlength=classes) + 0.5
    shares: Numbers = counts / counts.sum()
    return shares


def fit_temperature(scores_NC: Numbers, labels_N: Integers, shares_C: Numbers) -> float:
    """The likeliest T given the known labels and `_SPREAD`; the highest where there are none."""
    from scipy.optimize import minimize_scalar

    known = labels_N != UNKNOWN
    if not known.any():
        return _WIDEST[1]

    def loss(log_t: float) -> float:
        p = probabilities(scores_NC[known], shares_C, float(np.exp(log_t)))
        return float(known.sum() * log_loss(p, labels_N[known]) + (log_t / _SPREAD) ** 2 / 2)

    low, high = np.log(_WIDEST)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    return float(np.exp(found.x))


def probabilities(scores_NC: Numbers, shares_C: Numbers, temperature: float) -> Numbers:
    """(N, C), rows that sum to 1."""
    raw = np.asarray(scores_NC, np.float64) / temperature + np.log(shares_C)
    raw = np.exp(raw - raw.max(1, keepdims=True))
    found: Numbers = raw / raw.sum(1, keepdims=True)
    return found


def log_loss(p_NC: Numbers, labels_N: Integers) -> float:
    """Mean of −log p of the true class, in nats."""
    return float(-np.log(np.maximum(p_NC[np.arange(len(labels_N)), labels_N], 1e-12)).mean())


def balanced_loss(scores_NC: Numbers, labels_N: Integers) -> float:
    """Mean over the classes of the mean log loss of their rows: what a balanced fit makes small."""
    known = labels_N != UNKNOWN
    scores = np.asarray(scores_NC, np.float64)[known]
    p = probabilities(scores, np.ones(scores.shape[1]), 1.0)
    labels = labels_N[known]
    return float(
        np.mean([log_loss(p[labels == c], labels[labels == c]) for c in np.unique(labels)])
        if len(labels)
        else np.inf
    )


def calibration_error(p_NC: Numbers, labels_N: Integers, bins: int = 10) -> float:
    """Expected calibration error: how far stated and found frequency lie apart, over all classes."""
    p = p_NC.ravel()
    hit = (labels_N[:, None] == np.arange(p_NC.shape[1])[None]).ravel()
    place = np.minimum((p * bins).astype(int), bins - 1)
    return float(
        sum(
            abs(p[place == b].mean() - hit[place == b].mean()) * (place == b).mean()
            for b in range(bins)
            if (place == b).any()
        )
    )


def named(scores: Sequence[Numbers]) -> Integers:
    """The class named for each sample and trait, (N, K)."""
    return np.stack([score.argmax(1) for score in scores], 1).astype(np.int64)
