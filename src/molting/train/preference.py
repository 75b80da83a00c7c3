"""Pairs for preference tuning, from the persona's chats alone.

Chosen is the persona's reply; rejected is what the untouched base says to the same prompt,
generated once and remembered, as are both replies' log-probabilities under it: the reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from molting.core.config import Train
from molting.core.conversation import Conversation, Turn
from molting.core.progress import Progress
from molting.memory.losses import remembered_losses
from molting.memory.store import Memory
from molting.models.base import LoadedModel
from molting.models.generate import Ended, Generated
from molting.models.render import Rendered, Renderer
from molting.signals.text import fold
from molting.train.objectives import Pair
from molting.train.own_replies import own_replies


class Pairs(NamedTuple):
    """Pairs in the rows' order, and how many rows gave none, by reason."""

    pairs: tuple[Pair, ...]
    dropped: dict[str, int]


def preference_pairs(
    base: LoadedModel,
    renderer: Renderer,
    rows: Sequence[Conversation],
    config: Train,
    memory: Memory,
    progress: Progress,
    task: str = "the base model's own replies",
) -> Pairs:
    """`base` must be untouched still: no adapter in it."""
    limit = min(config.max_tokens, base.context_tokens)
    dropped: Counter[str] = Counter()
    asked: list[tuple[Conversation, tuple[int, ...]]] = []
    for row in rows:
        prompt = renderer.prompt(row.context)
        if len(prompt) + config.dpo_reply_tokens > limit:
            dropped["prompt_too_long"] += 1
        else:
            asked.append((row, prompt))
    prompts = [prompt for _, prompt in asked]
    replies = own_replies(
        base, renderer, prompts, _streams(prompts), config.dpo_reply_tokens, config.seed,
        memory, progress, task,
    )  # fmt: skip
    made: list[tuple[Rendered, Rendered, Rendered]] = []
    for (row, _), reply in zip(asked, replies, strict=True):
        reason = _useless(row, reply)
        if reason:
            dropped[reason] += 1
            continue
        other = msgspec.structs.replace(row, turns=(*row.context, Turn("assistant", reply.text)))
        rejected = renderer.row(other, limit, last_only=True)
        if reply.ended is Ended.length:
            rejected = _without_stop(rejected)
        chosen = renderer.row(row, limit, last_only=True)
        if chosen.trained_tokens and rejected.trained_tokens:
            made.append((renderer.row(row, limit), chosen, rejected))
        else:
            dropped["no_reply_token"] += 1
    flat = [r for _, chosen, rejected in made for r in (chosen, rejected)]

    def report(done: int, total: int) -> None:
        progress.step("log-probabilities under the reference", done, total)

    losses = remembered_losses(memory, base, flat, report)
    pairs = tuple(
        Pair(*rows_, losses[2 * i].nats, losses[2 * i + 1].nats) for i, rows_ in enumerate(made)
    )
    return Pairs(pairs, dict(dropped))


def _streams(prompts: Sequence[tuple[int, ...]]) -> list[str]:
    """The same prompt again is answered anew, since the persona's replies differ too; counted by
    prompt, a reply is found again whatever other rows there are."""
    before: Counter[tuple[int, ...]] = Counter()
    found = []
    for prompt in prompts:
        found.append(f"rejected:{before[prompt]}")
        before[prompt] += 1
    return found


def _useless(row: Conversation, reply: Generated) -> str | None:
    if not fold(reply.text).strip():
        return "empty_rejected"
    return "rejected_is_chosen" if fold(reply.text) == fold(row.reply) else None


def _without_stop(row: Rendered) -> Rendered:
    """A reply that was cut off did not end there, and is not blamed for having ended."""
    if not row.stop_trained:
        return row
    last = max(i for i, trained in enumerate(row.trained) if trained)
    return Rendered(row.ids[:last], row.trained[:last], False)
