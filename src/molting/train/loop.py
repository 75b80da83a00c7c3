"""The training loop, flat: epochs of steps, a validation loss after each, the best state kept.

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
from molting.core.progress import Progress
from molting.core.schedule import learning_rate, steps_per_epoch, warmup_and_total
from molting.memory.boundaries import Boundaries
from molting.models.likelihood import mean_loss, perplexity
from molting.models.lora import adapter_state
from molting.models.render import Rendered
from molting.train.batches import epoch_batches, micro_batches
from molting.train.checkpoint import Position, load_checkpoint, save_checkpoint
from molting.train.steppers import Stepper, stepper_for

_MICRO_TOKENS = 1024
"""Padded tokens in one forward pass: bounds the memory of activations."""


class Outcome(NamedTuple):
    """What training found; `state` is the best epoch's adapter in PEFT's names, float32."""

    state: dict[str, Any]
    position: Position
    epochs_run: int
    stopped_by: str


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
) -> Outcome:
    """Tune the adapters of `model` (a PEFT model) on `rows`; resumes from `folder` if it can.

    Raises Interrupted after saving a resume point, CheckFailed when the loss is not a number.
    """
    import torch

    rows = [row for row in rows if row.trained_tokens]
    if not rows:
        raise UsageError("no row has a token to train on; run `molting check`")
    if not any(row.trained_tokens for row in validation):
        raise UsageError("no validation row has a reply to measure; run `molting check`")
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    masters = {name: p.detach().float().clone() for name, p in parameters.items()}
    optimizer = torch.optim.AdamW(
        list(masters.values()),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True,
    )
    per_epoch = steps_per_epoch(len(rows), config.batch_rows)
    warmup, total = warmup_and_total(len(rows), config)
    stepper = stepper_for(model, pad_id, boundaries)

    position = Position(0, -1, 0, math.inf, 0.0, 0, (), ())
    best = {name: tensor.clone() for name, tensor in masters.items()}
    resumed = load_checkpoint(folder)
    if resumed:
        position, tensors = resumed
        _restore(masters, best, optimizer, tensors, position.step)
        progress.say(f"resuming at step {position.step} of at most {total}")
    stepper.load(masters)

    begun = time.perf_counter() - position.seconds
    saved = time.perf_counter()

    def keep() -> None:
        nonlocal position, saved
        position = msgspec.structs.replace(position, seconds=time.perf_counter() - begun)
        save_checkpoint(folder, position, _tensors(masters, best, optimizer))
        saved = time.perf_counter()

    stopped_by = "epochs"
    batches: list[list[int]] = []
    batches_of = 0
    while True:
        epoch, within = divmod(position.step, per_epoch)
        if within == 0 and position.evaluated < epoch:
            position = _evaluate(stepper, validation, position, epoch, per_epoch, progress)
            if position.best_epoch == epoch:
                best = {name: tensor.clone() for name, tensor in masters.items()}
            keep()
        if position.step >= total:
            break
        if within == 0 and epoch - position.best_epoch >= config.patience:
            stopped_by = "validation loss"
            break
        if interrupted():
            keep()
            raise Interrupted(
                f"interrupted at step {position.step} of at most {total}; "
                "the same command resumes there"
            )
        if batches_of != epoch + 1:
            batches, batches_of = (
                epoch_batches(rows, config.batch_rows, epoch + 1, config.seed),
                epoch + 1,
            )
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, position.step, warmup, total)
        loss, tokens = _step(
            stepper, rows, batches[within], masters, optimizer, config, position.step
        )
        if not math.isfinite(loss):
            raise CheckFailed(
                f"the loss is not a number at step {position.step}; lower train.learning_rate "
                f"(now {config.learning_rate:g}); the last good state is kept"
            )
        position = msgspec.structs.replace(
            position,
            step=position.step + 1,
            tokens=position.tokens + tokens,
            losses=(*position.losses, loss),
        )
        progress.step(
            "training", position.step, total, f"epoch {epoch + 1}/{config.epochs} · loss {loss:.3f}"
        )
        if time.perf_counter() - saved > config.checkpoint_seconds:
            keep()

    _load_masters(parameters, best)
    state = adapter_state(model)
    # PEFT reads the model's dtype; what is handed over are the float32 masters.
    exact = {name.replace(".default", ""): tensor for name, tensor in best.items()}
    state = {name: exact.get(name, tensor).cpu().contiguous() for name, tensor in state.items()}
    return Outcome(state, position, position.step // per_epoch, stopped_by)


def _step(
    stepper: Stepper,
    rows: Sequence[Rendered],
    batch: list[int],
    masters: dict[str, Any],
    optimizer: Any,
    config: Train,
    step: int,
) -> tuple[float, int]:
    """One optimizer step: mean loss over the batch's trained tokens, and the tokens seen."""
    import torch

    torch.manual_seed((config.seed << 24) + step)
    count = sum(rows[i].trained_tokens for i in batch)
    nats = 0.0
    for master in masters.values():
        master.grad = None
    parts = micro_batches(rows, batch, _MICRO_TOKENS, shared_once=stepper.shares_prefix)
    for part in parts:
        part_nats, grads = stepper.gradients([rows[i] for i in part], count)
        nats += part_nats
        for name, grad in grads.items():
            known = masters[name].grad
            masters[name].grad = grad if known is None else known.add_(grad)
    torch.nn.utils.clip_grad_norm_(list(masters.values()), config.clip_norm)
    optimizer.step()
    stepper.load(masters)
    return nats / count, sum(len(rows[i].ids) for i in batch)


def _evaluate(
    stepper: Stepper,
    validation: Sequence[Rendered],
    position: Position,
    epoch: int,
    per_epoch: int,
    progress: Progress,
) -> Position:
    loss = mean_loss(stepper.losses(validation))
    recent = position.losses[-per_epoch:] if epoch else ()
    record = {
        "epoch": epoch,
        "step": position.step,
        "train_loss": sum(recent) / len(recent) if recent else None,
        "validation_loss": loss,
        "validation_perplexity": perplexity(loss),
    }
    improved = loss < position.best_loss
    shown = "untouched model" if epoch == 0 else f"epoch {epoch}"
    progress.say(
        f"{shown}: validation perplexity {perplexity(loss):.2f}" + (" (best)" if improved else "")
    )
    return msgspec.structs.replace(
        position,
        evaluated=epoch,
        best_epoch=epoch if improved else position.best_epoch,
        best_loss=loss if improved else position.best_loss,
        history=(*position.history, record),
    )


def _load_masters(parameters: dict[str, Any], masters: dict[str, Any]) -> None:
    import torch

    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(masters[name])


def _tensors(masters: dict[str, Any], best: dict[str, Any], optimizer: Any) -> dict[str, Any]:
    tensors = {f"master/{name}": tensor.detach() for name, tensor in masters.items()}
    tensors |= {f"best/{name}": tensor.detach() for name, tensor in best.items()}
    for name, master in masters.items():
        state = optimizer.state.get(master)
        if state:
            tensors[f"mean/{name}"] = state["exp_avg"]
            tensors[f"variance/{name}"] = state["exp_avg_sq"]
    return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}


def _restore(
    masters: dict[str, Any],
    best: dict[str, Any],
    optimizer: Any,
    tensors: dict[str, Any],
    step: int,
) -> None:
    import torch

    for name, master in masters.items():
        master.copy_(tensors[f"master/{name}"])
        best[name].copy_(tensors[f"best/{name}"])
        if f"mean/{name}" in tensors:
            optimizer.state[master] = {
                "step": torch.tensor(float(step)),
                "exp_avg": tensors[f"mean/{name}"].to(master.device),
                "exp_avg_sq": tensors[f"variance/{name}"].to(master.device),
            }
