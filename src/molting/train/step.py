"""One optimizer step, honest about memory and about numbers that are none."""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from molting.core.errors import CheckFailed
from molting.core.progress import Progress
from molting.models.likelihood import RowLoss
from molting.models.render import Rendered
from molting.train.batches import micro_batches
from molting.train.devices import World
from molting.train.objectives import Objective
from molting.train.steppers import Stepper

WINDOW = 8
"""Steps whose mean loss is compared by `diverging`."""


class Step(NamedTuple):
    """What a step found; its gradients lie at the masters."""

    loss: float
    norm: float
    """Of all gradients together, before they are clipped."""
    micro_tokens: int
    """Padded tokens in a forward pass that have fitted in memory."""

    @property
    def finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.norm)


def find_gradients(
    objective: Objective,
    stepper: Stepper,
    batch: list[int],
    masters: dict[str, Any],
    clip_norm: float,
    seed: int,
    micro_tokens: int,
    world: World,
    progress: Progress,
) -> Step:
    """Mean loss of a batch and the clipped gradients of the masters.

    Where memory runs out the step begins anew with half the tokens in a forward pass: the same
    batch and the same gradient, summed from smaller parts.
    """
    import torch

    count = objective.count(batch)
    while True:
        torch.manual_seed(seed)
        try:
            total = _accumulate(objective, stepper, batch, count, masters, micro_tokens, world)
            break
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            widest = max(len(objective.leads[i].ids) for i in batch) * objective.abreast
            if micro_tokens < widest or world.sharded:
                raise CheckFailed(
                    f"out of memory with one example of {widest:,} tokens at a time; lower "
                    "train.max_tokens or train.rank, or close programs"
                ) from None
            micro_tokens //= 2
        release()
        progress.say(
            f"out of memory: the step begins anew with {micro_tokens:,} tokens at a time; "
            "the batch stays as it is"
        )
    total = world.total(total, masters)
    norm = float(torch.nn.utils.clip_grad_norm_(list(masters.values()), clip_norm))
    return Step(total / count, norm, micro_tokens)


def _accumulate(
    objective: Objective,
    stepper: Stepper,
    batch: list[int],
    count: int,
    masters: dict[str, Any],
    micro_tokens: int,
    world: World,
) -> float:
    """Sum of this process's examples' losses; their gradients are added up at the masters."""
    total = 0.0
    for master in masters.values():
        master.grad = None
    for part, counts in _parts(objective, stepper, batch, micro_tokens, world):
        value, grads = objective.gradients(stepper, part, count)
        if not counts:
            continue
        total += value
        for name, grad in grads.items():
            known = masters[name].grad
            masters[name].grad = grad if known is None else known.add_(grad)
    return total


def _parts(
    objective: Objective, stepper: Stepper, batch: list[int], micro_tokens: int, world: World
) -> list[tuple[list[int], bool]]:
    """This process's examples, in parts that fit in memory, and whether a part counts."""
    most = micro_tokens // objective.abreast
    if not world.sharded:
        mine, once = world.share(batch), stepper.shares_prefix
        alone = micro_batches(objective.leads, mine, most, shared_once=once)
        return [(part, True) for part in alone]
    # Weights are gathered layer by layer from all processes, so all need equally many parts: one
    # that has no example of its own computes another's, which does not count.
    parts = [(part, world.share(part)) for part in micro_batches(objective.leads, batch, most)]
    return [(mine, True) if mine else (part[:1], False) for part, mine in parts]


def losses_in_memory(stepper: Stepper, rows: Sequence[Rendered]) -> list[RowLoss]:
    """The rows' losses; where memory runs out, of half the rows at a time."""
    try:
        return stepper.losses(rows)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error) or len(rows) < 2:
            raise
    release()
    middle = len(rows) // 2
    return losses_in_memory(stepper, rows[:middle]) + losses_in_memory(stepper, rows[middle:])


def out_of_memory(error: BaseException) -> bool:
    """Python's, CUDA's and the CPU allocator's own ways to say so."""
    import torch

    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and any(words in str(error) for words in ("out of memory", "allocate memory"))
    )


def release() -> None:
    """What the failed attempt held goes back, on a GPU to the driver."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def diverging(losses: Sequence[float]) -> bool:
    """Whether the mean loss of the last eight steps is over half again that of the first eight."""
    if len(losses) < 2 * WINDOW:
        return False
    return sum(losses[-WINDOW:]) > 1.5 * sum(losses[:WINDOW])
