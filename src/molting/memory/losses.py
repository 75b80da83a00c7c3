"""Losses of rows under a frozen model, remembered: the same tokens are never scored twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from molting.memory.store import Memory, key_of
from molting.models.base import LoadedModel
from molting.models.likelihood import RowLoss, row_losses
from molting.models.render import Rendered

_CHUNK = 256
"""Losses are put away this many rows at a time, so an interrupted run goes on from there."""


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
    keys = [
        key_of(
            "row-loss-1",
            base.source.weights,
            base.dtype,
            row.ids,
            [place for place, scored in enumerate(row.trained) if scored],
        )
        for row in rows
    ]
    known: dict[str, RowLoss] = {}
    if memory is not None:
        known = {
            key: RowLoss(float(nats), int(tokens))
            for key, (nats, tokens) in memory.get(dict.fromkeys(keys)).items()
        }
    wanted = {key: i for i, key in enumerate(keys) if key not in known}
    missing = sorted(wanted.values(), key=lambda i: (len(rows[i].ids), i))
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]

        def progress(done: int, _: int, start: int = start) -> None:
            if report:
                report(start + done, len(missing))

        losses = row_losses(base.model, [rows[i] for i in chunk], pad_id, progress)
        fresh = {keys[i]: loss for i, loss in zip(chunk, losses, strict=True)}
        if memory is not None:
            memory.put({key: [loss.nats, loss.tokens] for key, loss in fresh.items()})
        known |= fresh
    return [known[key] for key in keys]
