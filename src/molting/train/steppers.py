"""Two ways to the same gradients: the tuner's own, and PEFT with autograd for everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from molting.memory.boundaries import Boundaries
from molting.models.likelihood import RowLoss, by_length, collate, row_losses, token_losses
from molting.models.packed import shared_prefix
from molting.models.render import Rendered
from molting.models.tuner import Tuner, tunable

Weigh = Callable[[Any, Any], Any]
"""From the nats of each trained token and the row it belongs to, both (N,), to weights (N,)."""


class Stepper(Protocol):
    """What the loop asks of a model."""

    shares_prefix: bool
    """Whether what all rows of a part begin with is computed once."""

    def load(self, masters: dict[str, Any]) -> None:
        """Take the adapters' weights, float32, by parameter name."""

    def gradients(self, rows: Sequence[Rendered], count: int) -> tuple[float, dict[str, Any]]:
        """Sum of the rows' losses in nats, and the gradients (float32) of that sum / `count`."""

    def weighted(self, rows: Sequence[Rendered], weigh: Weigh) -> dict[str, Any]:
        """The gradients (float32) of Σ weight · nats; `weigh` gives a weight for each token."""

    def losses(self, rows: Sequence[Rendered]) -> list[RowLoss]:
        """Loss of each row, without gradients."""


def stepper_for(model: Any, pad_id: int, boundaries: Boundaries | None = None) -> Stepper:
    """The tuner where it knows the model and the adapters, else PEFT.

    With `boundaries` the frozen layers at the bottom are read from the memory, not run.
    """
    return TunerStepper(model, boundaries) if tunable(model) else PeftStepper(model, pad_id)


class TunerStepper:
    """Hand-written gradients, rows without padding, a shared prefix once (`models/tuner.py`)."""

    shares_prefix = True

    def __init__(self, model: Any, boundaries: Boundaries | None = None) -> None:
        self.tuner = Tuner(model, boundaries)

    def load(self, masters: dict[str, Any]) -> None:
        self.tuner.load(masters)

    def gradients(self, rows: Sequence[Rendered], count: int) -> tuple[float, dict[str, Any]]:
        import torch

        grads: dict[str, Any] = {}
        losses = self.tuner.losses(rows, gradients=True)
        self.tuner.back(losses, torch.full_like(losses.nats_N, 1 / count), grads)
        return float(losses.nats_N.sum()), grads

    def weighted(self, rows: Sequence[Rendered], weigh: Weigh) -> dict[str, Any]:
        grads: dict[str, Any] = {}
        losses = self.tuner.losses(rows, gradients=True)
        self.tuner.back(losses, weigh(losses.nats_N, losses.row_N), grads)
        return grads

    def losses(self, rows: Sequence[Rendered]) -> list[RowLoss]:
        found = [RowLoss(0.0, 0)] * len(rows)
        shared = shared_prefix(rows)
        for indices in by_length([row.tail(shared) for row in rows]):
            losses = self.tuner.losses([rows[i] for i in indices], gradients=False)
            nats_N = losses.nats_N.double()
            for b, i in enumerate(indices):
                mine = nats_N[losses.row_N == b]
                found[i] = RowLoss(float(mine.sum()), int(mine.numel()))
        return found


class PeftStepper:
    """Any architecture and any kind of adapter that PEFT knows."""

    shares_prefix = False

    def __init__(self, model: Any, pad_id: int) -> None:
        self.model, self.pad_id = model, pad_id
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.device = next(model.parameters()).device
        if self.device.type == "cpu":
            # For rows this short the fused kernel's backward pass is slower than plain products.
            model.set_attn_implementation("eager")

    def load(self, masters: dict[str, Any]) -> None:
        import torch

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(masters[name])

    def gradients(self, rows: Sequence[Rendered], count: int) -> tuple[float, dict[str, Any]]:
        self.model.train()
        losses_N = token_losses(self.model, collate(rows, self.pad_id, self.device))
        (losses_N.sum() / count).backward()
        return float(losses_N.detach().sum()), self._taken()

    def weighted(self, rows: Sequence[Rendered], weigh: Weigh) -> dict[str, Any]:
        self.model.train()
        batch = collate(rows, self.pad_id, self.device)
        losses_N = token_losses(self.model, batch)
        (losses_N * weigh(losses_N.detach(), batch.row_N)).sum().backward()
        return self._taken()

    def _taken(self) -> dict[str, Any]:
        grads = {}
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                grads[name] = parameter.grad.float()
            parameter.grad = None
        return grads

    def losses(self, rows: Sequence[Rendered]) -> list[RowLoss]:
        return row_losses(self.model, rows, self.pad_id)
