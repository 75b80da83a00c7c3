"""Paired differences between the tuned model and the base, and non-inferiority by a margin.

The same items are asked of both, so what is easy or hard about an item cancels (Miller,
arXiv 2411.00640). Items that belong together (two halves of a twin, replies to one prompt) are one
cluster of the bootstrap.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from molting.core.config import Evaluate
from molting.models.likelihood import RowLoss
from molting.signals.stats import Array, Estimate, cluster_bootstrap


def paired_shares(
    base: Sequence[float] | Array,
    tuned: Sequence[float] | Array,
    resamples: int,
    seed: int,
    clusters: Sequence[Hashable] | None = None,
) -> Estimate:
    """Mean of tuned − base over items of values from 0 to 1, with its 95 % interval.

    Where no item changed, a bootstrap has nothing to draw from and says ±0, of five items as of
    five hundred. So the interval is at least that of Agresti and Min (2005) for paired shares: half
    an item more in each of the four cells of the paired table. n counts clusters.
    """
    difference = np.asarray(tuned, dtype=float) - np.asarray(base, dtype=float)
    totals, sizes = by_cluster(difference, clusters)

    def statistic(weights: Array) -> float:
        return float(weights @ totals / (weights @ sizes))

    found = cluster_bootstrap(statistic, len(totals), resamples, seed)
    if found.value is None or found.low is None or found.high is None:
        return found
    low, high = agresti_min(totals / sizes)
    return Estimate(found.value, min(found.low, low), max(found.high, high), found.n)


def agresti_min(changes: Array) -> tuple[float, float]:
    """95 % interval of the mean of paired changes, each −1 to 1, by Agresti and Min."""
    total = len(changes) + 2
    mean = changes.sum() / total
    # The two changed cells' half items are changes of ±1: they add up to no change and one square.
    squares = float(changes @ changes) + 1
    error = np.sqrt(max(0.0, squares / total - mean**2) / total)
    return float(mean - 1.96 * error), float(mean + 1.96 * error)


def by_cluster(values: Array, clusters: Sequence[Hashable] | None) -> tuple[Array, Array]:
    """Sum and number of the values of each cluster; without clusters every value is its own."""
    if clusters is None:
        return values, np.ones(len(values))
    place = {key: k for k, key in enumerate(dict.fromkeys(clusters))}
    at = np.array([place[key] for key in clusters], dtype=int)
    totals = np.bincount(at, weights=values, minlength=len(place)).astype(float)
    return totals, np.bincount(at, minlength=len(place)).astype(float)


def kept(low: float | None, value: float | None, high: float | None, margin: float) -> bool | None:
    """Is what was measured not worse by more than `margin`? Of a difference where more is better.

    True: not worse by the margin, even at the interval's lower end (non-inferior). False: clearly
    worse (the interval lies below 0), and by more than the margin. None: these items are too few
    to tell, which is neither.
    """
    if low is None or high is None or value is None:
        return None
    if low > -margin:
        return True
    return False if high < 0 and value < -margin else None


def perplexity_ratio(
    base: Sequence[RowLoss], tuned: Sequence[RowLoss], options: Evaluate
) -> Estimate:
    """Perplexity of the tuned model over the base's on the same rows, paired by row."""
    nats = np.array([t.nats - b.nats for b, t in zip(base, tuned, strict=True)], dtype=float)
    tokens = np.array([row.tokens for row in base], dtype=float)

    def statistic(w: Array) -> float:
        total = float(w @ tokens)
        return float(np.exp(w @ nats / total)) if total else float("nan")

    return cluster_bootstrap(statistic, len(base), options.resamples, options.seed)
