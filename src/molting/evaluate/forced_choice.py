"""Forced choice F: would the model rather say the persona's own reply to a prompt than another one?

For each held-out prompt the persona's own reply meets four others, by length-normalised
log-probability (nats per token):

    base      the base's own reply to the prompt
    neutral   a neutral assistant's reply to some other prompt
    other     the persona's own reply to another prompt (the voice alone does not win this one)
    persona   another persona's reply to some other prompt

F is the mean over the four of the share of prompts that the own reply wins; a tie counts half.
The base has an F of its own, so what counts is the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.config import Evaluate
from molting.evaluate.heard import Heard, reply_row
from molting.evaluate.paired import paired_shares
from molting.evaluate.systems import Speaker
from molting.models.generate import Ended
from molting.models.likelihood import RowLoss
from molting.models.render import Rendered
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.stats import Array, cluster_bootstrap, weighted_mean

RIVALS = ("base", "neutral", "other", "persona")


def forced_choice(heard: Heard, speaker: Speaker, options: Evaluate) -> dict[str, Any] | None:
    """F of base and tuned, the gain, and shares by rival; None when it is switched off."""
    count = min(options.choices, len(heard.voiced))
    if count < 2:
        return None
    rows = choice_rows(heard, speaker, options)
    wins = {}
    for tuned in (False, True):
        losses = speaker.losses(tuned, rows, "forced choice")
        mine, theirs = losses[:count], losses[count:]
        wins[tuned] = {
            rival: won(mine, theirs[k * count : (k + 1) * count]) for k, rival in enumerate(RIVALS)
        }
    return choice_estimates(wins[False], wins[True], options)


def won(own: Sequence[RowLoss], rival: Sequence[RowLoss]) -> Array:
    """1 where the own reply is the likelier one by token, 0 where the rival is, ½ in a tie."""
    left, right = (
        np.array([-row.nats / row.tokens if row.tokens else np.nan for row in rows])
        for rows in (own, rival)
    )
    found = np.where(np.isclose(left, right, atol=1e-6), 0.5, (left > right).astype(float))
    return np.where(np.isfinite(left) & np.isfinite(right), found, np.nan)


def choice_estimates(
    base: dict[str, Array], tuned: dict[str, Array], options: Evaluate
) -> dict[str, Any]:
    """A prompt's value is its mean over the rivals that could be scored."""
    resamples, seed = options.resamples, options.seed
    before, after = (_by_prompt(wins) for wins in (base, tuned))
    known = np.isfinite(before) & np.isfinite(after)
    found: dict[str, Any] = {}
    for name, values in (("base", before), ("tuned", after)):

        def share(w: Array, values: Array = values) -> float:
            return weighted_mean(values, w)

        found[name] = msgspec.to_builtins(cluster_bootstrap(share, len(values), resamples, seed))
    gain = paired_shares(before[known], after[known], resamples, seed)
    found["gain"] = msgspec.to_builtins(gain)
    found["by_rival"] = {
        rival: {"base": _mean(base[rival]), "tuned": _mean(tuned[rival])} for rival in RIVALS
    }
    return found


def _by_prompt(wins: dict[str, Array]) -> Array:
    table = np.array([wins[rival] for rival in RIVALS])
    known = np.isfinite(table)
    counts = known.sum(0)
    totals = np.where(known, table, 0.0).sum(0)
    return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)


def _mean(values: Array) -> float | None:
    found = weighted_mean(values, np.ones(len(values)))
    return found if np.isfinite(found) else None


def choice_rows(heard: Heard, speaker: Speaker, options: Evaluate) -> list[Rendered]:
    """The own replies, then those of each rival in the order of `RIVALS`."""
    count = min(options.choices, len(heard.voiced))
    if count < 2:
        return []
    random = np.random.default_rng(options.seed)
    rows = heard.voiced[:count]
    neutral = [row.reply for row in neutral_replies()]
    personas = [row.reply for row in other_personas()]
    # A shift gives every prompt the reply of another one, and none its own.
    shift = int(random.integers(1, count))
    base = heard.replies["base"][0][:count]
    said: dict[str, list[tuple[str, Ended]]] = {
        "own": [(row.reply, Ended.stop) for row in rows],
        "base": [(reply.text, Ended(reply.ended)) for reply in base],
        "neutral": [(neutral[k], Ended.stop) for k in random.choice(len(neutral), count)],
        "other": [(rows[(i + shift) % count].reply, Ended.stop) for i in range(count)],
        "persona": [(personas[k], Ended.stop) for k in random.choice(len(personas), count)],
    }
    return [
        reply_row(speaker, row.context, text, ended)
        for kind in ("own", *RIVALS)
        for row, (text, ended) in zip(rows, said[kind], strict=True)
    ]
