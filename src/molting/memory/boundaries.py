"""Boundary activations, remembered: what the frozen layers give for a row is computed once.

A row is kept in two parts: the head up to and with its first end-of-turn token (with a persona's
system prompt, the same in every row and so kept once), and the rest. Each part is computed by
itself and is a function of its tokens alone, so that the memory changes nothing, not even a bit.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from molting.memory.store import Memory, key_of
from molting.models.base import LoadedModel
from molting.models.below import Below, Past
from molting.models.render import Rendered
from molting.models.tuner import lowest_adapted

_LEAST_HEAD = 8
"""A shorter head is not worth a part of its own."""
_PASTS = 4
"""Keys and values of so many heads are held for the rows that follow them."""


class _Part(NamedTuple):
    """Tokens `start` to the end of `ids`; what stands before them is the head."""

    ids: tuple[int, ...]
    start: int

    @property
    def tokens(self) -> int:
        return len(self.ids) - self.start


class Boundaries:
    """For rows, the stream that enters the lowest adapted layer of a model."""

    def __init__(self, memory: Memory, base: LoadedModel, model: Any) -> None:
        """`model`: `base.model` wrapped by PEFT, for which `tunable` is true."""
        import torch

        self.memory, self.model = memory, model
        self.boundary = lowest_adapted(model)
        self.width = int(base.model.config.hidden_size)
        self.device = next(base.model.parameters()).device
        # Another version of PyTorch or another device rounds otherwise.
        self._made_by = (base.source.weights, base.dtype, self.device.type, str(torch.__version__))
        self._stops = base.stop_ids
        self._below: dict[int, Below] = {}
        self._pasts: OrderedDict[tuple[int, tuple[int, ...]], Past] = OrderedDict()
        self._keys: dict[_Part, str] = {}
        self.remembered = self.computed = 0
        """Parts of rows read from the memory, and parts that had to be computed."""

    @property
    def passes(self) -> int:
        """Forward passes of single layers below the boundary so far, each for a part of a row."""
        return self.passes_of_layers().total()

    def passes_of_layers(self) -> Counter[int]:
        """The same by the layer's number."""
        return sum((below.passes for below in self._below.values()), Counter())

    def told(self) -> dict[str, int]:
        """What happened below the boundary, for the molt's manifest."""
        return {
            "boundary": self.boundary,
            "layers": int(self.model.config.num_hidden_layers),
            "parts_remembered": self.remembered,
            "parts_computed": self.computed,
            "layer_passes": self.passes,
        }

    def __call__(self, rows: Sequence[Rendered]) -> list[Any]:
        """The stream (the row's tokens, D) of each row, float32, on the model's device."""
        import numpy as np
        import torch

        parts = [self._parts(row.ids) for row in rows]
        different = list(dict.fromkeys(part for of_row in parts for part in of_row))
        known = self._known(self.boundary, different)
        self.remembered += len(known)
        missing = [part for part in different if part not in known]
        # Behind the same head one after the other.
        for part in sorted(missing, key=lambda part: (part.ids[: part.start], part.ids)):
            known[part] = self._compute(part)
        if missing:
            self.computed += len(missing)
            self.memory.put_blocks(
                {self._key(self.boundary, part): known[part].data for part in missing}
            )
        return [
            torch.from_numpy(np.concatenate([known[part] for part in of_row])).to(self.device)
            for of_row in parts
        ]

    def fill(self, rows: Sequence[Rendered], at_once: int = 16) -> None:
        """Compute and remember what is missing."""
        for start in range(0, len(rows), at_once):
            self(rows[start : start + at_once])

    def _parts(self, ids: tuple[int, ...]) -> list[_Part]:
        end = next((i + 1 for i, token in enumerate(ids) if token in self._stops), 0)
        if end < _LEAST_HEAD or end == len(ids):
            return [_Part(ids, 0)]
        return [_Part(ids[:end], 0), _Part(ids, end)]

    def _key(self, boundary: int, part: _Part) -> str:
        if part not in self._keys:
            self._keys[part] = key_of("tokens", part.ids, part.start)
        return key_of("boundary-1", *self._made_by, boundary, self._keys[part])

    def _known(self, boundary: int, parts: Sequence[_Part]) -> dict[_Part, Any]:
        """float32 arrays (tokens, D) of the parts that are remembered, and whole."""
        import numpy as np

        keys = {self._key(boundary, part): part for part in parts}
        return {
            keys[key]: np.frombuffer(raw, np.float32).reshape(-1, self.width)
            for key, raw in self.memory.get_blocks(keys).items()
            if len(raw) == 4 * self.width * keys[key].tokens
        }

    def _compute(self, part: _Part) -> Any:
        """A part's stream at the boundary, from the highest remembered place below it."""
        head = _Part(part.ids[: part.start], 0)
        wanted = [part, head] if part.start else [part]
        for first in range(self.boundary - 1, 0, -1):
            known = self._known(first, wanted)
            if len(known) == len(wanted):
                return self._run(part, head, first, known)
        return self._run(part, head, 0, {})

    def _run(self, part: _Part, head: _Part, first: int, known: dict[_Part, Any]) -> Any:
        past = self._past(head, first, known) if part.start else None
        stream_TD, left = self._layers(first).run(self._entering(part, first, known), past)
        if not part.start:
            self._hold(part, first, left)
        return stream_TD.cpu().numpy()

    def _past(self, head: _Part, first: int, known: dict[_Part, Any]) -> Past:
        found = self._pasts.get((first, head.ids))
        if found is None:
            _, found = self._layers(first).run(self._entering(head, first, known), None)
            self._hold(head, first, found)
        return found

    def _hold(self, head: _Part, first: int, past: Past) -> None:
        self._pasts[first, head.ids] = past
        if len(self._pasts) > _PASTS:
            self._pasts.popitem(last=False)

    def _entering(self, part: _Part, first: int, known: dict[_Part, Any]) -> Any:
        import torch

        if first:
            return torch.from_numpy(known[part].copy()).to(self.device)
        return self._layers(0).embed(part.ids[part.start :])

    def _layers(self, first: int) -> Below:
        if first not in self._below:
            self._below[first] = Below(self.model, first, self.boundary)
        return self._below[first]
