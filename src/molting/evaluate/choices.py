"""A small scorer of items with a right answer, as lm-evaluation-harness scores them.

A candidate's score is the log-probability of its continuation behind its context, in plain text
without a chat template, tokenised together with the context.

    pairs         right when the good sentence is the likelier one                    (acc)
    choices       right when the right choice has the most per byte of its text       (acc_norm)
    contexts      right when the continuation is likeliest behind the right context   (acc)
    continuation  right when greedy decoding would write it, word for word            (acc)

A tie of the best counts as its share: a model without an opinion gets what guessing gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from molting.evaluate.items import Item, ItemSet
from molting.evaluate.systems import Speaker
from molting.models.render import Rendered
from molting.signals.stats import Array

_SAME = 1e-6
"""Nats per byte that are no difference."""


def right_answers(items: ItemSet, speaker: Speaker, tuned: bool, limit: int) -> Array:
    """1, 0, or the share of a tie, for each item; `limit` is the longest row in tokens."""
    rows = item_rows(items, speaker, limit)
    if items.kind == "continuation":
        return np.array(speaker.greedy(tuned, rows), dtype=float)
    losses = speaker.losses(tuned, rows, items.name)
    scores = [-loss.nats for loss in losses]
    found, at = [], 0
    for item in items.items:
        mine = scores[at : at + len(item.candidates)]
        at += len(mine)
        found.append(right_share(item, mine, per_byte=items.kind == "choices"))
    return np.array(found, dtype=float)


def item_rows(items: ItemSet, speaker: Speaker, limit: int) -> list[Rendered]:
    """The candidates of all items, one row each, in order."""
    tokenizer, start = speaker.base.tokenizer, start_token(speaker)
    rows: list[Rendered] = []
    for item in items.items:
        mine = [candidate_row(tokenizer, *candidate, start, limit) for candidate in item.candidates]
        # How two sentences begin alike says nothing of which is the likelier.
        rows += where_they_differ(mine) if items.kind == "pairs" else mine
    return rows


def where_they_differ(rows: Sequence[Rendered]) -> list[Rendered]:
    """The rows with the tokens that all of them begin with left unscored."""
    most = min(len(row.ids) for row in rows)
    alike = next((t for t in range(most) if len({row.ids[t] for row in rows}) > 1), most)
    return [
        Rendered(row.ids, tuple(s and t >= alike for t, s in enumerate(row.trained)), False)
        for row in rows
    ]


def right_share(item: Item, scores: Sequence[float], *, per_byte: bool) -> float:
    """1 when the right candidate scores best, 0 when another does, 1/k in a tie of k."""
    sizes = [max(1, len(text.encode())) if per_byte else 1 for _, text in item.candidates]
    values = np.array(scores, dtype=float) / sizes
    best = values >= values.max() - _SAME
    return float(best[item.gold] / best.sum())


def start_token(speaker: Speaker) -> int:
    """What stands before the first word of a text, so that it has a probability too."""
    tokenizer = speaker.base.tokenizer
    for token in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    return min(speaker.stop_ids)


def candidate_row(
    tokenizer: Any, context: str, continuation: str, start: int, limit: int
) -> Rendered:
    """Context and continuation as tokens, the continuation's scored.

    Too long a context loses its beginning; without a context a start token stands before.
    """
    text = f"{context} {continuation}" if context else continuation
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = list(encoded["input_ids"])
    scored = [right > len(context) and right > left for left, right in encoded["offset_mapping"]]
    ids, scored = ids[-limit + 1 :], scored[-limit + 1 :]
    if scored and scored[0]:
        ids, scored = [start, *ids], [False, *scored]
    return Rendered(tuple(ids), tuple(scored), False)
