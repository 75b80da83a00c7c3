"""Intervals and tests. The unit is the prompt: replies to one prompt are not independent.

Cluster bootstrap, paired differences, training seeds as the outer level, Holm's correction,
power. What cannot be known from the numbers given is None.
"""

from __future__ import annotations

import functools
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
    """Expanded percentile bootstrap of a statistic of cluster weights.

    Plain percentiles are too narrow for few clusters, by √((n−1)/n) and the normal for Student's t;
    the quantiles are moved out by both (Hesterberg 2015, arXiv 1411.5279).

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
    tail = _tail(sizes[0], level)
    low, high = np.quantile(found, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high), sizes[0])


@functools.cache
def _tail(clusters: int, level: float) -> float:
    """Which quantile of the bootstrap is the lower end."""
    if clusters < 2:
        return (1 - level) / 2
    from scipy.stats import norm, t

    wide = t.ppf((1 + level) / 2, clusters - 1) * np.sqrt(clusters / (clusters - 1))
    return float(norm.cdf(-wide))


def weighted_mean(values: Array, weights: Array) -> float:
    """Mean of the entries that are known (not NaN); NaN when none is."""
    known = np.isfinite(values)
    total = weights[known].sum()
    return float(weights[known] @ values[known] / total) if total > 0 else float("nan")


def paired_difference(
    left: Array, right: Array, resamples: int, seed: int, level: float = 0.95
) -> Estimate:
    """Mean of left − right by prompt; prompts where either is unknown (NaN) are left out."""
    difference = np.asarray(left, dtype=float) - np.asarray(right, dtype=float)
    difference = difference[np.isfinite(difference)]
    return cluster_bootstrap(
        lambda w: weighted_mean(difference, w), len(difference), resamples, seed, level
    )


def over_seeds(
    values: Array, resamples: int, seed: int, level: float = 0.95
) -> tuple[Estimate, int]:
    """Mean of values[s, i] (training seed s, prompt i) with seeds drawn as the outer level.

    The second value is the number of seeds. With fewer than three the seeds' own spread is not
    known and the interval is None: one training run is one draw (Miller, arXiv 2411.00640).
    """
    table = np.atleast_2d(np.asarray(values, dtype=float))
    seeds, prompts = table.shape
    if seeds < 3:
        mean = float(np.nanmean(table)) if table.size else None
        return Estimate(mean, None, None, prompts), seeds

    def statistic(w_prompts: Array, w_seeds: Array) -> float:
        by_seed = np.array([weighted_mean(row, w_prompts) for row in table])
        return weighted_mean(by_seed, w_seeds)

    return cluster_bootstrap(statistic, [prompts, seeds], resamples, seed, level), seeds


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: below α together they err with probability α at most (Holm 1979)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def sign_flip_p(differences: Array, resamples: int, seed: int) -> float | None:
    """Two-sided p of a mean paired difference being 0, by flipping signs at random."""
    known = np.asarray(differences, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return None
    random = np.random.default_rng(seed)
    flips = random.choice((-1.0, 1.0), size=(resamples, len(known)))
    above = (np.abs(flips @ known) >= abs(known.sum()) - 1e-12).sum()
    return float((above + 1) / (resamples + 1))


def prompts_needed(spread: float, half_width: float, level: float = 0.95) -> int:
    """How many prompts make the interval of a mean ± `half_width`.

    `spread` is the standard deviation of one prompt's value. For V divide the standard deviation
    of (detector on model − detector on base) by the gap that V is measured on.
    """
    if spread < 0 or half_width <= 0:
        raise ValueError("spread must be at least 0 and half_width above 0")
    from scipy.stats import norm

    z = float(norm.ppf((1 + level) / 2))
    return max(1, int(np.ceil((z * spread / half_width) ** 2)))


def auc(positive: Array, negative: Array) -> float:
    """Chance that a positive scores above a negative, ties half (Mann–Whitney); NaN if empty."""
    if not len(positive) or not len(negative):
        return float("nan")
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([positive, negative]))
    above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))
