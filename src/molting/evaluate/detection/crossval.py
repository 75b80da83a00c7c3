"""Cross-validation by writer over several seeds, and macro-F1 with its interval.

Every prediction is made for a writer whom neither the fit, nor the stopping, nor the calibration
has seen. The interval resamples writers and, as the outer level, seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from molting.evaluate.detection.arrays import UNKNOWN, Integers, Numbers
from molting.evaluate.detection.calibrated import (
    calibration_error,
    class_shares,
    fit_temperature,
    log_loss,
    named,
    probabilities,
)
from molting.evaluate.detection.linear import one_thread
from molting.evaluate.detection.splits import grouped_folds, held_part
from molting.signals.stats import Array, Estimate, cluster_bootstrap

Fitter = Callable[[Integers, Integers, int], Callable[[Integers], list[Numbers]]]
"""(rows to fit on, rows to stop on, seed) to a scorer of rows."""


@dataclass(frozen=True)
class Predictions:
    """Out-of-fold predictions of every seed. S seeds, N samples, K traits."""

    named_SNK: Integers
    probability: list[Numbers]
    """For each trait (S, N, C), calibrated."""
    shares: list[Numbers]
    """For each trait (S, N, C): the classes' shares in what was trained on."""
    seconds: float


class Quality(msgspec.Struct, frozen=True):
    """How good the predictions are; every interval is over writers and seeds."""

    macro_f1: Estimate
    """Mean over the traits."""
    traits: dict[str, Estimate]
    log_loss: float
    """Nats a trait and writer, calibrated."""
    prior_log_loss: float
    """The same when only the classes' shares are said."""
    calibration_error: float


def cross_validate(
    fitter: Fitter,
    labels_NK: Integers,
    classes: Sequence[int],
    groups: Sequence[str],
    folds: int,
    seeds: int,
) -> Predictions:
    """Fit, calibrate and predict in `folds` folds, `seeds` times with other folds."""
    begun = time.perf_counter()
    with one_thread():
        found = _all_folds(fitter, labels_NK, classes, groups, folds, seeds)
    return Predictions(*found, time.perf_counter() - begun)


def _all_folds(
    fitter: Fitter,
    labels_NK: Integers,
    classes: Sequence[int],
    groups: Sequence[str],
    folds: int,
    seeds: int,
) -> tuple[Integers, list[Numbers], list[Numbers]]:
    count = len(groups)
    chosen = np.zeros((seeds, count, len(classes)), np.int64)
    p = [np.zeros((seeds, count, c)) for c in classes]
    shares = [np.zeros((seeds, count, c)) for c in classes]
    for seed in range(seeds):
        fold_N = grouped_folds(groups, labels_NK, folds, seed)
        for fold in range(folds):
            test = np.flatnonzero(fold_N == fold)
            if not len(test):
                continue
            fit, stop = held_part(groups, labels_NK, np.flatnonzero(fold_N != fold), seed)
            scorer = fitter(fit, stop, seed)
            held, scores = scorer(stop), scorer(test)
            chosen[seed, test] = named(scores)
            for k, c in enumerate(classes):
                share = class_shares(labels_NK[fold_N != fold, k], c)
                t = fit_temperature(held[k], labels_NK[stop, k], share)
                p[k][seed, test] = probabilities(scores[k], share, t)
                shares[k][seed, test] = share
    return chosen, p, shares


def quality(
    found: Predictions,
    labels_NK: Integers,
    traits: Sequence[str],
    groups: Sequence[str],
    resamples: int,
    seed: int = 0,
) -> Quality:
    """Macro-F1 of the mean over the traits and of each, and how well calibrated it is."""
    losses, priors, errors = [], [], []
    for k in range(len(traits)):
        known = labels_NK[:, k] != UNKNOWN
        for p, share in zip(found.probability[k], found.shares[k], strict=True):
            losses.append(log_loss(p[known], labels_NK[known, k]))
            priors.append(log_loss(share[known], labels_NK[known, k]))
            errors.append(calibration_error(p[known], labels_NK[known, k]))
    counter = _Counter(labels_NK, groups)
    tables = [counter.table(found.named_SNK, k) for k in range(len(traits))]
    return Quality(
        _estimate([tables], counter.groups, resamples, seed),
        {
            trait: _estimate([[table]], counter.groups, resamples, seed)
            for trait, table in zip(traits, tables, strict=True)
        },
        float(np.mean(losses)),
        float(np.mean(priors)),
        float(np.mean(errors)),
    )


def difference(
    one: Predictions,
    other: Predictions,
    labels_NK: Integers,
    groups: Sequence[str],
    resamples: int,
    seed: int = 0,
) -> Estimate:
    """Macro-F1 of `one` minus that of `other`, paired by writer and seed."""
    counter = _Counter(labels_NK, groups)
    traits = range(labels_NK.shape[1])
    sides = [[counter.table(found.named_SNK, k) for k in traits] for found in (one, other)]
    return _estimate(sides, counter.groups, resamples, seed)


class _Counter:
    """Tables of confusion by writer, so that a resample is one product."""

    def __init__(self, labels_NK: Integers, groups: Sequence[str]) -> None:
        names = {group: i for i, group in enumerate(dict.fromkeys(groups))}
        self.place_N = np.array([names[group] for group in groups])
        self.groups = len(names)
        self.labels_NK = labels_NK

    def table(self, named_SNK: Integers, trait: int) -> Numbers:
        """(S, G, C, C): how often writer g's true class was named as which."""
        labels_N, named_SN = self.labels_NK[:, trait], named_SNK[:, :, trait]
        classes = int(max(labels_N.max(), named_SN.max())) + 1
        seeds = len(named_SN)
        known = np.flatnonzero(labels_N != UNKNOWN)
        table = np.zeros((seeds, self.groups, classes, classes))
        for s in range(seeds):
            np.add.at(table[s], (self.place_N[known], labels_N[known], named_SN[s, known]), 1)
        return table


def _estimate(
    sides: Sequence[Sequence[Numbers]], groups: int, resamples: int, seed: int
) -> Estimate:
    """Mean macro-F1 over tables, minus that of a second side where there is one."""
    seeds = len(sides[0][0])
    # Flat once, so that a resample is one product of a row and a matrix.
    flat = [
        [(table.swapaxes(0, 1).reshape(groups, -1), (seeds, *table.shape[2:])) for table in tables]
        for tables in sides
    ]

    def statistic(of_group: Array, of_seed: Array) -> float:
        means = [
            sum(_weighted(table, shape, of_group) for table, shape in tables) / len(tables)
            for tables in flat
        ]
        macro_S = means[0] - means[1] if len(means) > 1 else means[0]
        return float(of_seed @ macro_S / seeds)

    return cluster_bootstrap(statistic, [groups, seeds], resamples, seed)


def _weighted(table_GM: Numbers, shape: tuple[int, int, int], of_group: Array) -> Numbers:
    """Macro-F1 of every seed's pooled predictions, (S,)."""
    counts_SCC = (of_group @ table_GM).reshape(shape)
    both = counts_SCC.sum(2) + counts_SCC.sum(1)
    # A class that neither is true nor said of anybody drawn counts for nothing.
    f1 = 2 * counts_SCC.diagonal(0, 1, 2) / np.maximum(both, 1e-12)
    found: Numbers = f1.sum(1) / np.maximum((both > 0).sum(1), 1)
    return found
