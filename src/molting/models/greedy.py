"""Would the model have written these very tokens, always taking the likeliest?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from molting.models.engine import Engine, inner_model
from molting.models.likelihood import HEAD_ROWS, by_length, collate
from molting.models.render import Rendered


def greedy_rows(
    model: Any, rows: Sequence[Rendered], pad_id: int, engine: Engine | None = None
) -> list[bool]:
    """For each row, whether every trained token is the likeliest one behind what stands before it.

    With an `engine` it computes them, and `model` is not asked.
    """
    import torch

    found = [False] * len(rows)
    device = engine.device if engine is not None else next(model.parameters()).device
    for indices in by_length(rows, 1024):
        batch = collate([rows[i] for i in indices], pad_id, device)
        with torch.inference_mode():
            if engine is not None:
                hidden_BTD = engine.read(batch.ids_BT, None, None)
                hidden_ND = hidden_BTD.flatten(0, 1)[batch.at_N]
                best = [
                    engine.logits(hidden_ND[start : start + HEAD_ROWS]).argmax(-1)
                    for start in range(0, len(hidden_ND), HEAD_ROWS)
                ]
                best_N = torch.cat(best) if best else batch.targets_N
            else:
                logits_BTV = inner_model(model)(
                    input_ids=batch.ids_BT, attention_mask=batch.attention_BT, use_cache=False
                ).logits
                best_N = logits_BTV.flatten(0, 1)[batch.at_N].argmax(-1)
        right_N = best_N == batch.targets_N
        for b, i in enumerate(indices):
            mine = right_N[batch.row_N == b]
            found[i] = bool(len(mine)) and bool(mine.all())
    return found
