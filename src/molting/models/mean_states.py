"""States of a model's layer, pooled over the tokens that matter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from molting.models.engine import Engine
from molting.models.likelihood import by_length, collate
from molting.models.render import Rendered


def mean_states(
    engine: Engine, rows: Sequence[Rendered], pad_id: int
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean over each row's trained tokens of the engine's last state, shape (rows, width).

    The prompt is read but not counted, and with it the first token, whose state dwarfs all others.
    A row without trained tokens is NaN.
    """
    import torch

    found = np.full((len(rows), engine.width), np.nan)
    for indices in by_length(rows, 1024):
        some = [rows[i] for i in indices]
        batch = collate(some, pad_id, engine.device)
        with torch.inference_mode():
            states_BTD = engine.read(batch.ids_BT, None, None)
            for b, (i, row) in enumerate(zip(indices, some, strict=True)):
                places = [t for t, trained in enumerate(row.trained) if trained]
                if places:
                    found[i] = states_BTD[b, places].double().mean(0).cpu().numpy()
    return found
