"""What the tune has cost: neutral perplexity and questions that have nothing to do with a persona.

Every gate is a paired difference between tuned and base with an interval and a margin: passed when
even the interval's worse end stays within the margin, failed when the loss is clear and larger than
the margin, undecided (None) when the items are too few to tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from molting.core.config import Config
from molting.core.conversation import Conversation, Source, Turn
from molting.core.errors import InputError
from molting.evaluate.choices import item_rows, right_answers, start_token
from molting.evaluate.items import Asked, ItemSet, shipped_sets
from molting.evaluate.paired import kept, paired_shares, perplexity_ratio
from molting.evaluate.systems import Speaker
from molting.models.likelihood import RowLoss, mean_loss, perplexity
from molting.models.render import Rendered
from molting.signals.contrast import neutral_replies

_WINDOWS = 40
_WINDOW_TOKENS = 256
_UNSCORED_TOKENS = 32
"""Of each window: without anything before them, tokens tell more of the cut than of the model."""


def retention(config: Config, speaker: Speaker, asked: Asked) -> dict[str, Any]:
    """By task: base, tuned, the tuned value's interval by pairing, n, margin, passed."""
    found = {
        name: perplexity_entry(speaker.losses(False, rows), speaker.losses(True, rows), config)
        for name, rows in neutral_rows(speaker, asked).items()
    }
    return found | {
        items.name: accuracy(items, config, speaker) for items in (*shipped_sets(), *asked.sets)
    }


def retention_rows(speaker: Speaker, asked: Asked) -> list[list[Rendered]]:
    """All rows that `retention` asks the loss of; rows of one list begin alike or not at all."""
    limit = speaker.base.context_tokens
    sets = [items for items in (*shipped_sets(), *asked.sets) if items.kind != "continuation"]
    return [
        *neutral_rows(speaker, asked).values(),
        *(item_rows(items, speaker, limit) for items in sets),
    ]


def neutral_rows(speaker: Speaker, asked: Asked) -> dict[str, list[Rendered]]:
    """Texts whose perplexity is watched, by task: the shipped replies, and the text of molting.toml."""
    rows = {"neutral_perplexity": _shipped_rows(speaker)}
    if asked.text is not None:
        name, text = asked.text
        rows[f"{name}_perplexity"] = windows(text, name, speaker)
    return rows


def accuracy(items: ItemSet, config: Config, speaker: Speaker) -> dict[str, Any]:
    """Share of right answers, base and tuned."""
    options = config.evaluate
    limit = speaker.base.context_tokens
    base = right_answers(items, speaker, False, limit)
    tuned = right_answers(items, speaker, True, limit)
    groups = [item.group or f"\0{i}" for i, item in enumerate(items.items)]
    difference = paired_shares(base, tuned, options.resamples, options.seed, groups)
    floor = float(base.mean())
    margin = options.retention_margin / 100

    def beyond(change: float | None) -> float | None:
        return None if change is None else floor + change

    return {
        "measure": "accuracy",
        "base": floor,
        "tuned": float(tuned.mean()),
        # The interval is that of the tuned value, from the paired difference.
        "low": beyond(difference.low),
        "high": beyond(difference.high),
        "n": len(items.items),
        "margin": margin,
        "passed": kept(difference.low, difference.value, difference.high, margin),
    }


def perplexity_entry(
    base: Sequence[RowLoss], tuned: Sequence[RowLoss], config: Config
) -> dict[str, Any]:
    """Perplexities of the same rows; the margin is a share of the base's."""
    ratio = perplexity_ratio(base, tuned, config.evaluate)
    before, after = perplexity(mean_loss(base)), perplexity(mean_loss(tuned))
    margin = config.evaluate.perplexity_margin / 100

    def lost(change: float | None) -> float | None:
        return None if change is None else 1 - change

    return {
        "measure": "perplexity",
        "base": before if np.isfinite(before) else None,
        "tuned": after if np.isfinite(after) else None,
        # The interval is that of the tuned value, from the paired ratio.
        "low": None if ratio.low is None else ratio.low * before,
        "high": None if ratio.high is None else ratio.high * before,
        "n": len(base),
        "margin": margin,
        "passed": kept(lost(ratio.high), lost(ratio.value), lost(ratio.low), margin),
    }


def windows(text: str, shown: str, speaker: Speaker) -> list[Rendered]:
    """Windows of a plain text, evenly spaced, none overlapping; one row each."""
    ids = speaker.base.tokenizer(text, add_special_tokens=False)["input_ids"]
    size = min(_WINDOW_TOKENS, speaker.base.context_tokens - 1)
    places = len(ids) // size
    if not places:
        raise InputError(f"has {len(ids)} tokens; at least {size} are needed", file=shown)
    start = start_token(speaker)
    count = min(_WINDOWS, places)
    rows = []
    for k in range(count):
        at = k * places // count * size
        scored = [False] * (1 + _UNSCORED_TOKENS) + [True] * (size - _UNSCORED_TOKENS)
        rows.append(Rendered((start, *ids[at : at + size]), tuple(scored), False))
    return rows


def _shipped_rows(speaker: Speaker) -> list[Rendered]:
    return [
        speaker.renderer.row(
            Conversation(
                (Turn("user", row.prompt), Turn("assistant", row.reply)), Source("neutral.jsonl", i)
            ),
            1024,
        )
        for i, row in enumerate(neutral_replies(), 1)
    ]
