"""Many replies at once through the engine: a finished reply's place goes to the next prompt."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from molting.models.engine import Engine, KeyValues, common_prefix

MOST_ROWS = 64
"""On two cores a product of 64 rows runs at nine tenths of the speed of 256 (measured)."""
CACHE_BYTES = 512 << 20
_LEAST_PREFIX, _LEAST_KEPT_APART = 8, 64
"""A shared prefix is read once from the first length on; from the second on it is kept once too, and
below it is copied into every row's cache, where a step then has one product less a layer."""
_PREFILL_TOKENS = 2048
"""Padded prompt tokens read in one pass: bounds the memory of activations."""


@dataclass
class _Row:
    index: int
    uniform: np.ndarray
    length: int
    """Tokens in the cache; a shared prefix that is kept apart not counted."""
    said: list[int] = field(default_factory=list)


def decode(
    engine: Engine,
    prompts: Sequence[tuple[int, ...]],
    most_new: int,
    uniform: Callable[[int], np.ndarray],
    choose: Callable[[Any, np.ndarray], Any],
    stop_ids: frozenset[int],
) -> Iterator[tuple[int, list[int], bool]]:
    """Yield (prompt index, token ids, ended by a stop token) as replies end.

    `uniform(i)` are the random numbers of reply i, one a token; `choose` turns float logits
    (B, V) and B random numbers into token ids.
    """
    if not prompts:
        return
    shared = common_prefix(prompts, _LEAST_PREFIX)
    prefix = engine.prefix(prompts[0][:shared]) if shared else None
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    queue = deque(order)
    batch = _Batch(engine, prefix, most_new)
    while queue or batch.rows:
        if queue and batch.wants_more(len(prompts[queue[0]]) - shared):
            taken = batch.take(queue, [len(prompt) - shared for prompt in prompts])
            fresh = [_Row(i, uniform(i), len(prompts[i]) - shared + batch.copied) for i in taken]
            hidden_BD = batch.read(fresh, [prompts[i][shared:] for i in taken])
            asked = fresh
        else:
            hidden_BD = batch.step()
            asked = batch.rows
        draw = np.array([row.uniform[len(row.said)] for row in asked])
        next_B = choose(engine.logits(hidden_BD).float(), draw).tolist()
        ended: list[_Row] = []
        for row, token in zip(asked, next_B, strict=True):
            if token in stop_ids:
                ended.append(row)
                yield row.index, row.said, True
                continue
            row.said.append(token)
            if len(row.said) == most_new:
                ended.append(row)
                yield row.index, row.said, False
        batch.drop(ended)


class _Batch:
    """The rows that are being answered; row b's keys and values stand at place b of the cache."""

    def __init__(self, engine: Engine, prefix: KeyValues | None, most_new: int) -> None:
        self.engine, self.prefix, self.most_new = engine, prefix, most_new
        length = 0 if prefix is None else int(prefix.keys.shape[3])
        self.copied = length if length < _LEAST_KEPT_APART else 0
        """Tokens of a prefix that stand at the beginning of every row's own cache."""
        self.rows: list[_Row] = []
        self.cache: KeyValues | None = None

    def wants_more(self, length: int) -> bool:
        """Whether it is time to read new prompts: one at a time would be slow."""
        places = self._places(length)
        return not self.rows or places - len(self.rows) >= max(1, places // 8)

    def take(self, queue: deque[int], lengths: Sequence[int]) -> list[int]:
        """The next prompts that fit, shortest first."""
        taken: list[int] = []
        while queue:
            length = lengths[queue[0]]
            full = len(self.rows) + len(taken) + 1 > self._places(length)
            wide = (len(taken) + 1) * length > _PREFILL_TOKENS
            if taken and (full or wide):
                break
            taken.append(queue.popleft())
        return taken

    def read(self, fresh: list[_Row], prompts: Sequence[Sequence[int]]) -> Any:
        """Read new prompts; hidden states (B, D) of their last tokens."""
        import torch

        copied = self.copied
        width = max(map(len, prompts))
        cache = self._room(len(self.rows) + len(fresh), copied + width)
        tokens_BT = torch.zeros((len(fresh), width), dtype=torch.long)
        for b, ids in enumerate(prompts):
            tokens_BT[b, : len(ids)] = torch.tensor(ids)
        start, end = len(self.rows), len(self.rows) + len(fresh)
        if copied and self.prefix is not None:
            for mine, theirs in zip(cache, self.prefix, strict=True):
                mine[:, start:end, :, :copied] = theirs
        part = KeyValues(*(tensor[:, start:end, :, copied:] for tensor in cache))
        hidden_BTD = self.engine.read(tokens_BT.to(self.engine.device), part, self.prefix)
        self.rows += fresh
        last_B = torch.tensor([len(ids) - 1 for ids in prompts], device=self.engine.device)
        return hidden_BTD[torch.arange(len(fresh), device=self.engine.device), last_B]

    def step(self) -> Any:
        """One more token a row; hidden states (B, D)."""
        import torch

        device = self.engine.device
        cache = self._room(len(self.rows), max(row.length for row in self.rows) + 1)
        token_B = torch.tensor([row.said[-1] for row in self.rows], device=device)
        length_B = torch.tensor([row.length for row in self.rows], device=device)
        apart = None if self.copied else self.prefix
        hidden_BD = self.engine.step(token_B, length_B, cache, apart)
        for row in self.rows:
            row.length += 1
        return hidden_BD

    def drop(self, ended: list[_Row]) -> None:
        """Take rows out; rows from the end move into their places."""
        if not ended or self.cache is None:
            return
        gone = {id(row) for row in ended}
        count = len(self.rows) - len(ended)
        holes = [b for b, row in enumerate(self.rows[:count]) if id(row) in gone]
        movers = [b for b in range(count, len(self.rows)) if id(self.rows[b]) not in gone]
        for hole, mover in zip(holes, movers, strict=True):
            self.rows[hole] = self.rows[mover]
            used = self.rows[mover].length
            for tensor in self.cache:
                tensor[:, hole, :, :used] = tensor[:, mover, :, :used]
        del self.rows[count:]

    def _places(self, length: int) -> int:
        """How many rows with prompts of this length the cache may hold."""
        tokens = self.copied + length + self.most_new
        bytes_a_row = self.engine.cache_bytes() * _rounded(tokens)
        return max(1, min(MOST_ROWS, CACHE_BYTES // bytes_a_row))

    def _room(self, rows: int, tokens: int) -> KeyValues:
        """The cache, enlarged if it has no room for this; tokens come in steps of 32."""
        old = self.cache
        if old is not None and rows <= old.keys.shape[1] and tokens <= old.keys.shape[3]:
            return old
        had = old.keys.shape if old is not None else (0, 0, 0, 0, 0)
        self.cache = self.engine.new_cache(max(rows, had[1]), _rounded(max(tokens, had[3])))
        if old is not None:
            for new_tensor, old_tensor in zip(self.cache, old, strict=True):
                count = len(self.rows)
                new_tensor[:, :count, :, : had[3]] = old_tensor[:, :count]
        return self.cache


def _rounded(tokens: int) -> int:
    return math.ceil(tokens / 32) * 32
