"""A file, folder or archive to a chat: the format is recognised by what is in it, and said."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from molting.core.config import read_text_input
from molting.core.errors import InputError
from molting.curate.chats.card import card_of_png, looks_like_card, read_card
from molting.curate.chats.discord import (
    looks_like_discord,
    looks_like_messages,
    read_discord,
    read_messages,
)
from molting.curate.chats.record import Chat
from molting.curate.chats.script import looks_like_script, read_script
from molting.curate.chats.slack import channel_files, read_slack, slack_files
from molting.curate.chats.telegram import looks_like_telegram, read_telegram
from molting.curate.chats.whatsapp import looks_like_whatsapp, read_whatsapp
from molting.curate.readers import SUFFIXES, decode_json, read_rows
from molting.curate.row_keys import format_of

KNOWN = (
    "WhatsApp .txt, Telegram result.json, DiscordChatExporter JSON, a Slack export (folder or "
    ".zip), scripts of `Name: text` lines, character cards (JSON, PNG), lists of messages with "
    "an author"
)


def read_chat(path: Path, shown: str) -> Chat | None:
    """The chat in `path`; None when it holds rows (curate.formats reads those), or a data set.

    Raises InputError: the file is missing, empty, damaged, or of no known format.
    """
    if not path.exists():
        raise InputError("no such file", file=shown)
    if path.is_dir():
        return _folder(path, shown)
    if path.stat().st_size == 0:
        raise InputError("is empty", file=shown)
    suffix = path.suffix.lower()
    if suffix == ".zip" or (suffix not in SUFFIXES and zipfile.is_zipfile(path)):
        return _zip(path, shown)
    if suffix == ".png":
        return read_card(card_of_png(path, shown), shown)
    if suffix == ".json":
        day = channel_files(path)
        return read_slack(day, path.resolve().parents[1].name) if day else _json(path, shown)
    if suffix in SUFFIXES:
        return _rows(path, shown)
    return _text(read_text_input(path), shown)


def chat_in_json(value: Any) -> Callable[[str], Chat] | None:
    """The reader for a decoded JSON file when it is a chat export, else None."""
    if looks_like_card(value):
        return lambda shown: read_card(value, shown)
    if looks_like_discord(value):
        return lambda shown: read_discord(value, shown)
    if looks_like_telegram(value):
        return lambda shown: read_telegram(value, shown)
    rows = value
    if format_of(value) == "messages" and not looks_like_messages(value["messages"]):
        return None
    if isinstance(value, dict):
        rows = next(
            (value[k] for k in ("messages", "data") if isinstance(value.get(k), list)), None
        )
    if isinstance(rows, list) and looks_like_messages(rows):
        return lambda shown: read_messages(list(enumerate(rows, 1)), shown)
    return None


def _json(path: Path, shown: str) -> Chat | None:
    text = read_text_input(path)
    if not text.strip():
        raise InputError("is empty", file=shown)
    try:
        value = decode_json(text, shown, 1)
    except InputError as error:
        # JSON Lines with the wrong ending: the row readers know how.
        if "Extra data" in str(error):
            return _rows(path, shown)
        raise
    reader = chat_in_json(value)
    return reader(shown) if reader else None


def _rows(path: Path, shown: str) -> Chat | None:
    rows = list(read_rows(path, shown))
    reader = chat_in_json(rows[0][1]) if len(rows) == 1 else None
    if reader:
        return reader(shown)
    known = any(format_of(row) for _, row in rows[:50])
    chat = not known and looks_like_messages(row for _, row in rows)
    return read_messages(rows, shown) if chat else None


def _text(text: str, shown: str) -> Chat:
    if not text.strip():
        raise InputError("is empty", file=shown)
    if looks_like_whatsapp(text):
        return read_whatsapp(text, shown)
    if looks_like_script(text):
        return read_script(text, shown)
    raise InputError(f"unknown format; `molting import` reads {KNOWN}", file=shown)


def _folder(path: Path, shown: str) -> Chat | None:
    files = slack_files(path)
    if files:
        return read_slack(files, shown)
    files = channel_files(path)
    if files:
        return read_slack(files, path.resolve().parent.name)
    if (path / "result.json").is_file():
        return _json(path / "result.json", f"{shown}/result.json")
    texts = [p for p in sorted(path.glob("*.txt")) if looks_like_whatsapp(read_text_input(p))]
    if len(texts) == 1:
        return read_whatsapp(read_text_input(texts[0]), f"{shown}/{texts[0].name}")
    return None


def _zip(path: Path, shown: str) -> Chat:
    try:
        with zipfile.ZipFile(path) as archive:
            files = slack_files(archive)
            if files:
                return read_slack(files, shown)
            # WhatsApp on an iPhone exports a zip with _chat.txt and the media.
            for name in archive.namelist():
                if name.endswith(".txt"):
                    text = archive.read(name).decode("utf-8-sig")
                    if looks_like_whatsapp(text):
                        return read_whatsapp(text, f"{shown}/{name}")
    except UnicodeDecodeError:
        raise InputError("holds a text that is not UTF-8", file=shown) from None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise InputError(f"cannot be unpacked: {error}", file=shown) from None
    raise InputError(
        "holds no Slack export (no channel folder with a file a day, such as "
        "general/2024-05-01.json) and no WhatsApp chat (_chat.txt)",
        file=shown,
    )
