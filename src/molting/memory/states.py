"""Pooled hidden states, remembered: no text passes the same frozen model twice.

The key is the weights, the dtype, the layer and the token ids. PersLLM (arXiv 2504.05411) looks
its features up by the sign of a projection of the features themselves, which costs the pass that
the look-up was to save; a hash of the input does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from molting.memory.store import Memory, key_of
from molting.models.states import POOLINGS, StateReader


class FrozenModel(NamedTuple):
    """What a pooled state depends on besides layer and tokens, known without loading the weights."""

    weights: str
    """`b2:` hash."""
    dtype: str
    width: int


def remembered_states(
    memory: Memory,
    model: FrozenModel,
    reader: Callable[[], StateReader],
    rows: Sequence[tuple[int, ...]],
    layers: Sequence[int],
    report: Callable[[int, int], None] | None = None,
) -> Any:
    """Pooled states, float32 (len(rows), len(layers), len(POOLINGS), width).

    `reader` is called when something has to be computed. Every batch is put away as soon as it is computed, so an interrupted run goes on from there.
    """
    import numpy as np

    size = len(POOLINGS) * model.width
    found = np.zeros((len(rows), len(layers), len(POOLINGS), model.width), np.float32)
    places: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row, []).append(i)
    keys = {
        row: [key_of("state-1", model.weights, model.dtype, layer, row) for layer in layers]
        for row in places
    }
    known = {
        key: raw
        for key, raw in memory.get_bytes(key for some in keys.values() for key in some).items()
        if len(raw) == 4 * size
    }
    missing = []
    for row, some in keys.items():
        if all(key in known for key in some):
            pooled = np.stack([np.frombuffer(known[key], np.float32) for key in some])
            found[places[row]] = pooled.reshape(found.shape[1:])
        else:
            missing.append(row)
    count = 0

    def done(batch: Sequence[int], pooled_BLPD: Any) -> None:
        nonlocal count
        fresh: dict[str, bytes] = {}
        for k, i in enumerate(batch):
            row = missing[i]
            found[places[row]] = pooled_BLPD[k]
            fresh |= {key: pooled_BLPD[k, layer].tobytes() for layer, key in enumerate(keys[row])}
        memory.put_bytes(fresh)
        count += len(batch)
        if report:
            report(count, len(missing))

    if missing:
        reader().read(missing, layers, done)
    return found
