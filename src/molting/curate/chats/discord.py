"""Discord: DiscordChatExporter's JSON, and plain lists of messages that name their author."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from molting.core.conversation import Source
from molting.core.errors import InputError
from molting.curate.chats.record import (
    Chat,
    Message,
    Thread,
    aliases_of,
    as_text,
    distinct_names,
    seconds,
)

_SAID = {"Default", "Reply", "ChatInputCommand", "ContextMenuCommand", "0", "19", "20", "23"}
"""Message types that are somebody's words; names are the exporter's, numbers Discord's own."""
_MENTION = re.compile(r"<@!?(\d+)>")
_CUSTOM_EMOJI = re.compile(r"<a?:(\w+):\d+>")

WHO = ("author", "speaker", "sender", "character", "from", "name", "username", "user")
WORDS = ("content", "text", "message", "body", "utterance", "line", "value")
WHEN = ("timestamp", "created_at", "date", "time", "sent_at", "ts", "when")

_ROLES = {
    "system", "user", "human", "assistant", "gpt", "model", "chatgpt", "ai", "bot", "tool",
    "function", "prompter", "customer", "developer", "observation",
}  # fmt: skip
"""Whose messages are these? Rows with such authors have been read by somebody already."""


def looks_like_discord(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("messages"), list)
        and ("guild" in value or "channel" in value)
    )


def read_discord(value: dict[str, Any], shown: str) -> Chat:
    """One channel. The name is the nickname where there is one; handle and number are aliases."""
    rows = list(enumerate(value["messages"], 1))
    accounts: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for number, row in rows:
        if not isinstance(row, dict):
            raise InputError("a message must be an object", file=shown, line=number)
        for person in [row.get("author"), *(row.get("mentions") or [])]:
            if isinstance(person, dict):
                account, name = _account(person)
                if account and name:
                    accounts[account] = name
                    pairs += [(str(person.get(key)), account) for key in ("name", "username", "id")
                              if person.get(key)]  # fmt: skip
    called = distinct_names(accounts)
    dropped: Counter[str] = Counter()
    messages: list[Message] = []
    for number, row in rows:
        author = row.get("author")
        account = _account(author)[0] if isinstance(author, dict) else ""
        words = _CUSTOM_EMOJI.sub(
            r":\1:",
            _MENTION.sub(lambda m: "@" + called.get(m[1], m[1]), as_text(row.get("content"))),
        )
        reason = _reason(row, account in called, words)
        if reason:
            dropped[reason] += 1
        else:
            messages.append(
                Message(
                    called[account], words, Source(shown, number), seconds(row.get("timestamp"))
                )
            )
    aliases = aliases_of(((a, called[b]) for a, b in pairs), called.values())
    return Chat(
        shown, "discord", (Thread(shown, tuple(messages)),), dict(dropped), aliases=aliases
    )  # fmt: skip


def _account(person: dict[str, Any]) -> tuple[str, str]:
    names = [as_text(person.get(k)) for k in ("nickname", "global_name", "name", "username")]
    name = next((n for n in names if n), "")
    return str(person.get("id") or name), name


def _reason(row: dict[str, Any], known: bool, words: str) -> str | None:
    if str(row.get("type", "Default")) not in _SAID:
        return "service"
    if not words:
        if row.get("forwardedMessage") or row.get("message_snapshots"):
            return "forwarded"
        media = any(row.get(key) for key in ("attachments", "stickers", "embeds", "poll"))
        return "media" if media else "empty"
    return None if known else "no_author"


def author_of(row: dict[str, Any]) -> str | None:
    """The author of a message in a plain list, or None where the row is no such message."""
    for key in WHO:
        value = row.get(key)
        if isinstance(value, dict):
            value = _account(value)[1]
        if isinstance(value, str) and value.strip():
            return as_text(value)
    return None


def looks_like_messages(rows: Iterable[Any]) -> bool:
    """Whether most of the first rows are messages whose authors are mostly no chat roles."""
    first = [row for _, row in zip(range(50), rows, strict=False)]
    authors = [
        author_of(row)
        for row in first
        if isinstance(row, dict)
        and "role" not in row
        and any(isinstance(row.get(key), str) for key in WORDS)
    ]
    named = {author.casefold() for author in authors if author}
    fits = sum(author is not None for author in authors)
    return fits * 2 > len(first) and len(named & _ROLES) * 2 <= len(named)


def read_messages(rows: Iterable[tuple[int, Any]], shown: str) -> Chat:
    """A plain list of messages, in the order it has."""
    dropped: Counter[str] = Counter()
    messages: list[Message] = []
    for line, row in rows:
        if not isinstance(row, dict):
            raise InputError("a message must be an object", file=shown, line=line)
        words = next((as_text(row[k]) for k in WORDS if isinstance(row.get(k), str)), "")
        who = author_of(row)
        when = next((t for k in WHEN if (t := seconds(row.get(k))) is not None), None)
        if not words or who is None:
            dropped["no_author" if words else "empty"] += 1
        else:
            messages.append(Message(who, words, Source(shown, line), when))
    return Chat(shown, "message_list", (Thread(shown, tuple(messages)),), dict(dropped))
