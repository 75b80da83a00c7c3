"""Which rows go into which step: fixed by the seed alone, so a resumed run sees the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from molting.models.packed import shared_prefix
from molting.models.render import Rendered


def epoch_batches(
    rows: Sequence[Rendered], batch_rows: int, epoch: int, seed: int
) -> list[list[int]]:
    """Indices of each step of an epoch (counted from 1); every row comes exactly once.

    Rows are shuffled, then sorted by length within stretches of eight batches: little padding,
    and batches that still differ from epoch to epoch. The order of the batches is shuffled too.
    """
    random = np.random.default_rng([seed, epoch])
    order = [int(i) for i in random.permutation(len(rows))]
    stretch = batch_rows * 8
    batches: list[list[int]] = []
    for start in range(0, len(order), stretch):
        part = sorted(order[start : start + stretch], key=lambda i: (len(rows[i].ids), i))
        batches += [part[i : i + batch_rows] for i in range(0, len(part), batch_rows)]
    return [batches[int(i)] for i in random.permutation(len(batches))]


def micro_batches(
    rows: Sequence[Rendered], batch: list[int], most_tokens: int, *, shared_once: bool = False
) -> list[list[int]]:
    """Parts of a step that fit in memory; gradients are summed over them.

    With `shared_once` only the tokens behind what all rows of the batch begin with are counted: the
    tuner computes a shared prefix once a part, so it is cheaper the fewer parts there are.
    """
    shared = shared_prefix([rows[i] for i in batch]) if shared_once else 0
    parts: list[list[int]] = []
    for i in sorted(batch, key=lambda i: (len(rows[i].ids), i)):
        width = len(rows[i].ids) - shared
        if parts and (len(parts[-1]) + 1) * width <= most_tokens:
            parts[-1].append(i)
        else:
            parts.append([i])
    return parts
