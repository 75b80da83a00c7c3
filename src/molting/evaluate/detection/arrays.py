"""Names of arrays. Shapes: N samples, W windows, D width, K traits, C classes of a trait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]
Integers = np.ndarray[Any, np.dtype[np.int64]]
Numbers = np.ndarray[Any, np.dtype[Any]]
Tensors = dict[str, Floats]

UNKNOWN = -1
"""In a label matrix (N, K): the trait is not known of this sample."""


def pooled(sequences: Sequence[Floats]) -> Floats:
    """One row a writer: the mean over the windows, (N, D)."""
    return np.stack([sequence.mean(0) for sequence in sequences]).astype(np.float32)
