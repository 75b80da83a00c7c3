"""Intervals. The unit is the prompt: replies to one prompt are not independent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]


class Estimate(msgspec.Struct, frozen=True):
    """A value with its 95 % interval and the number of prompts behind it; null is unknown."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        if self.value is None or self.low is None or self.high is None:
            return "not measured"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}] (n={self.n})"


def cluster_bootstrap(
    statistic: Callable[..., float],
    clusters: int | Sequence[int],
    resamples: int,
    seed: int,
    level: float = 0.95,
) -> Estimate:
    """Percentile bootstrap of a statistic of cluster weights.

    `statistic` takes one weight array for each number in `clusters` (prompts of one kind each,
    resampled within the kind): how often each cluster was drawn, all ones for the value itself.
    Quantities that share an array share the draw, so that their common noise cancels (paired;
    Miller, arXiv 2411.00640). A value that is not finite makes the estimate unknown. `n` is the
    number of clusters of the first kind.
    """
    sizes = [clusters] if isinstance(clusters, int) else list(clusters)
    if not sizes or sizes[0] == 0:
        return Estimate(None, None, None, 0)
    value = statistic(*(np.ones(size) for size in sizes))
    if not np.isfinite(value):
        return Estimate(None, None, None, sizes[0])
    random = np.random.default_rng(seed)
    draws = [
        random.multinomial(size, np.full(size, 1 / size), size=resamples).astype(float)
        if size
        else np.zeros((resamples, 0))
        for size in sizes
    ]
    found = np.array([statistic(*(draw[i] for draw in draws)) for i in range(resamples)])
    found = found[np.isfinite(found)]
    if len(found) < resamples / 2:
        return Estimate(float(value), None, None, sizes[0])
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(value), float(low), float(high), sizes[0])


def weighted_mean(values: Array, weights: Array) -> float:
    """Mean of the entries that are known (not NaN); NaN when none is."""
    known = np.isfinite(values)
    total = weights[known].sum()
    return float(weights[known] @ values[known] / total) if total > 0 else float("nan")


def auc(positive: Array, negative: Array) -> float:
    """Chance that a positive scores above a negative, ties half (Mann–Whitney); NaN if empty."""
    if not len(positive) or not len(negative):
        return float("nan")
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positive, negative]))
    above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))
