"""How many top layers to adapt: measured, one epoch each, against all of them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from molting.core.config import Train, fingerprint
from molting.core.errors import UsageError
from molting.core.progress import Progress, Silent
from molting.core.recipe import recipe
from molting.core.schedule import peak_rate
from molting.memory.boundaries import Boundaries
from molting.memory.store import Memory
from molting.models.base import LoadedModel, load_model
from molting.models.likelihood import RowLoss, mean_loss
from molting.models.lora import attach_lora, count_parameters
from molting.models.render import Rendered
from molting.models.tuner import tunable
from molting.signals.stats import Estimate, cluster_bootstrap
from molting.train.loop import train
from molting.train.steppers import stepper_for

TOLERANCE = 0.02
"""Nats per token that fast mode may cost (2 % of perplexity)."""


class Depth(msgspec.Struct, frozen=True):
    """What adapting the top `top_layers` layers costs and gives, on the rows at hand."""

    top_layers: int
    of_layers: int
    trainable_parameters: int
    learning_rate: float
    """Its peak: what a run of that mode takes."""
    fill_seconds: float | None
    """Once: what lies below, computed and remembered. None: nothing lies below."""
    epoch_seconds: float
    """Each epoch from then on, with the validation before and after it."""
    validation_loss: float
    """Nats per token after one epoch."""
    gap: Estimate | None
    """How much higher than with all layers, paired by row; None for all layers themselves."""


class Depths(msgspec.Struct, frozen=True):
    """All that were measured, and which the rule takes."""

    chosen: int
    """Layers; all of them when no smaller number is good enough."""
    rule: str
    measured: tuple[Depth, ...]


def usual_depths(layers: int) -> list[int]:
    """A sixth, a third and half of the layers, and all."""
    return sorted({max(1, layers // 6), -(-layers // 3), -(-layers // 2), layers})


def measure_depths(
    base: LoadedModel,
    rows: Sequence[Rendered],
    validation: Sequence[Rendered],
    config: Train,
    depths: Sequence[int],
    memory: Memory,
    progress: Progress,
) -> Depths:
    """Train one epoch at each depth, everything else alike but for the learning rate, which is what a
    run of that mode would take. `base` is not touched."""
    layers = int(base.model.config.num_hidden_layers)
    wanted = sorted({*depths, layers})
    if wanted[0] < 1 or wanted[-1] > layers:
        raise UsageError(f"the model has layers 1 to {layers}; asked for {min(wanted)} to {max(wanted)}")  # fmt: skip
    if config.method != "lora":
        raise UsageError(f"measured with plain LoRA only; train.method is {config.method}")
    found: dict[int, tuple[Depth, list[RowLoss]]] = {}
    for number, depth in enumerate(wanted):
        progress.step("depths", number, len(wanted), f"top {depth} of {layers}")
        settings = msgspec.structs.replace(
            config,
            mode="exact" if depth == layers else "fast",
            top_layers=None if depth == layers else depth,
            epochs=1,
            voice_prompts=0,
        )
        found[depth] = _one(base, rows, validation, settings, depth, memory)
    progress.step("depths", len(wanted), len(wanted))
    reference = found[layers][1]
    measured = tuple(
        depth if depth.top_layers == layers else msgspec.structs.replace(
            depth, gap=_gap(losses, reference, config.seed)
        )
        for depth, losses in found.values()
    )  # fmt: skip
    return Depths(
        _chosen(measured, layers),
        f"the smallest number of top layers whose loss after one epoch is surely at most "
        f"{TOLERANCE} nats/token above that of all layers",
        measured,
    )


def study_key(corpus: str, weights: str, config: Train) -> str:
    """Equal for runs that differ in how many layers they adapt and in nothing else."""
    same = msgspec.structs.replace(config, mode="exact", top_layers=None)
    # The weights say which model it is, so any width does.
    return fingerprint("depths", 2, corpus, weights, recipe(same, 0))


def _one(
    base: LoadedModel,
    rows: Sequence[Rendered],
    validation: Sequence[Rendered],
    settings: Train,
    depth: int,
    memory: Memory,
) -> tuple[Depth, list[RowLoss]]:
    layers = int(base.model.config.num_hidden_layers)
    fresh = load_model(base.source, base.dtype)
    model = attach_lora(fresh.model, settings, "depths", settings.seed)
    pad_id = fresh.tokenizer.pad_token_id or 0
    boundaries, filled = None, None
    if settings.mode == "fast" and tunable(model):
        boundaries = Boundaries(memory, fresh, model)
        begun = time.perf_counter()
        boundaries.fill([*rows, *validation])
        filled = round(time.perf_counter() - begun, 2)
    with tempfile.TemporaryDirectory() as folder:
        outcome = train(
            model, rows, validation, settings, pad_id, Path(folder), Silent(),
            boundaries=boundaries,
        )  # fmt: skip
    stepper = stepper_for(model, pad_id, boundaries)
    stepper.load(_masters(model, outcome.state))
    losses = stepper.losses(validation)
    return Depth(
        depth,
        layers,
        count_parameters(model)[0],
        peak_rate(settings, int(base.model.config.hidden_size), layers).value,
        filled,
        round(outcome.position.seconds, 2),
        mean_loss(losses),
        None,
    ), losses


def _masters(model: Any, state: dict[str, Any]) -> dict[str, Any]:
    """A saved state under the names that the model's own parameters have."""
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    return {
        name: state[name.replace(".default", "")].to(parameter.device)
        for name, parameter in parameters.items()
    }


def _gap(losses: Sequence[RowLoss], reference: Sequence[RowLoss], seed: int) -> Estimate:
    """Difference in nats per token, rows drawn together."""
    import numpy as np

    nats = np.array([one.nats - other.nats for one, other in zip(losses, reference, strict=True)])
    tokens = np.array([one.tokens for one in losses], dtype=float)
    return cluster_bootstrap(
        lambda w: float(w @ nats / (w @ tokens)) if w @ tokens else float("nan"),
        len(nats),
        2000,
        seed,
    )


def _chosen(measured: Sequence[Depth], layers: int) -> int:
    good = [
        depth.top_layers
        for depth in measured
        if depth.gap is not None and depth.gap.high is not None and depth.gap.high <= TOLERANCE
    ]
    return min(good, default=layers)
