"""What the measures beside the score share: the prompts, the replies given to them, what hears the voice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from molting.core.conversation import Conversation, Source, Turn
from molting.evaluate.systems import Speaker
from molting.models.generate import Ended, Generated
from molting.models.render import Rendered
from molting.signals.stats import Array

REPLY_TOKENS = 40
"""Replies are compared by likelihood on their first tokens: about the words the detector reads."""


class Heard(NamedTuple):
    """One evaluation's material."""

    voiced: list[Conversation]
    """Held-out rows that voice is measured on; each ends with the persona's own reply."""
    replies: Mapping[str, Sequence[Sequence[Generated]]]
    """By system: `replies[system][sample][i]` answers the prompt of `voiced[i]`."""
    voice: Callable[[Sequence[str], Sequence[str]], Array]
    """Prompts and replies to them → the detectors' mean score of each, 0 to 1."""
    training: Sequence[Conversation]


def reply_row(
    speaker: Speaker, context: Sequence[Turn], reply: str, ended: Ended = Ended.stop
) -> Rendered:
    """The first tokens of a reply behind its context; they and no others are scored.

    The end of the reply is scored only where the whole reply is there and came to its own end.
    """
    row = speaker.renderer.row(
        Conversation((*context, Turn("assistant", reply)), Source("replies", 1)),
        speaker.base.context_tokens,
        last_only=True,
    )
    first = row.first_trained
    most = min(first + REPLY_TOKENS, len(row.ids))
    scored = list(row.trained[:most])
    if ended != Ended.stop and row.trained_tokens <= REPLY_TOKENS:
        # It was cut off: what the renderer put behind it, the model never said.
        scored[max((i for i, trained in enumerate(scored) if trained), default=0)] = False
    return Rendered(row.ids[:most], tuple(scored), False)
