"""Which state is kept and when training stops: rules over the evaluations so far, nothing else.

A record of the history has `epoch`, `validation_loss` (for DPO `preference_loss`, which counts
instead) and, where it was asked for, `personality` (0 to 1, higher is better).

    kept   without personality: the first epoch with the lowest loss. With it: of the epochs whose
           loss is within `tolerance` nats of the lowest, the one with the best personality; ties
           go to the lower loss, then to the earlier epoch.
    stop   after `patience` evaluations in a row of which none brought the lowest loss so far or
           the state that is kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class _Evaluated(NamedTuple):
    epoch: int
    loss: float
    personality: float | None


def kept_epoch(history: Sequence[Mapping[str, Any]], tolerance: float) -> int:
    """The epoch whose state is kept; 0, the untouched model, where no loss is a number."""
    finite = _finite(history)
    if not finite:
        return 0
    first = _lowest(finite)
    near = [e for e in finite if e.loss <= first.loss + tolerance and e.personality is not None]
    return min(near, key=_rank).epoch if near else first.epoch


def open_epochs(history: Sequence[Mapping[str, Any]], tolerance: float) -> set[int]:
    """Epochs that are kept now, or could be once more evaluations are known.

    The lowest loss only ever falls, so what is out of reach stays so; and an epoch that another
    one beats in both loss and personality is never kept.
    """
    finite = _finite(history)
    if not finite:
        return {0}
    first = _lowest(finite)
    near = [e for e in finite if e.loss <= first.loss + tolerance and e.personality is not None]
    beaten = {
        e.epoch for e in near for other in near if other.loss <= e.loss and _rank(other) < _rank(e)
    }
    return {first.epoch} | {e.epoch for e in near if e.epoch not in beaten}


def exhausted(history: Sequence[Mapping[str, Any]], tolerance: float, patience: int) -> bool:
    """Whether the last `patience` evaluations have brought nothing."""
    since = 0
    for i in range(1, len(history)):
        before, now = _finite(history[:i]), _finite(history[: i + 1])
        epoch = history[i]["epoch"]
        lowest = len(now) > len(before) and _lowest(now).epoch == epoch
        since = 0 if lowest or kept_epoch(history[: i + 1], tolerance) == epoch else since + 1
    return since >= patience


def loss_of(record: Mapping[str, Any]) -> float:
    """The loss that decides."""
    return float(record.get("preference_loss", record["validation_loss"]))


def _finite(history: Sequence[Mapping[str, Any]]) -> list[_Evaluated]:
    found = []
    for record in history:
        loss, personality = loss_of(record), record.get("personality")
        if personality is not None and not math.isfinite(personality):
            personality = None
        if math.isfinite(loss):
            found.append(_Evaluated(record["epoch"], loss, personality))
    return found


def _lowest(finite: Sequence[_Evaluated]) -> _Evaluated:
    return min(finite, key=lambda e: (e.loss, e.epoch))


def _rank(evaluated: _Evaluated) -> tuple[float, float, int]:
    """Smaller is better."""
    return -(evaluated.personality or 0.0), evaluated.loss, evaluated.epoch
