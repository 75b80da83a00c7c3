"""How many steps a run has, and the learning rate at each: shared by training and preflight."""

from __future__ import annotations

import math

from molting.core.config import Train


def steps_per_epoch(rows: int, batch_rows: int) -> int:
    """Optimizer steps in one pass over the rows; the last batch may be smaller."""
    stretch = batch_rows * 8
    whole, rest = divmod(rows, stretch)
    return whole * 8 + math.ceil(rest / batch_rows)


def warmup_and_total(rows: int, train: Train) -> tuple[int, int]:
    """Steps in which the learning rate rises, and steps at most."""
    total = steps_per_epoch(rows, train.batch_rows) * train.epochs
    return max(1, round(train.warmup_share * total)), total


def learning_rate(train: Train, step: int, warmup: int, total: int) -> float:
    """Linear warm-up, then half a cosine down to a tenth of the peak."""
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    share = (step - warmup) / max(1, total - warmup)
    return train.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))
