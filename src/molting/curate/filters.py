"""Which rows are noise, and why. Each filter looks at one row and gives a reason with evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from molting.core.config import Curate
from molting.core.conversation import Conversation, Verdict
from molting.core.persona import Persona
from molting.signals.leftovers import find_leftovers
from molting.signals.noise import REJECTED_KINDS, cut_replies, find_noise
from molting.signals.secrets import find_secrets
from molting.signals.text import count_words

REASONS = {
    "no_assistant_turn": "has no assistant turn",
    "no_user_turn": "has nothing before the reply to answer",
    "empty_reply": "a reply is empty",
    "too_short": "every reply is shorter than curate.minimum_reply_words",
    "template_token": "holds control tokens of a chat template",
    "placeholder": "a reply holds a placeholder that nobody filled in",
    "error": "a reply is an error message",
    "boilerplate": "a reply speaks as a stock assistant",
    "agent_chatter": "is an agent's working talk or a context summary",
    "tool_output": "a reply is the output of a tool",
    "cut_off": "a reply breaks off in mid-sentence",
    "secret": "holds a secret or personal data",
    "rejected_by_reviewer": "was rejected by a person (`molting review`)",
    "exact_duplicate": "says the same as another row",
    "near_duplicate": "says nearly the same as another row",
    "semantic_duplicate": "says the same as another row in other words",
    "in_held_out": "its prompt or reply stands in the held-out rows",
    "same_prompt": "its prompt is held out with another reply",
    "not_selected": "good, but others were better or more different",
}
"""Every reason a row can be rejected for. A closed list."""


def filter_rows(
    rows: Sequence[Conversation], config: Curate, persona: Persona | None = None
) -> list[Verdict | None]:
    """A rejecting verdict for each noisy row, None for the others.

    What the persona says of itself is no boilerplate (`signals.noise.find_noise`).
    """
    cut_by_row = _cut(rows)
    return [_verdict(row, config, persona, cut) for row, cut in zip(rows, cut_by_row, strict=True)]


def _verdict(
    row: Conversation, config: Curate, persona: Persona | None, cut: int | None
) -> Verdict | None:
    def reject(reason: str, **evidence: Any) -> Verdict:
        return Verdict(row.id, False, reason, evidence)

    if not row.replies:
        return reject("no_assistant_turn")
    for i, turn in enumerate(row.turns):
        if turn.role == "assistant" and not turn.text.strip():
            return reject("empty_reply", turn=i)
    if not any(turn.role == "user" and turn.text.strip() for turn in row.turns):
        return reject("no_user_turn")
    longest = max(count_words(reply) for reply in row.replies)
    if longest < config.minimum_reply_words:
        return reject("too_short", words=longest)
    for i, turn in enumerate(row.turns):
        kinds = REJECTED_KINDS if turn.role == "assistant" else ("template_token", "agent_chatter")
        hits = {hit.kind: hit for hit in find_noise(turn.text, kinds, persona)}
        for kind in kinds:
            if kind in hits:
                hit = hits[kind]
                matched = turn.text[hit.start : hit.end][:80]
                return reject(kind, turn=i, span=[hit.start, hit.end], matched=matched)
        for hit in find_leftovers(turn.text) if turn.role == "assistant" else ():
            if hit.kind == "placeholder":
                matched = turn.text[hit.start : hit.end][:80]
                return reject("placeholder", turn=i, span=[hit.start, hit.end], matched=matched)
    for i, turn in enumerate(row.turns):
        secrets = find_secrets(turn.text) if config.secrets != "keep" else ()
        if secrets:
            # The kind and place, never the secret itself: verdicts may be shown and shared.
            first = secrets[0]
            return reject("secret", turn=i, span=[first.start, first.end], kind=first.kind)
    if cut is not None:
        return reject("cut_off", turn=cut, ends=row.turns[cut].text.rstrip()[-30:])
    return None


def _cut(rows: Sequence[Conversation]) -> list[int | None]:
    places = [
        (r, t)
        for r, row in enumerate(rows)
        for t, turn in enumerate(row.turns)
        if turn.role == "assistant"
    ]
    flags = cut_replies([rows[r].turns[t].text for r, t in places])
    found: list[int | None] = [None] * len(rows)
    for (r, t), flag in zip(places, flags, strict=True):
        if flag and found[r] is None:
            found[r] = t
    return found
