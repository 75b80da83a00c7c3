"""Telegram Desktop's JSON export: `result.json` of one chat, or of all of them."""

from __future__ import annotations

from collections import Counter
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
    storable,
)


def looks_like_telegram(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    if any(_listed(value.get(key)) is not None for key in ("chats", "left_chats")):
        return True
    messages = value.get("messages")
    if not isinstance(messages, list) or "guild" in value:
        return False
    return any(
        isinstance(m, dict) and m.get("type") in ("message", "service") and "id" in m
        for m in messages[:20]
    ) or (not messages and {"name", "type", "id"} <= value.keys())


def read_telegram(value: dict[str, Any], shown: str) -> Chat:
    """A thread a chat. Service messages, forwarded and wordless ones are counted."""
    whole = [chat for key in ("chats", "left_chats") for chat in _listed(value.get(key)) or ()]
    chats = whole or [value]
    rows: list[tuple[str, str, Source, dict[str, Any]]] = []
    threads: dict[str, list[tuple[str, Message]]] = {}
    dropped: Counter[str] = Counter()
    names: dict[str, str] = {}
    for place, chat in enumerate(chats, 1):
        if not isinstance(chat, dict) or not isinstance(chat.get("messages", []), list):
            raise InputError(f"chat {place} is no Telegram chat", file=shown)
        title = as_text(chat.get("name")) or f"chat {place}"
        file = f"{shown}#{title}" if whole else shown
        threads.setdefault(file, [])
        for number, message in enumerate(chat.get("messages", []), 1):
            if not isinstance(message, dict):
                raise InputError("a message must be an object", file=file, line=number)
            account = str(message.get("from_id") or as_text(message.get("from")))
            name = as_text(message.get("from"))
            if account:
                # A deleted account has a number and no name.
                names[account] = name or names.get(account) or f"deleted account {account}"
            rows.append((file, account, Source(file, number), message))
    called = distinct_names(names)
    for file, account, source, message in rows:
        words = text_of(message)
        reason = _reason(message, account, words)
        if reason:
            dropped[reason] += 1
            continue
        when = seconds(message.get("date_unixtime")) or seconds(message.get("date"))
        threads[file].append((account, Message(called[account], words, source, when)))
    return Chat(
        shown,
        "telegram",
        tuple(Thread(file, tuple(m for _, m in found)) for file, found in threads.items()),
        dict(dropped),
        (f"{len(chats)} chats",) if whole else (),
        aliases_of(called.items(), called.values()),
    )


def text_of(message: dict[str, Any]) -> str:
    """The words of a message; `text` is a string, or a list of strings and entities."""
    text = message.get("text")
    if isinstance(text, str) and text:
        return storable(text).strip()
    parts = text if isinstance(text, list) and text else message.get("text_entities")
    if not isinstance(parts, list):
        return ""
    pieces = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return storable("".join(piece for piece in pieces if isinstance(piece, str))).strip()


def _reason(message: dict[str, Any], account: str, words: str) -> str | None:
    if message.get("type", "message") != "message":
        return "service"
    # The key is there, and null, when the first author hides.
    if "forwarded_from" in message or "saved_from" in message:
        return "forwarded"
    if not words:
        media = ("media_type", "photo", "file", "poll", "location_information", "sticker_emoji",
                 "contact_information", "game_title", "invoice_information")  # fmt: skip
        return "media" if any(key in message for key in media) else "empty"
    return None if account else "no_author"


def _listed(value: Any) -> list[Any] | None:
    found = value.get("list") if isinstance(value, dict) else None
    return found if isinstance(found, list) else None
