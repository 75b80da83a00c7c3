"""Time and memory that a run will need, from half a second of measuring on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from molting.core.config import Config
from molting.core.schedule import MICRO_TOKENS
from molting.models.machine import Machine, evaluation_bytes, training_bytes
from molting.models.render import Rendered


class Estimate(msgspec.Struct, frozen=True):
    """An expectation, not a measurement: within a factor of about two."""

    dtype: str
    gflops: dict[str, float]
    tokens_per_epoch: int
    trained_tokens_per_epoch: int
    train_minutes: float
    """If every epoch is run; early stopping usually ends sooner."""
    memory_gib: float
    """Of training or of evaluation, whichever takes more."""
    available_gib: float | None


def estimate(
    rows: Sequence[Rendered],
    validation: Sequence[Rendered],
    config: Config,
    shape: dict[str, int],
    machine: Machine,
) -> Estimate:
    """`shape`: what `models.lora.shape_of` says of the base model."""
    dtype = machine.dtype if config.base.dtype == "auto" else config.base.dtype
    tokens = sum(len(row.ids) for row in rows)
    speed = machine.tokens_per_second(shape["parameters"], shape["layers"], shape["width"], dtype)
    # A validation pass is forward only: about a third of a training step.
    # A pair is two rows of about the same length; mixed-in rows come on top.
    read = tokens * 2 if config.train.method == "dpo" else tokens / (1 - config.train.mix)
    passes = config.train.epochs * (read + sum(len(row.ids) for row in validation) / 3)
    longest = max((len(row.ids) for row in rows), default=0)
    # A pair is read in one pass, however long it is.
    least = longest * (2 if config.train.method == "dpo" else 1)
    widest = max(least, min(MICRO_TOKENS, config.train.batch_rows * least))
    trained = training_bytes(
        shape["parameters"], shape["trainable"], widest, shape["layers"], shape["width"],
        shape["vocabulary"], dtype, by_hand=bool(shape["by_hand"]),
        packed=dtype == "bfloat16" and machine.device == "cpu",
        parted=bool(shape["head_in_parts"]),
    )  # fmt: skip
    answered = evaluation_bytes(
        shape["parameters"], longest + config.evaluate.max_new_tokens, shape["layers"],
        shape["width"], dtype,
    )  # fmt: skip
    return Estimate(
        dtype,
        {name: round(value, 1) for name, value in machine.gflops.items()},
        tokens,
        sum(row.trained_tokens for row in rows),
        passes / speed / 60,
        max(trained, answered) / 2**30,
        _available_gib(),
    )


def _available_gib() -> float | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") / 2**30
    except (ValueError, OSError, AttributeError):
        return None
