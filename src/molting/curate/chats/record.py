"""The record that every chat format is read into: who said what, when, and where it stood."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from molting.core.conversation import Source
from molting.core.persona import Persona
from molting.signals.text import fold

ChatFormat = Literal[
    "whatsapp", "telegram", "discord", "slack", "script", "character_card", "message_list"
]

REASONS = {
    "service": "a notice of the app: joined, left, pinned, a call, encryption",
    "media": "a picture, voice message, sticker, poll or file without words",
    "deleted": "a deleted message",
    "forwarded": "forwarded: somebody else's words",
    "empty": "no text",
    "no_author": "nobody is named as its author",
    "no_persona": "stands in a conversation in which the persona says nothing",
}
"""Why a message is not in any conversation. A closed list."""


class Message(msgspec.Struct, frozen=True):
    """One message. `source.line` is the line, or the message's number, from 1."""

    who: str
    text: str
    source: Source
    when: float | None = None
    """Seconds; of the wall clock where the export names no time zone. None: not known."""


class Thread(msgspec.Struct, frozen=True):
    """Messages that follow each other: a chat, a channel, a thread of replies, a dialogue."""

    name: str
    messages: tuple[Message, ...]


class Chat(msgspec.Struct, frozen=True):
    """What an export held. Messages in threads + dropped = messages of the export."""

    file: str
    format: ChatFormat
    threads: tuple[Thread, ...]
    dropped: Mapping[str, int] = {}
    """Reason (a key of REASONS) → messages."""
    notes: tuple[str, ...] = ()
    aliases: Mapping[str, str] = {}
    """Other names of a speaker (handle, number of the account) → the name used here."""
    persona: Persona | None = None
    """Who a character card describes."""

    @property
    def messages(self) -> int:
        """All messages of the export, the dropped ones too."""
        kept = sum(len(thread.messages) for thread in self.threads)
        return kept + sum(self.dropped.values())

    @property
    def speakers(self) -> Counter[str]:
        """Messages by speaker, of those that were not dropped."""
        return Counter(m.who for thread in self.threads for m in thread.messages)


_LONE = re.compile(r"[\ud800-\udfff]")


def storable(text: str) -> str:
    """JSON can spell half a surrogate pair; no file and no tokenizer can hold one."""
    return text.encode("utf-8", "replace").decode("utf-8") if _LONE.search(text) else text


def as_text(value: Any) -> str:
    """Text as it is, anything else as the empty string."""
    return storable(value).strip() if isinstance(value, str) else ""


def seconds(value: Any) -> float | None:
    """A time as exports write it: seconds or milliseconds since 1970, or ISO 8601."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        text = value.strip()
        try:
            return _plausible(float(text))
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return _plausible(float(value)) if isinstance(value, (int, float)) else None


def _plausible(number: float) -> float | None:
    # Milliseconds since 1970 are a thousand times too many seconds.
    if 1e11 < abs(number) < 1e15:
        number /= 1000
    return number if abs(number) <= 1e11 else None


def distinct_names(names: Mapping[str, str]) -> dict[str, str]:
    """Account → a name that no other account has: two people called Anna stay two."""
    taken = Counter(fold(name) for name in names.values())
    return {
        account: name if taken[fold(name)] == 1 else f"{name} ({account})"
        for account, name in names.items()
    }


def aliases_of(pairs: Iterable[tuple[str, str]], names: Iterable[str]) -> dict[str, str]:
    """Aliases that mean one speaker only, and no speaker's own name."""
    own = {fold(name) for name in names}
    meant: dict[str, set[str]] = {}
    for alias, name in pairs:
        if alias.strip() and fold(alias) not in own:
            meant.setdefault(alias.strip(), set()).add(name)
    return {alias: next(iter(found)) for alias, found in meant.items() if len(found) == 1}
