"""Losses of rows with an adapter or without it, remembered: equal tokens are scored once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from molting.memory.store import Memory, key_of
from molting.models.likelihood import RowLoss
from molting.models.render import Rendered

_CHUNK = 256
"""Losses are put away this many rows at a time, so an interrupted evaluation goes on from there."""


def remembered_scores(
    memory: Memory,
    kind: Sequence[str],
    rows: Sequence[Rendered],
    compute: Callable[[list[Rendered]], list[RowLoss]],
    report: Callable[[int, int], None] | None = None,
) -> list[RowLoss]:
    """`compute` for the rows that are not known yet; losses in the rows' order.

    `kind` says all that a loss depends on besides the row: weights, adapter, dtype.
    """
    keys = [
        key_of("scored-1", *kind, row.ids, [i for i, trained in enumerate(row.trained) if trained])
        for row in rows
    ]
    known = {
        key: RowLoss(float(nats), int(tokens))
        for key, (nats, tokens) in memory.get(dict.fromkeys(keys)).items()
    }
    wanted = {key: i for i, key in enumerate(keys) if key not in known}
    # Like lengths together: a chunk is batched by itself.
    missing = sorted(wanted.values(), key=lambda i: (len(rows[i].ids), i))
    for start in range(0, len(missing), _CHUNK):
        chunk = missing[start : start + _CHUNK]
        losses = compute([rows[i] for i in chunk])
        fresh = {keys[i]: loss for i, loss in zip(chunk, losses, strict=True)}
        memory.put({key: [loss.nats, loss.tokens] for key, loss in fresh.items()})
        known |= fresh
        if report:
            report(start + len(chunk), len(missing))
    return [known[key] for key in keys]
