"""What a model says of rows, with an adapter or without it, remembered: equal tokens pass once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from molting.memory.store import Memory, key_of
from molting.models.likelihood import RowLoss
from molting.models.render import Rendered

_CHUNK = 256
"""Values are put away this many rows at a time, so an interrupted evaluation goes on from there."""
_DIGITS = 4


def remembered_scores(
    memory: Memory,
    kind: Sequence[str],
    rows: Sequence[Rendered],
    compute: Callable[[list[Rendered]], list[RowLoss]],
    report: Callable[[int, int], None] | None = None,
) -> list[RowLoss]:
    """Losses of the rows in their order; `compute` for those that are not known yet.

    `kind` says all that a loss depends on besides the row: weights, adapter, dtype.
    """

    def pairs(missing: list[Rendered]) -> list[list[float]]:
        # Rounded: the last digits depend on which rows are batched together, and with that on what
        # the memory held.
        return [[round(loss.nats, _DIGITS), loss.tokens] for loss in compute(missing)]

    found = remembered_rows(memory, ("scored-1", *kind), rows, pairs, report)
    return [RowLoss(float(nats), int(tokens)) for nats, tokens in found]


def remembered_rows(
    memory: Memory | None,
    kind: Sequence[str],
    rows: Sequence[Rendered],
    compute: Callable[[list[Rendered]], Sequence[Any]],
    report: Callable[[int, int], None] | None = None,
    chunk_rows: int = _CHUNK,
) -> list[Any]:
    """A value of each row, as JSON has it, in the rows' order.

    Without a memory equal rows are still computed once.
    """
    keys = [
        key_of(*kind, row.ids, [place for place, trained in enumerate(row.trained) if trained])
        for row in rows
    ]
    known = memory.get(dict.fromkeys(keys)) if memory is not None else {}
    wanted = {key: i for i, key in enumerate(keys) if key not in known}
    # Like lengths together: a chunk is batched by itself.
    missing = sorted(wanted.values(), key=lambda i: (len(rows[i].ids), i))
    for start in range(0, len(missing), chunk_rows):
        chunk = missing[start : start + chunk_rows]
        values = compute([rows[i] for i in chunk])
        fresh = {keys[i]: value for i, value in zip(chunk, values, strict=True)}
        if memory is not None:
            memory.put(fresh)
        known |= fresh
        if report:
            report(start + len(chunk), len(missing))
    return [known[key] for key in keys]
