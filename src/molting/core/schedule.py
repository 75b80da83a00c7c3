"""How many steps a run has, and the learning rate at each: shared by training and preflight."""

from __future__ import annotations

import math
from typing import NamedTuple

from molting.core.config import Train

MICRO_TOKENS = 1024
"""Padded tokens in one forward pass of training: bounds the memory of activations."""
_MEASURED_RATE, _MEASURED_WIDTH, _MEASURED_SCALE = 5e-4, 576, 32.0
"""SmolLM2-135M, rank 16, alpha 32: where the rule below starts from (docs/lab-log.md)."""
_FAST_TIMES = 2.0
"""Peak rate for adapters on at most half of the layers over that for all of them: they move the output
less (docs/measurements.md: the top third, one persona: the same loss in half the epochs)."""
_DPO_SHARE = 0.5
"""DPO's peak rate as a share of plain tuning's. Measured in two epochs of 64 rows: at a fifth nothing
moves, at the whole neutral text loses half (docs/measurements.md)."""


class Rate(NamedTuple):
    """A peak learning rate, and why it is that."""

    value: float
    reason: str


def peak_rate(train: Train, width: int, layers: int = 0) -> Rate:
    """`train.learning_rate`, or by rule: 5e-4 · √(576 / width) · 32 / (scale · rank).

    A wider model takes shorter steps: the rule gives what was measured at width 576, 1.9e-4 at
    4,096 and 1.3e-4 at 8,192, where the QLoRA paper took 2e-4 and 1e-4. A first step of Adam moves
    the output by rate · scale · rank, so rank itself does not matter where alpha stays; a larger
    alpha, or rsLoRA, takes a smaller rate. Never above 5e-4, nor below 1e-5. Fast mode takes twice
    that where it adapts at most half of the `layers` (0: unknown, and then only by its own rule, a
    third); for DPO that was not measured, and is not done.
    """
    if train.learning_rate is not None:
        return Rate(train.learning_rate, "as configured")
    reach = train.alpha * (math.sqrt(train.rank) if train.rslora else 1.0)
    value = _MEASURED_RATE * math.sqrt(_MEASURED_WIDTH / max(width, _MEASURED_WIDTH))
    value *= min(1.0, _MEASURED_SCALE / reach)
    reason = f"by rule for width {width:,} and scale × rank {reach:g}"
    few = train.top_layers is None or 2 * train.top_layers <= layers
    if train.mode == "fast" and few and train.method != "dpo":
        value *= _FAST_TIMES
        reason += ", twice that for so few layers"
    if train.method == "dpo":
        value *= _DPO_SHARE
        reason += ", half of that for DPO"
    # Two figures: nobody tunes to a third.
    return Rate(float(f"{max(value, 1e-5):.2g}"), reason)


def steps_per_epoch(rows: int, batch_rows: int) -> int:
    """Optimizer steps in one pass over the rows; the last batch may be smaller."""
    stretch = batch_rows * 8
    whole, rest = divmod(rows, stretch)
    return whole * 8 + math.ceil(rest / batch_rows)


def warmup_and_total(rows: int, train: Train) -> tuple[int, int]:
    """Steps in which the learning rate rises, and steps at most."""
    total = steps_per_epoch(rows, train.batch_rows) * train.epochs
    return max(1, round(train.warmup_share * total)), total


def learning_rate(peak: float, step: int, warmup: int, total: int) -> float:
    """Linear warm-up, then half a cosine down to a tenth of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, total - warmup)
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))
