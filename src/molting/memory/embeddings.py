"""Embeddings by content: the same text never passes the same encoder twice.

Rows are kept as float16 (their cosines move by less than 0.001) and come back rounded the first
time too, so that a result does not depend on what the memory held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from molting.memory.store import Memory, kind_of
from molting.models.vectors import Encoder, Rows, unit

_CHUNK = 4096
"""Rows are put away this many at a time, so that an interrupted run goes on from there."""


class Remembered:
    """An encoder with a memory; itself an `Encoder`. Leave it out for sets of millions of texts:
    a static encoder is then faster than looking up."""

    def __init__(self, encoder: Encoder, memory: Memory) -> None:
        self.encoder, self.memory = encoder, memory

    @property
    def name(self) -> str:
        return self.encoder.name

    @property
    def id(self) -> str:
        return self.encoder.id

    def encode(self, texts: Sequence[str]) -> Rows:
        """As the encoder's own, to float16 accuracy."""
        import numpy as np

        different = list(dict.fromkeys(texts))
        keys = [_key("embedding-1", self.id, text) for text in different]
        known = {
            key: np.frombuffer(raw, np.float16)
            for key, raw in self.memory.get_bytes(keys).items()
            if len(raw) and len(raw) % 2 == 0
        }
        missing = [i for i, key in enumerate(keys) if key not in known]
        for start in range(0, len(missing), _CHUNK):
            chunk = missing[start : start + _CHUNK]
            rows = self.encoder.encode([different[i] for i in chunk]).astype(np.float16)
            self.memory.put_bytes(
                {keys[i]: row.tobytes() for i, row in zip(chunk, rows, strict=True)}
            )
            known |= {keys[i]: row for i, row in zip(chunk, rows, strict=True)}
        if not texts:
            return self.encoder.encode([])
        place = {text: i for i, text in enumerate(different)}
        table = unit(np.stack([known[key] for key in keys]))
        return table[[place[text] for text in texts]]


def remembered_values(
    memory: Memory,
    kind: Any,
    items: Sequence[Any],
    width: int,
    compute: Callable[[Any], Any],
) -> Any:
    """float32 values, shape (len(items), width): `compute(places)` for the items not yet known.

    `kind` says all that the values depend on besides the item.
    """
    import numpy as np

    keys = [_key("values-1", kind, item) for item in items]
    found = np.zeros((len(items), width), np.float32)
    raw = memory.get_bytes(dict.fromkeys(keys))
    whole = {key: value for key, value in raw.items() if len(value) == 4 * width}
    missing: dict[str, int] = {}
    for i, key in enumerate(keys):
        if key in whole:
            found[i] = np.frombuffer(whole[key], np.float32)
        else:
            missing.setdefault(key, i)
    if missing:
        fresh = np.asarray(compute(np.array(list(missing.values()))), np.float32)
        rows = dict(zip(missing, fresh, strict=True))
        memory.put_bytes({key: row.tobytes() for key, row in rows.items()})
        for i, key in enumerate(keys):
            if key in rows:
                found[i] = rows[key]
    return found


def _key(*parts: Any) -> str:
    # `repr` takes any text, lone surrogates too, and tells ("a", "b") from ("ab",).
    return (
        kind_of(parts)
        + ":"
        + hashlib.blake2b(repr(parts).encode("utf-8"), digest_size=16).hexdigest()
    )
