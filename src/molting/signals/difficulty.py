"""How hard a reply is for the base model, and how much its prompt helps.

    perplexity   exp of the mean loss of the reply's tokens, given all that stands before it
    IFD          mean loss of the reply given its prompt ÷ mean loss of the same tokens alone

Instruction-following difficulty is that of Cherry LLM (Li et al., arXiv 2308.12032): near 1 the
prompt tells the model nothing about the reply, which for their instruction data marked the rows
worth training on; above 1 the prompt misleads, which marks replies that do not answer it. For
persona data nobody has shown that selecting by it pays: it is a signal, not a score.

Both are measured on the last reply of a conversation, its end-of-turn token included. The reply
alone still stands behind the tokens with which the template opens a reply, so that both losses are
over the same tokens and the first of them is predicted from something.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from molting.core.conversation import Conversation
from molting.core.errors import InputError
from molting.memory.losses import remembered_losses
from molting.memory.store import Memory
from molting.models.base import LoadedModel
from molting.models.likelihood import RowLoss, perplexity
from molting.models.render import Rendered, Renderer


class Difficulty(NamedTuple):
    """None is unknown: no reply, a template that refuses the row, or no token within the limit."""

    perplexity: float | None
    ifd: float | None
    tokens: int
    """Reply tokens behind both values."""


Difficulties = Callable[[Sequence[Conversation]], Sequence[Difficulty]]
"""What `curate.describe` is given: rows in, one difficulty for each out."""

UNMEASURED = Difficulty(None, None, 0)


def difficulties(
    rows: Sequence[Conversation],
    base: LoadedModel,
    renderer: Renderer,
    max_tokens: int,
    memory: Memory | None = None,
    report: Callable[[int, int], None] | None = None,
) -> list[Difficulty]:
    """Perplexity and IFD of every row; two forward passes a row, and none for what is remembered."""
    limit = min(max_tokens, base.context_tokens)
    rendered: list[Rendered] = []
    pairs: dict[int, tuple[int, int]] = {}
    for i, row in enumerate(rows):
        made = _pair(row, renderer, limit)
        if made is not None:
            pairs[i] = (len(rendered), len(rendered) + 1)
            rendered += made
    losses = remembered_losses(memory, base, rendered, report)
    found = [UNMEASURED] * len(rows)
    for i, (given, alone) in pairs.items():
        found[i] = _difficulty(losses[given], losses[alone])
    return found


def _pair(row: Conversation, renderer: Renderer, limit: int) -> tuple[Rendered, Rendered] | None:
    if not row.reply.strip():
        return None
    try:
        given = renderer.row(row, limit, last_only=True)
    except InputError:
        return None  # a finding of `molting check`
    reply = [token for token, scored in zip(given.ids, given.trained, strict=True) if scored]
    if not reply:
        return None
    opening = _opening(given, renderer)
    ids = (*opening, *reply)
    trained = (*(False for _ in opening), *(True for _ in reply))
    return given, Rendered(ids, trained, given.stop_trained)


def _opening(given: Rendered, renderer: Renderer) -> tuple[int, ...]:
    """The tokens that open a reply: what the generation prompt adds, as they stand in this row."""
    first = given.trained.index(True)
    before = given.ids[:first]
    # From the last special token before the reply on: `<|im_start|>assistant\n`, `<|assistant|>\n`.
    special = set(renderer.tokenizer.all_special_ids)
    start = next((i for i in range(first - 1, -1, -1) if before[i] in special), None)
    if start is not None and first - start <= 16:
        return before[start:]
    # A template that opens replies in plain words: its own first token, or the one just before.
    begin = renderer.tokenizer.bos_token_id
    return (int(begin),) if begin is not None else before[-1:]


def _difficulty(given: RowLoss, alone: RowLoss) -> Difficulty:
    if not given.tokens:
        return UNMEASURED
    mean_given = given.nats / given.tokens
    mean_alone = alone.nats / alone.tokens if alone.tokens else math.nan
    ifd = mean_given / mean_alone if alone.tokens == given.tokens and mean_alone > 0 else None
    return Difficulty(perplexity(mean_given), ifd, given.tokens)
