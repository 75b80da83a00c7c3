"""Raw rows to conversations. The format is detected from the rows' keys, and said."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from molting.core.conversation import Conversation, Role, Source, Turn
from molting.core.errors import InputError
from molting.curate.chats.discord import looks_like_messages
from molting.curate.chats.reading import chat_in_json
from molting.curate.chats.record import storable
from molting.curate.readers import read_rows
from molting.curate.row_keys import Format, format_of, pair_keys

_ROLES: dict[str, Role] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user", "prompter": "user", "customer": "user",
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant",
    "chatgpt": "assistant", "bing": "assistant", "bard": "assistant", "ai": "assistant",
}  # fmt: skip
_TOOL_ROLES = {"tool", "function", "function_call", "tool_call", "observation", "ipython"}


class ReadFile(msgspec.Struct, frozen=True):
    """What a file held. Rows without a usable conversation are here too, as empty ones."""

    file: str
    format: Format
    conversations: tuple[Conversation, ...]
    notes: tuple[str, ...] = ()


def read_file(path: Path, shown: str | None = None, format: str = "auto") -> ReadFile:
    """Read a chat file. `shown` is the path as messages and corpora may show it."""
    shown = shown or path.as_posix()
    rows = list(read_rows(path, shown))
    return rows_to_file(rows, shown, format)


def rows_to_file(rows: Sequence[tuple[int, Any]], shown: str, format: str = "auto") -> ReadFile:
    """Raw rows, each with its line, as conversations."""
    if not rows:
        raise InputError("holds no rows", file=shown)
    kind: Format = detect(rows, shown) if format == "auto" else format  # type: ignore[assignment]
    tools = 0
    conversations = []
    for line, row in rows:
        turns, skipped = _turns(row, kind, shown, line)
        tools += skipped
        conversations.append(Conversation(merge_turns(turns), Source(shown, line)))
    if not any(c.replies for c in conversations):
        raise InputError(
            f"no assistant turn in any of its {len(rows)} rows (read as {kind}); "
            "roles known: system, user/human, assistant/gpt/model",
            file=shown,
        )
    notes = (f"{tools} tool turns left out: they are not the persona's words",) if tools else ()
    return ReadFile(shown, kind, tuple(conversations), notes)


def detect(rows: Sequence[tuple[int, Any]], shown: str) -> Format:
    """The format of most of the first rows; an error lists the keys when none fits."""
    _refuse_chats(rows, shown)
    votes: dict[Format, int] = {}
    for line, row in rows[:50]:
        if not isinstance(row, dict):
            raise InputError(
                f"a row must be an object, this one is {_kind(row)}", file=shown, line=line
            )
        found = format_of(row)
        if found:
            votes[found] = votes.get(found, 0) + 1
    if not votes:
        line, row = rows[0]
        keys = ", ".join(map(str, list(row)[:8])) or "none"
        raise InputError(
            f"unknown format (keys: {keys}); Molting reads OpenAI `messages`, ShareGPT "
            "`conversations`, Alpaca `instruction`/`output`, and pairs such as "
            "`prompt`/`response`; chat exports become rows with `molting import`",
            file=shown,
            line=line,
        )
    return max(votes, key=lambda name: votes[name])


def _refuse_chats(rows: Sequence[tuple[int, Any]], shown: str) -> None:
    """A chat export says who spoke, not who the persona is: that takes a person's word."""
    values = [row for _, row in rows[:50]]
    if len(rows) == 1 and isinstance(values[0], dict) and chat_in_json(values[0]):
        kind = "a chat export"
    elif not any(map(format_of, values)) and looks_like_messages(values):
        kind = "a list of messages with an author"
    else:
        return
    raise InputError(f"is {kind}; `molting import FILE --as NAME` makes rows of it", file=shown)


def _turns(row: Any, kind: Format, shown: str, line: int) -> tuple[list[Turn], int]:
    if not isinstance(row, dict):
        raise InputError(
            f"a row must be an object, this one is {_kind(row)}", file=shown, line=line
        )
    if kind in ("messages", "sharegpt"):
        names = ("messages",) if kind == "messages" else ("conversations", "conversation")
        name = next((name for name in names if name in row), None)
        if name is None:
            raise InputError(
                f"has no `{names[0]}` (the file is read as {kind})", file=shown, line=line
            )
        return _messages(row, name, shown, line)
    turns: list[Turn] = []
    system = row.get("system")
    if isinstance(system, str) and system.strip():
        turns.append(Turn("system", _text(system, "system", shown, line)))
    if kind == "alpaca":
        instruction = _text(row.get("instruction"), "instruction", shown, line)
        extra = _text(row.get("input"), "input", shown, line)
        prompt = f"{instruction}\n\n{extra}" if extra.strip() else instruction
        turns += _history(row.get("history"), shown, line)
        reply_key = "output" if "output" in row else "response"
        reply = _text(row.get(reply_key), reply_key, shown, line)
    else:
        keys = pair_keys(row)
        if keys is None:
            raise InputError("has no prompt and response", file=shown, line=line)
        prompt, reply = (_text(row[key], key, shown, line) for key in keys)
    return [*turns, Turn("user", prompt), Turn("assistant", reply)], 0


def _messages(row: dict[str, Any], name: str, shown: str, line: int) -> tuple[list[Turn], int]:
    messages = row[name]
    if isinstance(messages, str):
        # CSV holds nested values as JSON text.
        try:
            messages = json.loads(messages)
        except json.JSONDecodeError:
            raise InputError(f"`{name}` is not a list of turns", file=shown, line=line) from None
    if not isinstance(messages, list):
        raise InputError(
            f"`{name}` is {_kind(messages)}, not a list of turns", file=shown, line=line
        )
    turns: list[Turn] = []
    tools = 0
    system = row.get("system")
    if isinstance(system, str) and system.strip():
        turns.append(Turn("system", _text(system, "system", shown, line)))
    for message in messages:
        if not isinstance(message, dict):
            raise InputError(f"a turn in `{name}` is {_kind(message)}", file=shown, line=line)
        role = message.get("role", message.get("from"))
        content = message.get("content", message.get("value"))
        known = _ROLES.get(str(role).strip().lower())
        if known is None:
            if str(role).strip().lower() in _TOOL_ROLES:
                tools += 1
                continue
            raise InputError(
                f"unknown role {role!r}; known: system, user/human, assistant/gpt/model, tool",
                file=shown,
                line=line,
            )
        turns.append(Turn(known, _text(content, "content", shown, line)))
    return turns, tools


def _history(value: Any, shown: str, line: int) -> list[Turn]:
    """Alpaca's earlier turns: pairs of what was said and answered."""
    if isinstance(value, str) and value.strip():
        # CSV holds nested values as JSON text.
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(value)
    pairs = value or []
    if not isinstance(pairs, list) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
        raise InputError("`history` is not a list of pairs", file=shown, line=line)
    turns: list[Turn] = []
    for said, answered in pairs:
        turns.append(Turn("user", _text(said, "history", shown, line)))
        turns.append(Turn("assistant", _text(answered, "history", shown, line)))
    return turns


def _text(value: Any, key: str, shown: str, line: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        # OpenAI's content parts; only text can be trained on.
        parts = [part.get("text") if isinstance(part, dict) else None for part in value]
        texts = [part for part in parts if isinstance(part, str)]
        if texts and len(texts) == len(parts):
            return _text("".join(texts), key, shown, line)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    raise InputError(f"`{key}` is {_kind(value)}, not text", file=shown, line=line)


def merge_turns(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Neighbouring turns of one role become one, as every chat template expects."""
    merged: list[Turn] = []
    for turn in turns:
        if merged and merged[-1].role == turn.role:
            merged[-1] = Turn(turn.role, f"{merged[-1].text}\n{turn.text}".strip("\n"))
        else:
            merged.append(turn)
    return tuple(merged)


def _kind(value: object) -> str:
    return {
        dict: "an object", list: "a list", str: "text", int: "a number", float: "a number",
        bool: "true or false", type(None): "null",
    }.get(type(value), type(value).__name__)  # fmt: skip
