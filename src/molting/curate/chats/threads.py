"""A chat to conversations, once one knows who the persona is.

The persona's messages are the assistant's, all others the user's. Messages of one side that follow
each other are one turn; a long pause begins a new conversation; a long one is cut into windows
that share nothing. A conversation in which the persona says nothing is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from molting.core.config import Import
from molting.core.conversation import Conversation, Turn
from molting.core.errors import UsageError
from molting.curate.chats.record import Chat, Message
from molting.signals.text import fold


class Made(msgspec.Struct, frozen=True):
    """Conversations, and where every message went: messages == in_turns + sum(dropped)."""

    conversations: tuple[Conversation, ...]
    in_turns: int
    dropped: Mapping[str, int]


def conversations_of(chat: Chat, persona: str, how: Import | None = None) -> Made:
    """`persona` is a speaker of `find_speaker`."""
    how = how or Import()
    dropped = Counter(chat.dropped)
    made: list[Conversation] = []
    in_turns = 0
    for thread in chat.threads:
        for stretch in _stretches(thread.messages, how.pause_hours * 3600):
            for window in _windows(_runs(stretch, persona), persona, how.turns):
                count = sum(len(run) for run in window)
                if not any(run[0].who == persona for run in window):
                    dropped["no_persona"] += count
                    continue
                in_turns += count
                turns = tuple(_turn(run, persona) for run in window)
                made.append(Conversation(turns, window[0][0].source))
    return Made(tuple(made), in_turns, dict(dropped))


def find_speaker(name: str, chats: Sequence[Chat]) -> list[str | None]:
    """The speaker meant, in each chat (None where the persona is not there).

    By name or alias, whatever the case, or by a beginning that only one has. Raises UsageError
    with every speaker and the number of messages.
    """
    counts = speakers(chats)
    told = "who is the persona? add --as NAME"
    if fold(name):
        for found in _tiers(name, chats):
            meant = {who for here in found for who in here}
            if meant and all(len(here) < 2 for here in found):
                return [next(iter(here), None) for here in found]
            if meant:
                raise UsageError(
                    f"--as {name}: could be {_listed({who: counts[who] for who in meant})}; "
                    "write more of the name"
                )
        told = f"--as {name}: no such speaker"
    if not counts:
        raise UsageError("no message with words and an author in these files")
    raise UsageError(f"{told}; speakers: {_listed(counts)}")


def _tiers(name: str, chats: Sequence[Chat]) -> Iterator[list[set[str]]]:
    """Who could be meant in each chat: by the whole name or alias, then by a beginning."""
    wanted = fold(name)
    yield [_whole(name, chat) for chat in chats]
    for kind in ("name", "alias"):
        begun = [
            {who for known, who in _names(chat, kind) if fold(known).startswith(wanted)}
            for chat in chats
        ]
        # A beginning must mean one person over all files, not one in each.
        everybody = {who for here in begun for who in here}
        yield begun if len(everybody) < 2 else [everybody for _ in begun]


def _whole(name: str, chat: Chat) -> set[str]:
    if name in chat.speakers:
        return {name}
    for kind in ("name", "alias"):
        found = {who for known, who in _names(chat, kind) if fold(known) == fold(name)}
        if found:
            return found
    return set()


def _names(chat: Chat, kind: str) -> list[tuple[str, str]]:
    """(name or alias, speaker) of those who say anything."""
    said = chat.speakers
    if kind == "name":
        return [(who, who) for who in said]
    return [(alias, who) for alias, who in chat.aliases.items() if who in said]


def speakers(chats: Sequence[Chat]) -> Counter[str]:
    """Messages by speaker, over all files."""
    total: Counter[str] = Counter()
    for chat in chats:
        total.update(chat.speakers)
    return total


def _listed(counts: Mapping[str, int], most: int = 40) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{who} ({count})" for who, count in ordered[:most])
    return shown + (f" and {len(ordered) - most} more" if len(ordered) > most else "")


def _stretches(messages: Sequence[Message], pause: float) -> Iterator[list[Message]]:
    """Cut at pauses. A jump back in time is a cut too: another chat stands behind this one."""
    stretch: list[Message] = []
    last: float | None = None
    for message in messages:
        if (
            stretch
            and last is not None
            and message.when is not None
            and abs(message.when - last) > pause
        ):
            yield stretch
            stretch = []
        stretch.append(message)
        last = message.when if message.when is not None else last
    if stretch:
        yield stretch


def _runs(messages: Sequence[Message], persona: str) -> list[list[Message]]:
    """Neighbouring messages of one side."""
    runs: list[list[Message]] = []
    for message in messages:
        if runs and (runs[-1][0].who == persona) == (message.who == persona):
            runs[-1].append(message)
        else:
            runs.append([message])
    return runs


def _windows(
    runs: Sequence[list[Message]], persona: str, most: int
) -> Iterator[Sequence[list[Message]]]:
    """At most `most` turns each. One ends with the persona, so that the next begins with others."""
    start = 0
    while start < len(runs):
        end = min(start + most, len(runs))
        if end < len(runs) and end - start > 1 and runs[end - 1][0].who != persona:
            end -= 1
        yield runs[start:end]
        start = end


def _turn(run: Sequence[Message], persona: str) -> Turn:
    if run[0].who == persona:
        return Turn("assistant", "\n".join(message.text for message in run))
    several = len({message.who for message in run}) > 1
    lines: list[str] = []
    last = None
    for message in run:
        named = several and message.who != last
        lines.append(f"{message.who}: {message.text}" if named else message.text)
        last = message.who
    return Turn("user", "\n".join(lines))
