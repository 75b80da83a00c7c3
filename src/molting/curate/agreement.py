"""Do two reviewers agree? Cohen's κ with its interval, and the table behind it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from molting.core.rulings import Decision, opinions
from molting.signals.stats import Array, Estimate, cluster_bootstrap

LABELS = ("keep", "edit", "reject")


class Agreement(msgspec.Struct, frozen=True):
    """κ over kept or rejected (an edit keeps); n is the number of rows that both decided."""

    reviewers: tuple[str, str]
    kappa: Estimate
    """Unknown when nothing was decided twice, or when both always said the same one thing."""
    agreed: int
    table: dict[str, dict[str, int]]
    """First reviewer's label → second reviewer's label → rows."""
    only: tuple[int, int]
    """Rows that only the first, only the second decided."""
    disagreed: tuple[tuple[str, str, str], ...]
    """(row, first label, second label) of the rows that one kept and the other rejected."""


def compare(
    decisions: Sequence[Decision], first: str, second: str, resamples: int, seed: int
) -> Agreement:
    """Two reviewers by the rows that both have decided; bootstrap over rows."""
    labels = {}
    for row, of_row in opinions(decisions).items():
        pair = tuple(of_row[name].label if name in of_row else "" for name in (first, second))
        labels[row] = pair
    both = {row: pair for row, pair in labels.items() if all(pair)}
    table = {one: dict.fromkeys(LABELS, 0) for one in LABELS}
    for one, other in both.values():
        table[one][other] += 1
    kept = np.array([[label != "reject" for label in pair] for pair in both.values()], dtype=float)
    return Agreement(
        (first, second),
        cluster_bootstrap(
            lambda weights: _kappa(kept[:, 0], kept[:, 1], weights), len(both), resamples, seed
        ),
        int((kept[:, 0] == kept[:, 1]).sum()) if len(both) else 0,
        table,
        (
            sum(bool(one) and not other for one, other in labels.values()),
            sum(bool(other) and not one for one, other in labels.values()),
        ),
        tuple(
            (row, one, other)
            for row, (one, other) in both.items()
            if (one == "reject") != (other == "reject")
        ),
    )


def _kappa(first: Array, second: Array, weights: Array) -> float:
    """Cohen (1960): agreement beyond what the two shares of keeping would give by chance."""
    total = weights.sum()
    observed = weights @ (first == second) / total
    one, other = weights @ first / total, weights @ second / total
    chance = one * other + (1 - one) * (1 - other)
    return float((observed - chance) / (1 - chance)) if chance < 1 else float("nan")
