"""The training loop, flat: epochs of steps, an evaluation after each, the best state kept.

Weights are trained in the model's dtype with float32 master copies of the adapters in the
optimizer. Each step's random numbers come from (seed, step), and the order of the rows from
(seed, epoch); together with the resume point that makes a killed and resumed run equal, bit for
bit, to one that was left alone (same machine, same number of threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from molting.core.config import Train
from molting.core.errors import CheckFailed, Interrupted, UsageError
from molting.core.progress import Progress, Silent
from molting.core.schedule import (
    MICRO_TOKENS,
    learning_rate,
    peak_rate,
    steps_per_epoch,
    warmup_and_total,
)
from molting.memory.boundaries import Boundaries
from molting.models.likelihood import mean_loss, perplexity
from molting.models.lora import adapter_state
from molting.models.render import Rendered
from molting.train.batches import epoch_batches
from molting.train.checkpoint import Position, load_checkpoint, save_checkpoint
from molting.train.devices import World
from molting.train.objectives import NextToken, Objective, Pair, Preference
from molting.train.state import State
from molting.train.step import diverging, find_gradients, losses_in_memory
from molting.train.steppers import PeftStepper, Stepper, stepper_for
from molting.train.stopping import exhausted, kept_epoch, loss_of, open_epochs
from molting.train.watching import Watcher

Evaluator = Callable[[Any], dict[str, Any]]
"""Asks the model something, at its present state; `personality` (0 to 1) has a say in which state
is kept (`stopping.py`), everything is recorded."""


class Outcome(NamedTuple):
    """What training found; `state` is the kept epoch's adapter in PEFT's names, float32."""

    state: dict[str, Any]
    position: Position
    epochs_run: int
    stopped_by: str


class Diverged(CheckFailed):
    """Training went astray. `outcome` has the best state before; it is no finished molt."""

    def __init__(self, line: str, outcome: Outcome) -> None:
        super().__init__(line)
        self.outcome = outcome


def train(
    model: Any,
    rows: Sequence[Rendered],
    validation: Sequence[Rendered],
    config: Train,
    pad_id: int,
    folder: Path,
    progress: Progress,
    interrupted: Callable[[], bool] = lambda: False,
    boundaries: Boundaries | None = None,
    *,
    pairs: Sequence[Pair] = (),
    held_out_pairs: Sequence[Pair] = (),
    evaluators: Sequence[Evaluator] = (),
    watchers: Sequence[Watcher] = (),
    world: World | None = None,
) -> Outcome:
    """Tune the adapters of `model` (a PEFT model); resumes from `folder` if it can.

    For `dpo` it learns from `pairs` (and their whole rows, if plain tuning comes first) and stops
    by `held_out_pairs`; `rows` are not looked at. Raises Interrupted after saving a resume point,
    Diverged when the loss is not a number or runs away.
    """
    world = world or World()
    if world.sharded and evaluators:
        raise UsageError("train.voice_prompts cannot be used with FSDP; set it to 0")
    progress = progress if world.first else Silent()
    plain, preference = _objectives(rows, validation, config, pairs)
    peak = peak_rate(config, *_size(model)).value
    per_epoch = steps_per_epoch(len(plain.leads), config.batch_rows)
    warmup, total = warmup_and_total(len(plain.leads), config)
    state = State(model, config)
    stepper = (
        PeftStepper(model, pad_id) if world.sharded else stepper_for(model, pad_id, boundaries)
    )
    position = Position(0, -1, 0, math.inf, 0.0, 0, (), ())
    resumed = load_checkpoint(folder)
    if resumed:
        position, tensors = resumed
        state.restore(tensors, position.step)
        progress.say(f"resuming at step {position.step} of at most {total}")
    stepper.load(state.masters)

    begun = time.perf_counter() - position.seconds
    saved = time.perf_counter()
    budget = position.micro_tokens or MICRO_TOKENS

    def keep() -> None:
        nonlocal position, saved
        position = msgspec.structs.replace(position, seconds=time.perf_counter() - begun)
        if world.first:
            save_checkpoint(folder, position, state.tensors())
        saved = time.perf_counter()

    def outcome(stopped_by: str) -> Outcome:
        best = state.kept[position.best_epoch]
        state.show(best)
        # PEFT reads the model's dtype; what is handed over are the float32 masters.
        exact = {name.replace(".default", ""): tensor for name, tensor in best.items()}
        found = {
            name: exact.get(name, tensor).cpu().contiguous()
            for name, tensor in adapter_state(model).items()
        }
        return Outcome(found, position, position.step // per_epoch, stopped_by)

    def astray(what: str) -> Diverged:
        keep()
        return Diverged(
            f"{what} at step {position.step}; lower train.learning_rate (now {peak:g}); the last "
            f"good state (epoch {position.best_epoch}) is kept, the molt is not finished",
            outcome("divergence"),
        )

    stopped_by = "epochs"
    batches: list[list[int]] = []
    batches_of = 0
    while True:
        epoch, within = divmod(position.step, per_epoch)
        if within == 0 and position.evaluated < epoch:
            record = _evaluate(stepper, validation, position, epoch, per_epoch, world)
            if preference:
                flat = Preference(held_out_pairs, config)
                record |= flat.measured(_losses(stepper, flat.rows(), world))
            if evaluators and epoch and epoch % config.voice_every == 0:
                state.show(state.masters)
                record |= _ask(evaluators, model, world)
            position = _judged(position, record, config, progress)
            state.keep(epoch, open_epochs(position.history, config.tolerance))
            keep()
            for watcher in watchers:
                watcher.evaluated(position)
        if position.step >= total:
            break
        if within == 0 and exhausted(position.history, config.tolerance, config.patience):
            stopped_by = "validation loss" + (" and personality" if evaluators else "")
            break
        if world.agreed(interrupted()):
            keep()
            raise Interrupted(
                f"interrupted at step {position.step} of at most {total}; "
                "the same command resumes there"
            )
        prefers = preference is not None and epoch >= config.dpo_after
        objective: Objective = preference if preference and prefers else plain
        since = config.dpo_after * per_epoch if prefers else 0
        if diverging(position.losses[since:]):
            raise astray("the loss runs away (over half again what it began with)")
        if batches_of != epoch + 1:
            batches = epoch_batches(plain.leads, config.batch_rows, epoch + 1, config.seed)
            batches_of = epoch + 1
        batch = batches[within]
        step = find_gradients(
            objective, stepper, batch, state.masters, config.clip_norm,
            (config.seed << 24) + position.step, budget, world, progress,
        )  # fmt: skip
        if not step.finite:
            raise astray("the loss is not a number")
        rate = learning_rate(peak, position.step, warmup, total)
        state.update(rate)
        stepper.load(state.masters)
        budget = step.micro_tokens
        position = msgspec.structs.replace(
            position,
            step=position.step + 1,
            tokens=position.tokens + objective.tokens(batch),
            losses=(*position.losses, step.loss),
            norms=(*position.norms, step.norm),
            micro_tokens=budget,
        )
        for watcher in watchers:
            watcher.step(position.step, step.loss, rate, step.norm)
        progress.step(
            "training", position.step, total,
            f"epoch {epoch + 1}/{config.epochs} · loss {step.loss:.3f}",
        )  # fmt: skip
        if time.perf_counter() - saved > config.checkpoint_seconds:
            keep()
    if position.best_epoch == 0:
        progress.say(
            "warning: no epoch was better than the untouched model, which is what this molt is; "
            f"look at the rows (`molting check`), or lower train.learning_rate (now {peak:g})"
        )
    return outcome(stopped_by)


def _size(model: Any) -> tuple[int, int]:
    """Width and layers; 0 where the architecture has other names for them."""
    names = ("hidden_size", "num_hidden_layers")
    width, layers = (int(getattr(model.config, name, 0)) for name in names)
    return width, layers


def _objectives(
    rows: Sequence[Rendered],
    validation: Sequence[Rendered],
    config: Train,
    pairs: Sequence[Pair],
) -> tuple[NextToken, Preference | None]:
    if config.method == "dpo":
        rows = [pair.whole for pair in pairs]
        if not rows:
            raise UsageError("no row gives a pair to prefer by; see the reasons above")
    else:
        rows = [row for row in rows if row.trained_tokens]
    if not rows:
        raise UsageError("no row has a token to train on; run `molting check`")
    if not any(row.trained_tokens for row in validation):
        raise UsageError("no validation row has a reply to measure; run `molting check`")
    return NextToken(rows), Preference(pairs, config) if config.method == "dpo" else None


def _losses(stepper: Stepper, rows: Sequence[Rendered], world: World) -> list[Any]:
    return world.losses(rows, lambda mine: losses_in_memory(stepper, mine))


def _ask(evaluators: Sequence[Evaluator], model: Any, world: World) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if world.first:
        model.eval()
        for evaluator in evaluators:
            found |= evaluator(model)
    return world.agreed(found)


def _evaluate(
    stepper: Stepper,
    validation: Sequence[Rendered],
    position: Position,
    epoch: int,
    per_epoch: int,
    world: World,
) -> dict[str, Any]:
    loss = mean_loss(_losses(stepper, validation, world))
    recent = position.losses[-per_epoch:] if epoch else ()
    return {
        "epoch": epoch,
        "step": position.step,
        "train_loss": sum(recent) / len(recent) if recent else None,
        "validation_loss": loss,
        "validation_perplexity": perplexity(loss),
    }


def _judged(
    position: Position, record: dict[str, Any], config: Train, progress: Progress
) -> Position:
    """The position with this record in its history, and the epoch that is kept so far."""
    history = (*position.history, record)
    best = kept_epoch(history, config.tolerance)
    epoch = record["epoch"]
    told = [f"validation perplexity {record['validation_perplexity']:.2f}"]
    if "preferred" in record:
        told.append(f"{record['preferred']:.0%} of held-out pairs preferred")
    if record.get("voice") is not None:
        told.append(f"voice {record['voice']:.2f} on {record['voice_n']} prompts")
    shown = "untouched model" if epoch == 0 else f"epoch {epoch}"
    progress.say(f"{shown}: {', '.join(told)}" + (" (best)" if best == epoch else ""))
    return msgspec.structs.replace(
        position,
        evaluated=epoch,
        best_epoch=best,
        best_loss=next((loss_of(r) for r in history if r["epoch"] == best), math.inf),
        history=history,
    )
