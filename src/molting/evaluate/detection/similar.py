"""Features of texts like earlier ones, taken over with a measured error. Off unless asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.progress import Progress
from molting.evaluate.detection.features import FeatureSettings, Floats, Reader
from molting.memory.similar import Answer, SimilarTier
from molting.memory.store import Memory
from molting.models.encoders import load_encoder

_SAMPLE = 20
"""Reused windows that are read exactly as well, to say how wrong the others are."""


class SimilarReader:
    """A `Reader` that asks another one only about texts unlike all that it has seen."""

    def __init__(
        self, reader: Reader, memory: Memory, least: float, progress: Progress, encoder: str = ""
    ) -> None:
        # The fake's features cost nothing, so neither does the encoder that is to save them.
        cheap = encoder or ("fake" if reader.settings.model.startswith("fake") else "static")
        self._reader, self._least = reader, least
        self._tier = SimilarTier(memory, load_encoder(cheap, progress=progress), reader.id, least)
        self._answer: Answer | None = None

    @property
    def passes(self) -> int:
        return self._reader.passes

    @property
    def settings(self) -> FeatureSettings:
        return self._reader.settings

    @property
    def id(self) -> str:
        return self._reader.id

    def read(self, texts: Sequence[str]) -> Floats:
        different = list(dict.fromkeys(texts))
        self._answer = self._tier.answer(different, self._reader.read, _SAMPLE, 0)
        place = {text: i for i, text in enumerate(different)}
        found: Floats = np.asarray(self._answer.values)[[place[text] for text in texts]]
        return found

    def told(self) -> dict[str, Any] | None:
        """Of the last reading: how many windows are another's, and how wrong those are."""
        if self._answer is None:
            return None
        return {
            "least_cosine": self._least,
            "windows": len(self._answer.reused),
            "reused": sum(self._answer.reused),
            "relative_error": msgspec.to_builtins(self._answer.error),
        }
