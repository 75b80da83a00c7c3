"""Frozen features of windows of text, computed once and remembered; no head needs the model.

A reader is a language model (one layer, one pooling) or a sentence encoder. `passes` counts the
windows that went through it: what the memory knew does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import numpy as np

from molting.core.config import fingerprint
from molting.core.errors import UsageError
from molting.core.progress import Progress
from molting.memory.embeddings import Remembered
from molting.memory.states import FrozenModel, remembered_states
from molting.memory.store import Memory
from molting.models.encoders import load_encoder
from molting.models.states import POOLINGS, StateReader, model_shape, token_rows

Floats = np.ndarray[Any, np.dtype[np.float32]]
_ENCODERS = ("minilm", "static", "fake-encoder")
"""`fake` is a base model's name too, so the fake encoder has a longer one."""


class FeatureSettings(msgspec.Struct, frozen=True):
    """Which model's features, and how they are taken; part of a detector at rest."""

    model: str
    """A base model or an encoder by name."""
    layer: int | None
    """None: the middle one. Encoders have no layers."""
    pooling: str
    dtype: str = "auto"


class Reader(Protocol):
    """Windows to rows."""

    @property
    def passes(self) -> int:
        """Windows that went through the model so far."""

    @property
    def settings(self) -> FeatureSettings:
        """With everything chosen that was left open."""

    @property
    def id(self) -> str:
        """`b2:` hash of all that a row depends on besides the text."""

    def read(self, texts: Sequence[str]) -> Floats:
        """float32, shape (len(texts), width)."""


class ModelReader:
    """Pooled hidden states of one layer. The weights are loaded when a window is not remembered."""

    def __init__(self, settings: FeatureSettings, memory: Memory, progress: Progress) -> None:
        from molting.models.machine import choose_dtype
        from molting.models.sources import find_model

        if settings.pooling not in POOLINGS:
            raise UsageError(f"no pooling {settings.pooling!r}; one of {', '.join(POOLINGS)}")
        self._memory, self._progress = memory, progress
        self._source = find_model(settings.model, None, progress)
        shape = model_shape(self._source)
        layer = shape.layers // 2 if settings.layer is None else settings.layer
        if not 0 <= layer <= shape.layers:
            raise UsageError(
                f"{settings.model} has no layer {layer}; give one from 0 to {shape.layers}"
            )
        self._layer, self._most = layer, min(shape.context_tokens, 512)
        dtype = choose_dtype(settings.dtype)
        self._model = FrozenModel(self._source.weights, dtype, shape.width)
        self._states: StateReader | None = None
        self.settings = msgspec.structs.replace(settings, layer=layer, dtype=dtype)
        self.id = fingerprint("states", self._source.weights, dtype, layer, settings.pooling)

    @property
    def passes(self) -> int:
        return self._states.passes if self._states else 0

    def read(self, texts: Sequence[str]) -> Floats:
        pooled_N1PD = remembered_states(
            self._memory,
            self._model,
            self._loaded,
            token_rows(self._source, texts, self._most),
            (self._layer,),
            lambda done, total: self._progress.step("features", done, total),
        )
        found: Floats = pooled_N1PD[:, 0, POOLINGS.index(self.settings.pooling)]
        return found

    def _loaded(self) -> StateReader:
        from molting.models.base import load_model

        if self._states is None:
            self._states = StateReader(load_model(self._source, self._model.dtype))
        return self._states


class EncoderReader:
    """Rows of a sentence encoder."""

    def __init__(self, settings: FeatureSettings, memory: Memory, progress: Progress) -> None:
        if settings.layer is not None:
            raise UsageError(f"{settings.model} is an encoder and has one row a text; no --layer")
        name = settings.model.removesuffix("-encoder")
        self._inner = _Counting(load_encoder(name, progress=progress, dtype=settings.dtype))
        self._remembered = Remembered(self._inner, memory)
        self.settings = msgspec.structs.replace(settings, pooling="mean")
        self.id = self._inner.id

    @property
    def passes(self) -> int:
        return self._inner.passes

    def read(self, texts: Sequence[str]) -> Floats:
        return self._remembered.encode(texts)


class _Counting:
    """An encoder that counts its texts."""

    def __init__(self, encoder: Any) -> None:
        self.encoder, self.passes = encoder, 0
        self.name, self.id = encoder.name, encoder.id

    def encode(self, texts: Sequence[str]) -> Floats:
        self.passes += len(texts)
        rows: Floats = self.encoder.encode(texts)
        return rows


def open_reader(settings: FeatureSettings, memory: Memory, progress: Progress) -> Reader:
    """The reader of a base model, or of an encoder where the name is one."""
    if settings.model in _ENCODERS:
        return EncoderReader(settings, memory, progress)
    return ModelReader(settings, memory, progress)
