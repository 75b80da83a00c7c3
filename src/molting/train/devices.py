"""The same loop in several processes: each takes a share of every batch, and gradients are summed.

`accelerate launch -m molting run …` (or torchrun) starts the processes and says so in their
environment; one process is the rule and needs none of this. Each process holds the masters and
takes the same optimizer step on the same sums, so they stay equal without being sent around.
Under FSDP the frozen weights are split among the devices; the adapters are small and stay whole.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from molting.core.launch import process_count, sharding_asked
from molting.models.likelihood import RowLoss

T = TypeVar("T")
_PATIENCE = datetime.timedelta(hours=6)


class World:
    """One process alone; what the loop asks of its surroundings."""

    rank, size, sharded = 0, 1, False

    @property
    def first(self) -> bool:
        """The process that writes and speaks."""
        return self.rank == 0

    def share(self, part: Sequence[T]) -> list[T]:
        """This process's part of a batch."""
        return list(part)

    def total(self, value: float, masters: dict[str, Any]) -> float:
        """The sum of `value` over processes; the masters' gradients become sums too."""
        return value

    def losses(
        self, rows: Sequence[Any], compute: Callable[[Sequence[Any]], list[RowLoss]]
    ) -> list[RowLoss]:
        """`compute(rows)`, in the rows' order, each process computing some."""
        return compute(rows)

    def agreed(self, value: T) -> T:
        """What the first process says."""
        return value

    def prepare(self, model: Any) -> None:
        """Split the frozen weights among devices, where that was asked for."""

    def close(self) -> None:
        """Leave the group."""


class Group(World):
    """One of several processes, through Accelerate."""

    def __init__(self) -> None:
        import torch
        from accelerate import PartialState

        # The others wait while the first curates and asks the base for its replies.
        self.state = PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)
        self.rank, self.size = self.state.process_index, self.state.num_processes
        self.sharded = sharding_asked()

    def share(self, part: Sequence[T]) -> list[T]:
        return list(part[self.rank :: self.size])

    def total(self, value: float, masters: dict[str, Any]) -> float:
        import torch
        from accelerate.utils import reduce

        names = list(masters)
        parts = [
            torch.zeros_like(masters[name]) if masters[name].grad is None else masters[name].grad
            for name in names
        ]
        flat = torch.cat([part.flatten() for part in parts])
        flat = reduce(flat, "sum")
        sums = reduce(torch.tensor([value], dtype=torch.float64, device=flat.device), "sum")
        place = 0
        for name, part in zip(names, parts, strict=True):
            masters[name].grad = flat[place : place + part.numel()].view_as(part)
            place += part.numel()
        return float(sums[0])

    def losses(
        self, rows: Sequence[Any], compute: Callable[[Sequence[Any]], list[RowLoss]]
    ) -> list[RowLoss]:
        if self.sharded:
            return compute(rows)
        from accelerate.utils import gather_object

        mine = range(self.rank, len(rows), self.size)
        found = compute([rows[i] for i in mine]) if mine else []
        pairs = gather_object([(i, *loss) for i, loss in zip(mine, found, strict=True)])
        return [RowLoss(nats, tokens) for _, nats, tokens in sorted(pairs)]

    def agreed(self, value: T) -> T:
        from accelerate.utils import broadcast_object_list

        told: list[T] = broadcast_object_list([value])
        return told[0]

    def prepare(self, model: Any) -> None:
        if not self.sharded:
            return
        from torch.distributed.fsdp import fully_shard

        inner = model.get_base_model()
        kinds = set(getattr(inner, "_no_split_modules", None) or ())
        adapters = {p for p in model.parameters() if p.requires_grad}
        # Layer by layer; embeddings, norms, head and adapters stay whole on every device.
        for module in inner.modules():
            if type(module).__name__ in kinds:
                fully_shard(module, ignored_params=adapters)

    def close(self) -> None:
        self.state.destroy_process_group()


def surroundings() -> World:
    """The group this process was launched in, or itself alone."""
    return Group() if process_count() > 1 else World()
