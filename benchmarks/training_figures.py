"""From timed rounds to the figures of the training benchmark; plain arithmetic."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Found = dict[str, Any]
"""A round: {"trl": answer, "molting": answer}; an answer has seconds, losses and tokens."""

AGREE = 0.01
"""Losses of a step that differ by no more than this (relative) are the same training."""


def speed(answer: Found, clock: str = "seconds") -> float:
    """Tokens a second; every token of the rows counts, whether it was trained or computed."""
    return float(answer["tokens"]) / float(answer[clock])


def ratio(rounds: Sequence[Found]) -> Found:
    """Median, lowest and highest ratio of Molting's speed to TRL's over the rounds.

    The ratio of processor seconds, of all threads together, stands beside it: what else runs on a
    busy machine is not in it.
    """
    ratios = [speed(line["molting"]) / speed(line["trl"]) for line in rounds]
    processor = [
        speed(line["molting"], "processor_seconds") / speed(line["trl"], "processor_seconds")
        for line in rounds
    ]
    return {
        "over_trl": round(statistics.median(ratios), 3),
        "low": round(min(ratios), 3),
        "high": round(max(ratios), 3),
        "n_rounds": len(ratios),
        "over_trl_processor": round(statistics.median(processor), 3),
        "low_processor": round(min(processor), 3),
        "high_processor": round(max(processor), 3),
        "tokens_per_processor_second": {
            name: round(
                statistics.median(speed(line[name], "processor_seconds") for line in rounds), 1
            )
            for name in ("trl", "molting")
        },
        "tokens_per_second": {
            name: round(statistics.median(speed(line[name]) for line in rounds), 1)
            for name in ("trl", "molting")
        },
    }


def same_steps(rounds: Sequence[Found]) -> Found:
    """Whether both systems took the same steps, by the loss of each."""
    trl = [loss for line in rounds for loss in line["trl"]["losses"]]
    ours = [loss for line in rounds for loss in line["molting"]["losses"]]
    pairs = list(zip(trl, ours, strict=True))
    worst = max(abs(a - b) / max(abs(a), 1e-9) for a, b in pairs)
    return {
        "losses_compared": len(pairs),
        "largest_loss_difference": round(worst, 5),
        "same_losses": worst <= AGREE,
    }


def limit(gflops: float, body: int, head: int, trained_share: float) -> float:
    """Tokens a second if nothing but matrix products were done: 4 FLOPs a parameter and token, the
    head on trained tokens only."""
    return gflops * 1e9 / (4 * (body + head * trained_share))


def reached(curve: Sequence[float], loss: float) -> float | None:
    """Epochs until the held-out loss is down to `loss`, linear between epochs; None if never."""
    for epoch, (before, after) in enumerate(itertools.pairwise(curve)):
        if after <= loss:
            return epoch + (before - loss) / (before - after) if before > loss else float(epoch)
    return None


def seconds_for(epochs: float, epoch_seconds: Sequence[float]) -> float:
    """Seconds that the first `epochs` take, when each epoch takes what is said."""
    whole = math.floor(epochs)
    rest = epochs - whole
    return sum(epoch_seconds[:whole]) + (rest * epoch_seconds[whole] if rest else 0.0)


def fast_figures(
    rounds: Sequence[Found],
    first: Found,
    epoch_tokens: Sequence[int],
    curves: Mapping[str, Sequence[float]],
) -> Found:
    """Fast mode against TRL, by the clock (`seconds`) and by processor seconds.

    `first` is the epoch that fills the memory; `curves` has the held-out losses of `fast` and of
    `exact`, which stands for TRL's own, or is empty. The loss to be reached is the worse of the two
    best ones: the lowest that both reach.
    """
    target = needs = None
    if curves:
        target = max(min(curves["fast"]), min(curves["exact"]))
        needs = {name: reached(curve, target) for name, curve in curves.items()}
    same: dict[str, list[float]] = {"seconds": [], "processor_seconds": []}
    to_loss: dict[str, list[float]] = {"seconds": [], "processor_seconds": []}
    for clock in same:
        fill = 1 / speed(first, clock)
        for line in rounds:
            trl = [count / speed(line["trl"], clock) for count in epoch_tokens]
            later = 1 / speed(line["molting"], clock)
            fast = [count * (later if epoch else fill) for epoch, count in enumerate(epoch_tokens)]
            same[clock].append(sum(trl) / sum(fast))
            if needs and needs["fast"] and needs["exact"]:
                share = seconds_for(needs["exact"], trl) / seconds_for(needs["fast"], fast)
                to_loss[clock].append(share)
    found = ratio(rounds)
    speeds = found["tokens_per_second"] | {"molting_filling": round(speed(first), 1)}
    return {
        "over_trl": _median(to_loss["seconds"]),
        "low": round(min(to_loss["seconds"]), 3) if to_loss["seconds"] else None,
        "high": round(max(to_loss["seconds"]), 3) if to_loss["seconds"] else None,
        "n_rounds": len(rounds),
        "over_trl_processor": _median(to_loss["processor_seconds"]),
        "over_trl_same_steps": _median(same["seconds"]),
        "over_trl_same_steps_processor": _median(same["processor_seconds"]),
        "over_trl_once_remembered": found["over_trl"],
        "over_trl_once_remembered_processor": found["over_trl_processor"],
        "tokens_per_second": speeds,
        "held_out_loss_reached": target,
        "epochs_needed": needs,
        "curves": {name: [round(v, 4) for v in curve] for name, curve in curves.items()},
        "measured": (
            "first epoch of fast mode whole, then rounds in turn with TRL; seconds of a run are "
            "those speeds times the tokens of the epochs that each needs"
            + ("" if curves else "; held-out curves not measured, so only the same steps are told")
        ),
    }


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None
