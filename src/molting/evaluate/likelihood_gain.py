"""Likelihood gain L: what the tune gained on the persona's words, beyond what it gained on any.

    gain(text) = nats per token under the base − nats per token under the tuned model
    L          = gain(held-out persona replies) − gain(neutral replies to the same prompts)

Neutral replies are the base's own. Nothing is sampled anew, so L has the least noise of all. A model
that merely forgets loses on both and most on the base's own words, so L alone could rise: it counts
as a gain only where the persona's own part is above 0 as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.config import Evaluate
from molting.evaluate.heard import Heard, reply_row
from molting.evaluate.systems import Speaker
from molting.models.likelihood import RowLoss
from molting.signals.stats import Array, cluster_bootstrap


class Gains(msgspec.Struct, frozen=True):
    """Sums of one kind of text, one entry a prompt."""

    nats: Array
    """Base minus tuned."""
    tokens: Array

    def mean(self, weights: Array) -> float:
        """Nats per token; a long reply weighs more than a short one, as in perplexity."""
        total = float(weights @ self.tokens)
        return float(weights @ self.nats / total) if total else float("nan")


def likelihood_gain(heard: Heard, speaker: Speaker, options: Evaluate) -> dict[str, Any] | None:
    """L, its two parts and their intervals by prompt; None when it is switched off."""
    rows = heard.voiced[: options.choices]
    if not rows:
        return None
    own = [reply_row(speaker, row.context, row.reply) for row in rows]
    neutral = [
        reply_row(speaker, row.context, reply.text, reply.ended)
        for row, reply in zip(rows, heard.replies["base"][0], strict=False)
    ]
    both = [*own, *neutral]
    base, tuned = (speaker.losses(on, both, "likelihood gain") for on in (False, True))
    count = len(rows)
    return gain_estimates(
        gains(base[:count], tuned[:count]), gains(base[count:], tuned[count:]), options
    )


def gains(base: Sequence[RowLoss], tuned: Sequence[RowLoss]) -> Gains:
    nats = [b.nats - t.nats for b, t in zip(base, tuned, strict=True)]
    return Gains(np.array(nats, dtype=float), np.array([b.tokens for b in base], dtype=float))


def gain_estimates(persona: Gains, neutral: Gains, options: Evaluate) -> dict[str, Any]:
    """`gain` is L; `persona` and `neutral` are its parts. Paired by prompt."""
    count, resamples, seed = len(persona.nats), options.resamples, options.seed
    statistics = {
        "gain": lambda w: persona.mean(w) - neutral.mean(w),
        "persona": persona.mean,
        "neutral": neutral.mean,
    }
    return {
        name: msgspec.to_builtins(cluster_bootstrap(statistic, count, resamples, seed))
        for name, statistic in statistics.items()
    }
