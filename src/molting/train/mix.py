"""The retention mix: everyday prompts with the base model's own replies, among the training rows.

The prompts are shipped and are none of those that evaluation measures neutral text with. The replies
come from the untouched base, so what is retained is what it would have said; they are generated
once and remembered.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources

from molting.core.config import Train
from molting.core.conversation import Conversation, Source, Turn
from molting.core.progress import Progress
from molting.memory.store import Memory
from molting.models.base import LoadedModel
from molting.models.generate import Ended
from molting.models.render import Rendered, Renderer
from molting.train.own_replies import own_replies

_REPLY_TOKENS = 128
_ROUNDS = 8
"""Times that every prompt is asked at most."""


def neutral_rows(
    base: LoadedModel,
    renderer: Renderer,
    rows: int,
    config: Train,
    memory: Memory,
    progress: Progress,
) -> list[Rendered]:
    """As many neutral rows as make up `train.mix` of all, beside `rows` of the persona's.

    `base` must be untouched still. Replies that were cut off or are empty are left out; where too
    few are left for the share, there are fewer.
    """
    wanted = round(rows * config.mix / (1 - config.mix))
    asked = everyday_prompts()
    limit = min(config.max_tokens, base.context_tokens)
    found: list[Rendered] = []
    for turn in range(_ROUNDS):
        if len(found) >= wanted:
            break
        # Prompts in file order: a larger share of the mix holds the smaller one's rows.
        prompts = asked[: max(1, round((wanted - len(found)) * 1.5))]
        ids = [renderer.prompt((Turn("user", prompt),)) for prompt in prompts]
        replies = own_replies(
            base, renderer, ids, [f"everyday:{turn}"] * len(ids), _REPLY_TOKENS, config.seed,
            memory, progress, "the base model's replies to everyday prompts",
        )  # fmt: skip
        for i, (prompt, reply) in enumerate(zip(prompts, replies, strict=True), 1):
            if reply.ended is Ended.stop and reply.text.strip():
                turns = (Turn("user", prompt), Turn("assistant", reply.text))
                found.append(renderer.row(Conversation(turns, Source("everyday.txt", i)), limit))
    return found[:wanted]


@functools.cache
def everyday_prompts() -> Sequence[str]:
    """Prompts to any assistant, written for this project, in an order that means nothing."""
    text = resources.files("molting.data").joinpath("everyday.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line)
