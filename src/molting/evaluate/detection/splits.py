"""Folds that keep a writer on one side, with every class spread evenly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from molting.evaluate.detection.arrays import Integers


def grouped_folds(groups: Sequence[str], labels_NK: Integers, folds: int, seed: int) -> Integers:
    """The fold of each sample, shape (N,), stratified over all K traits at once.

    Greedy, largest group first, in an order drawn from the seed: each group goes to the fold that
    still lacks most of its classes (rare ones weigh more), and among equal ones to the smallest.
    """
    random = np.random.default_rng(seed)
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    order = [list(members)[i] for i in random.permutation(len(members))]
    order.sort(key=lambda group: -len(members[group]))
    onehot_NC = _onehot(labels_NK)
    share_C = 1 / np.maximum(onehot_NC.sum(0), 1)
    filled_FC = np.zeros((folds, onehot_NC.shape[1]))
    size_F = np.zeros(folds)
    fold_N = np.zeros(len(groups), np.int64)
    for group in order:
        rows = members[group]
        adds_C = onehot_NC[rows].sum(0)
        # How full a fold is of the classes that this group brings.
        full_F = (filled_FC * share_C) @ (adds_C * share_C)
        ranked = sorted(range(folds), key=lambda f: (round(float(full_F[f]), 12), size_F[f], f))
        # No fold grows beyond its share, however well the classes fit.
        open_ = [f for f in ranked if size_F[f] < len(groups) / folds] or ranked
        chosen = open_[0]
        filled_FC[chosen] += adds_C
        size_F[chosen] += len(rows)
        fold_N[rows] = chosen
    return fold_N


def held_part(
    groups: Sequence[str], labels_NK: Integers, rows: Integers, seed: int, parts: int = 5
) -> tuple[Integers, Integers]:
    """`rows` in two: four fifths to fit on, one fifth held out to stop and to calibrate on."""
    fold = grouped_folds([groups[i] for i in rows], labels_NK[rows], parts, seed)
    return rows[fold != 0], rows[fold == 0]


def _onehot(labels_NK: Integers) -> Any:
    columns = [
        labels_NK[:, k] == c
        for k in range(labels_NK.shape[1])
        for c in range(int(labels_NK[:, k].max(initial=0)) + 1)
    ]
    return np.stack(columns, 1).astype(float)
