"""Sentence encoders behind one protocol: texts in, unit rows out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from molting.core.artifacts import read_json

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]
    Rows = np.ndarray[Any, np.dtype[np.float32]]
else:
    # Whoever only names them need not load numpy.
    Array = Rows = Any


class Encoder(Protocol):
    """Texts to vectors; the cosine of two is their matrix product."""

    @property
    def name(self) -> str:
        """As a person wrote it."""

    @property
    def id(self) -> str:
        """`b2:` hash of everything a vector depends on; part of every key in the memory."""

    def encode(self, texts: Sequence[str]) -> Rows:
        """float32, shape (len(texts), width), rows of length 1. No tokens: a row of zeros."""


@runtime_checkable
class TokenEncoder(Protocol):
    """What an encoder with context can say besides: a state for each token."""

    def encode_tokens(self, texts: Sequence[str]) -> tuple[Rows, list[Rows], list[Rows]]:
        """The pooled rows of `encode`, and for each text its token states and token weights.

        States: float32, shape (tokens, width), rows of length 1, special tokens left out.
        Weights: float32, shape (tokens,), above 0, small for tokens of every-day words.
        """


def whole(texts: Sequence[str]) -> list[str]:
    """The texts with lone surrogates (half an emoji) replaced: tokenizers take only whole text."""
    return [t if t.isascii() else t.encode("utf-8", "replace").decode() for t in texts]


def unit(rows: Any) -> Rows:
    """Rows scaled to length 1; rows of zeros stay zeros."""
    import numpy as np

    rows = np.asarray(rows, np.float32)
    scaled: Rows = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
    return scaled


def module_names(folder: Path) -> list[str]:
    """The steps of a sentence-transformers folder: `["Transformer", "Pooling", …]`."""
    return [str(step["type"]).rpartition(".")[2] for step in read_json(folder / "modules.json")]
