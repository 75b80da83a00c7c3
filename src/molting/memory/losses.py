"""Losses of rows under a frozen model, remembered: the same tokens are never scored twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from molting.memory.scored import remembered_rows
from molting.memory.store import Memory
from molting.models.base import LoadedModel
from molting.models.likelihood import RowLoss, row_losses
from molting.models.render import Rendered

_CHUNK = 32
"""Rows between two words of progress, each of which is put away."""


def remembered_losses(
    memory: Memory | None,
    base: LoadedModel,
    rows: Sequence[Rendered],
    report: Callable[[int, int], None] | None = None,
) -> list[RowLoss]:
    """Like `row_losses` of the untouched base.

    The key is the weights, the dtype, the token ids and which of them are scored; no text and no
    setting besides. Without a memory, equal rows are still scored once.
    """
    pad_id = base.tokenizer.pad_token_id
    if pad_id is None:
        pad_id = next(iter(sorted(base.stop_ids)), 0)

    def compute(missing: list[Rendered]) -> list[tuple[float, int]]:
        losses = row_losses(base.model, missing, pad_id)
        return [(loss.nats, loss.tokens) for loss in losses]

    kind = ("row-loss-1", base.source.weights, base.dtype)
    found = remembered_rows(memory, kind, rows, compute, report, _CHUNK)
    return [RowLoss(float(nats), int(tokens)) for nats, tokens in found]
