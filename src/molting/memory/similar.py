"""PersLLM's second tier: for a text like one already seen, that one's value. Off unless asked for.

PersLLM (arXiv 2504.05411) looks values up by the signs of random projections of the features
themselves, which costs the pass that the look-up was to save. Here the signs are those of a cheap
encoder's rows (SimHash, Charikar 2002); what shares a bucket is compared by cosine. The value is
another text's and so is wrong by some amount: a sample is computed exactly each time, and the
error is part of the answer.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from molting.memory.store import Memory, key_of
from molting.models.vectors import Encoder

_TABLES, _BITS = 16, 12
"""Two texts at cosine .95 share a bucket of at least one table with probability .995, at .8 with
.65, and at .3 with .03."""
_SEED = 11


class Error(msgspec.Struct, frozen=True):
    """How far reused values are from the exact ones: |reused − exact| / |exact|, on a sample."""

    n: int
    mean: float | None
    low: float | None
    high: float | None
    """95 % interval of the mean; None for fewer than two."""
    worst: float | None


class Answer(msgspec.Struct, frozen=True):
    """Values, float32 (texts, width), which of them are another text's, and how wrong those are."""

    values: Any
    reused: tuple[bool, ...]
    error: Error


class SimilarTier:
    """Values of texts seen before, found by likeness."""

    def __init__(self, memory: Memory, encoder: Encoder, space: str, least: float) -> None:
        """`space` says all that a value depends on besides the text; `least` is a cosine."""
        import numpy as np

        self._memory, self._encoder, self._least = memory, encoder, least
        self._kind = "similar-" + hashlib.blake2b(f"{space} {encoder.id}".encode(), digest_size=6).hexdigest()  # fmt: skip
        self._planes: Any = None
        self._buckets: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        self._rows: list[Any] = []
        self._values: list[Any] = []
        keys = [key for (key,) in memory.rows(
            f"SELECT key FROM entries WHERE key > '{self._kind}:' AND key < '{self._kind};' "
            "ORDER BY key"
        )]  # fmt: skip
        for raw in memory.get_bytes(keys).values():
            width = int.from_bytes(raw[:4], "little")
            row = np.frombuffer(raw[4 : 4 + 4 * width], np.float32)
            self._index(row, np.frombuffer(raw[4 + 4 * width :], np.float32))

    def __len__(self) -> int:
        return len(self._rows)

    def answer(
        self, texts: Sequence[str], compute: Callable[[Sequence[str]], Any], sample: int, seed: int
    ) -> Answer:
        """Values of `texts`; `compute` gives the exact ones, for strangers and for the sample."""
        import numpy as np

        if not texts:
            return Answer(compute(texts), (), Error(0, None, None, None, None))
        rows = self._encoder.encode(texts)
        near = [self._nearest(row) for row in rows]
        strangers = [i for i, place in enumerate(near) if place is None]
        exact = dict(zip(strangers, compute([texts[i] for i in strangers]), strict=True))
        twin = {i: place for i, place in enumerate(near) if place is not None}
        known = list(twin)
        drawn = sorted(
            int(i)
            for i in np.random.default_rng(seed).permutation(known)[: min(sample, len(known))]
        )
        truth = dict(zip(drawn, compute([texts[i] for i in drawn]), strict=True))
        errors = [_error(self._values[twin[i]], truth[i]) for i in drawn]
        # What was computed exactly for the sample is used: it is there.
        exact |= truth
        values = np.stack([exact[i] if i in exact else self._values[twin[i]] for i in range(len(texts))])  # fmt: skip
        self._keep([(texts[i], rows[i], exact[i]) for i in exact])
        return Answer(values, tuple(i not in exact for i in range(len(texts))), _summary(errors))

    def _keep(self, fresh: Sequence[tuple[str, Any, Any]]) -> None:
        import numpy as np

        raw = {}
        for text, row, value in fresh:
            row, value = np.asarray(row, np.float32), np.asarray(value, np.float32)
            self._index(row, value)
            raw[key_of(self._kind, text)] = (
                len(row).to_bytes(4, "little") + row.tobytes() + value.tobytes()
            )
        self._memory.put_bytes(raw)

    def _index(self, row: Any, value: Any) -> None:
        for bucket in self._signs(row):
            self._buckets[bucket].append(len(self._rows))
        self._rows.append(row)
        self._values.append(value)

    def _nearest(self, row: Any) -> int | None:
        """Place of the most similar row at or above the threshold."""
        places = sorted({place for bucket in self._signs(row) for place in self._buckets[bucket]})
        if not places:
            return None
        import numpy as np

        cosines = np.stack([self._rows[place] for place in places]) @ row
        best = int(cosines.argmax())
        return places[best] if cosines[best] >= self._least else None

    def _signs(self, row: Any) -> list[tuple[int, int]]:
        """The row's bucket in each table."""
        import numpy as np

        if self._planes is None:
            shape = (_TABLES * _BITS, len(row))
            self._planes = np.random.default_rng(_SEED).standard_normal(shape)
        bits = (self._planes @ row > 0).reshape(_TABLES, _BITS)
        return [(table, int(code)) for table, code in enumerate(bits @ (1 << np.arange(_BITS)))]


def _error(reused: Any, exact: Any) -> float:
    import numpy as np

    return float(np.linalg.norm(reused - exact) / max(float(np.linalg.norm(exact)), 1e-12))


def _summary(errors: Sequence[float]) -> Error:
    if not errors:
        return Error(0, None, None, None, None)
    n, mean = len(errors), sum(errors) / len(errors)
    if n < 2:
        return Error(n, mean, None, None, max(errors))
    half = 1.96 * math.sqrt(sum((e - mean) ** 2 for e in errors) / (n - 1) / n)
    return Error(n, mean, max(0.0, mean - half), mean + half, max(errors))
