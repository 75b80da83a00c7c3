"""Conversations to token ids and a mask of trained tokens, for any chat template.

The method needs no markers in the template. For each assistant turn, the conversation before it
is rendered with the generation prompt: that is, to the character, what the model sees when it
answers, so the trained span starts right behind it. The span ends with the template's own
end-of-turn token: the first special token after the reply's text. Nothing is ever searched for
by its words, which may stand in a user's turn as well. The whole conversation is tokenised once
and character offsets carry the spans over to tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from molting.core.conversation import Conversation, Turn, as_messages
from molting.core.errors import InputError

_PROBE = "a reply that stands for another"


@dataclass(frozen=True)
class Rendered:
    """One row for the model. `trained[i]` says whether predicting `ids[i]` is trained."""

    ids: tuple[int, ...]
    trained: tuple[bool, ...]
    stop_trained: bool
    """The last reply's end-of-turn token is there and trained."""
    replies_cut_wholly: int = 0
    replies_cut_partly: int = 0
    turns_dropped: int = 0
    """Oldest turns left out so that the rest fits."""
    full_tokens: int = 0
    """Tokens before anything was dropped or cut."""
    text: str = field(default="", repr=False)
    offsets: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    @property
    def trained_tokens(self) -> int:
        return sum(self.trained)

    @property
    def first_trained(self) -> int:
        """Place of the first trained token; the row's length when there is none."""
        return next((i for i, trained in enumerate(self.trained) if trained), len(self.ids))

    def tail(self, start: int) -> Rendered:
        """The row's tokens from `start` on: all that is left to compute behind a shared prefix."""
        return Rendered(self.ids[start:], self.trained[start:], self.stop_trained)


class Renderer:
    """Renders for one tokenizer and its chat template."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._specials = {
            str(token): index
            for index, token in tokenizer.added_tokens_decoder.items()
            if token.special
        } | {
            str(token): tokenizer.convert_tokens_to_ids(token)
            for token in tokenizer.all_special_tokens
        }
        self._system_role = self._has_system_role()

    @property
    def end_of_turn(self) -> int | None:
        """Token id that ends an assistant turn in this template, or None if it writes none."""
        turns = (Turn("user", "a"), Turn("assistant", "b"))
        text = self._text(turns, False)
        found = self._next_special(text, self._reply(text, turns, 1)[1])
        return None if found is None else self._specials[found[2]]

    def prompt(self, turns: Sequence[Turn], system: str | None = None) -> tuple[int, ...]:
        """Token ids that make the model answer; `system` goes first when given."""
        if system:
            turns = (Turn("system", system), *(turn for turn in turns if turn.role != "system"))
        return tuple(self._encode(self._text(turns, True))[0])

    def row(
        self,
        conversation: Conversation,
        max_tokens: int,
        system: str | None = None,
        *,
        last_only: bool = False,
    ) -> Rendered:
        """Render for training (all replies) or for measuring (`last_only`).

        A conversation that is too long loses its oldest turns first, whole exchanges at a time;
        what still does not fit is cut on the right, and the result says so.
        Raises InputError when the template refuses the conversation.
        """
        turns = list(conversation.turns)
        if system:
            turns = [Turn("system", system), *(turn for turn in turns if turn.role != "system")]
        rendered = self._render(turns, conversation, last_only)
        full_tokens = len(rendered.ids)
        dropped = 0
        while len(rendered.ids) > max_tokens:
            shorter = _without_oldest(turns)
            if shorter is None:
                break
            dropped += len(turns) - len(shorter)
            turns = shorter
            rendered = self._render(turns, conversation, last_only)
        return _cut(rendered, max_tokens, dropped, full_tokens)

    def _render(
        self, turns: Sequence[Turn], conversation: Conversation, last_only: bool
    ) -> Rendered:
        text = self._text(turns, False, conversation)
        indices = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
        if last_only:
            indices = indices[-1:]
        spans: list[tuple[int, int]] = []
        stop_start = -1
        for index in indices:
            start, end = self._reply(text, turns, index, conversation)
            stop = self._stop(text, end, turns, index, conversation)
            stop_start, end = stop or (-1, end)
            spans.append((start, end))
        if indices and indices[-1] == len(turns) - 1 and stop_start < 0:
            # The template writes no end of turn: without one, the model would never stop.
            eos = self.tokenizer.eos_token
            if eos:
                text = text[: spans[-1][1]] + eos
                stop_start = spans[-1][1]
                spans[-1] = (spans[-1][0], len(text))
        ids, offsets = self._encode(text)
        trained = [False] * len(ids)
        for start, end in spans:
            for i, (left, right) in enumerate(offsets):
                trained[i] = trained[i] or (left >= start and right <= end and right > left)
        return Rendered(
            tuple(ids),
            tuple(trained),
            any(t and left == stop_start for t, (left, _) in zip(trained, offsets, strict=True)),
            full_tokens=len(ids),
            text=text,
            offsets=tuple(offsets),
        )

    def _reply(
        self,
        text: str,
        turns: Sequence[Turn],
        index: int,
        conversation: Conversation | None = None,
    ) -> tuple[int, int]:
        """Where in `text` the model takes over, and where the reply's own text ends."""
        reply = turns[index].text.strip()
        # No model answers an empty conversation; a greeting that comes first has no prefix.
        prefix = self._text(turns[:index], True, conversation) if index else text
        behind = text[len(prefix) :].lstrip()
        if index and text.startswith(prefix) and behind.startswith(reply):
            return len(prefix), len(text) - len(behind) + len(reply)
        # Some templates rewrite earlier turns, or open a reply in their own way: see where
        # another reply would stand in this one's place.
        probe = [*turns[:index], Turn("assistant", _PROBE), *turns[index + 1 :]]
        head, _, tail = self._text(probe, False, conversation).partition(_PROBE)
        last = len(text) - len(tail)
        here = text.startswith(head) and text.endswith(tail)
        # Templates may strip a reply; where one rewrites it, no mask could be right.
        if not here or text[len(head) : last].strip() != reply:
            source = conversation.source if conversation else None
            raise InputError(
                "the chat template changes the text of a reply, so no mask can be exact",
                file=source.file if source else None,
                line=source.line if source else None,
            )
        end = len(text[:last].rstrip()) if reply else len(head)
        return (len(prefix) if index and text.startswith(prefix) else len(head)), end

    def _stop(
        self,
        text: str,
        end: int,
        turns: Sequence[Turn],
        index: int,
        conversation: Conversation,
    ) -> tuple[int, int] | None:
        """The end-of-turn token after a reply; never a marker that opens the next turn."""
        special = self._next_special(text, end)
        if special is None or index + 1 >= len(turns):
            return special and special[:2]
        # What a template writes behind this reply whether or not a turn follows is the reply's.
        upto = self._text(turns[: index + 1], False, conversation)
        own_end = self._reply(upto, turns[: index + 1], index, conversation)[1]
        own = end + _common(text[end:], upto[own_end:])
        # Some templates write the end of a reply only once another turn follows.
        between = special[0] == own and special[2] == self.tokenizer.eos_token
        return special[:2] if special[1] <= own or between else None

    def _next_special(self, text: str, start: int) -> tuple[int, int, str] | None:
        best: tuple[int, int, str] | None = None
        for token in self._specials:
            at = text.find(token, start)
            if at >= 0 and (
                best is None or at < best[0] or (at == best[0] and len(token) > len(best[2]))
            ):
                best = (at, at + len(token), token)
        return best

    def _encode(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        # The template has written every special token that belongs there.
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        return list(encoded["input_ids"]), [tuple(pair) for pair in encoded["offset_mapping"]]

    def _text(
        self, turns: Sequence[Turn], prompt: bool, conversation: Conversation | None = None
    ) -> str:
        # Blank space around a reply is no part of it; the blank before it would melt into the
        # prompt's last token, and training would not see the prompt that generation sees.
        turns = [
            Turn(turn.role, turn.text.strip()) if turn.role == "assistant" else turn
            for turn in turns
        ]
        if not self._system_role:
            turns = _fold_system(turns)
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    as_messages(turns), tokenize=False, add_generation_prompt=prompt
                )
            )
        except Exception as error:  # templates raise what they like
            source = conversation.source if conversation else None
            raise InputError(
                f"the model's chat template refuses this conversation: {error}",
                file=source.file if source else None,
                line=source.line if source else None,
            ) from None

    def _has_system_role(self) -> bool:
        marker = "a system turn that must appear"
        try:
            text = self.tokenizer.apply_chat_template(
                [{"role": "system", "content": marker}, {"role": "user", "content": "b"}],
                tokenize=False,
            )
        except Exception:
            return False
        return marker in text


def _common(left: str, right: str) -> int:
    """How many characters both begin with."""
    pairs = zip(left, right, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(left), len(right)))


def _fold_system(turns: Sequence[Turn]) -> list[Turn]:
    """Put the system text in front of the first user turn, for templates without that role."""
    system = "\n\n".join(turn.text for turn in turns if turn.role == "system")
    rest = [turn for turn in turns if turn.role != "system"]
    if not system:
        return rest
    for i, turn in enumerate(rest):
        if turn.role == "user":
            rest[i] = Turn("user", f"{system}\n\n{turn.text}")
            return rest
    return [Turn("user", system), *rest]


def _without_oldest(turns: list[Turn]) -> list[Turn] | None:
    """Drop the oldest exchange; None when only one reply is left. System turns stay."""
    replies = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
    if len(replies) < 2:
        return None
    first = replies[0]
    return [turn for i, turn in enumerate(turns) if i > first or turn.role == "system"]


def _cut(rendered: Rendered, max_tokens: int, dropped: int, full_tokens: int) -> Rendered:
    if len(rendered.ids) <= max_tokens:
        cut = rendered
        wholly = partly = 0
    else:
        wholly = partly = 0
        for start, end in _runs(rendered.trained):
            if start >= max_tokens:
                wholly += 1
            elif end > max_tokens:
                partly += 1
        kept = rendered.trained[:max_tokens]
        last_cut = bool(wholly or partly)
        cut = Rendered(
            rendered.ids[:max_tokens],
            kept,
            rendered.stop_trained and not last_cut,
            text=rendered.text,
            offsets=rendered.offsets[:max_tokens],
        )
    return Rendered(
        cut.ids,
        cut.trained,
        cut.stop_trained,
        wholly,
        partly,
        dropped,
        full_tokens,
        cut.text,
        cut.offsets,
    )


def _runs(trained: Sequence[bool]) -> list[tuple[int, int]]:
    runs, start = [], None
    for i, value in enumerate([*trained, False]):
        if value and start is None:
            start = i
        elif not value and start is not None:
            runs.append((start, i))
            start = None
    return runs
