"""Beside V: can the replies be told from the persona's own text, and which phrases give them away?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from molting.evaluate.battery import Battery
from molting.signals.two_sample import two_sample_auc

_SHOWN = 10


def caricature(
    battery: Battery,
    rows: Sequence[tuple[str, str]],
    own: Sequence[tuple[str, str]],
    plain: Sequence[str],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """`rows` and `own` are (prompt, reply) of the model and of the persona's held-out text.

    `two_sample_auc` 0.5: indistinguishable. `over_used`: phrases beyond the persona's own rate.
    """
    estimate = two_sample_auc(rows, own, resamples, seed)
    over = battery.mannerisms([p for p, _ in rows], [r for _, r in rows], plain)
    return {
        "two_sample_auc": msgspec.to_builtins(estimate),
        "over_used": [
            {
                "phrase": mannerism.phrase,
                "share": mannerism.share,
                "own_share": mannerism.own_share,
                "ratio": mannerism.ratio,
            }
            for mannerism in sorted(over, key=lambda m: -m.share)[:_SHOWN]
        ],
    }
