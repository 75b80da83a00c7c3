from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from molting.core.errors import InputError
from molting.curate.chats.discord import (
    looks_like_discord,
    looks_like_messages,
    read_discord,
    read_messages,
)

DATA = Path(__file__).parents[2] / "data" / "chats"


def test_an_exporters_channel() -> None:
    value = json.loads((DATA / "discord.json").read_text("utf-8"))
    assert looks_like_discord(value)
    chat = read_discord(value, "c.json")
    assert [(m.who, m.text, m.source.line) for m in chat.threads[0].messages] == [
        ("Wanda", "Is the lamp lit, @Old Finn? :gull:", 2),
        ("Old Finn", "Lit and grumbling.", 3),
        ("Old Finn", "That gull owes me a kipper.", 8),
    ]
    assert chat.dropped == {"service": 2, "media": 1, "forwarded": 1, "empty": 1}
    assert chat.messages == len(value["messages"])
    assert chat.threads[0].messages[0].when == 1709157720
    # By handle or by number as well.
    assert chat.aliases == {"finn_of_the_rock": "Old Finn", "7": "Old Finn", "8": "Wanda"}


def test_discords_own_names_and_numbers() -> None:
    row = {"type": 19, "content": "hi <@!9>", "timestamp": "2024-01-01T00:00:00Z",
           "author": {"id": "9", "username": "pip", "global_name": "Pip"}}  # fmt: skip
    chat = read_discord({"channel": {}, "messages": [row, {**row, "type": 7}]}, "c")
    assert [(m.who, m.text) for m in chat.threads[0].messages] == [("Pip", "hi @Pip")]
    assert chat.dropped == {"service": 1}


def test_a_message_without_an_author_is_counted() -> None:
    chat = read_discord({"guild": {}, "messages": [{"content": "hi"}]}, "c")
    assert chat.dropped == {"no_author": 1}
    with pytest.raises(InputError, match=r"^c:1: a message must be an object$"):
        read_discord({"guild": {}, "messages": [3]}, "c")


@pytest.mark.parametrize(
    "row",
    [
        {"author": "Ana", "content": "hi"},
        {"author": {"username": "Ana"}, "content": "hi"},
        {"speaker": "Ana", "text": "hi"},
        {"from": "Ana", "value": "hi"},
        {"character": "Ana", "line": "hi"},
        {"username": "Ana", "message": "hi"},
    ],
)
def test_plain_lists_of_messages(row: dict[str, Any]) -> None:
    assert looks_like_messages([row, row])
    found = read_messages([(4, row)], "m").threads[0].messages
    assert [(m.who, m.text, m.source.line) for m in found] == [("Ana", "hi", 4)]


@pytest.mark.parametrize(
    "row",
    [
        {"from": "human", "value": "hi"},
        {"role": "user", "content": "hi", "name": "Ana"},
        {"prompt": "a", "response": "b"},
        {"user": "hi", "assistant": "ho"},
        {"author": "Ana"},
        "text",
    ],
)
def test_rows_with_roles_are_no_chat(row: Any) -> None:
    assert not looks_like_messages([row] * 3)
    assert not looks_like_messages([])


@pytest.mark.parametrize(
    ("when", "seconds"),
    [
        ("2024-01-01T00:00:00Z", 1704067200),
        ("2024-01-01 01:00:00+01:00", 1704067200),
        (1704067200, 1704067200),
        (1704067200000, 1704067200),
        ("1704067200.5", 1704067200.5),
        ("yesterday", None),
        (True, None),
        (float("nan"), None),
        (None, None),
    ],
)
def test_times_as_exports_write_them(when: object, seconds: float | None) -> None:
    row = {"author": "Ana", "content": "hi", "timestamp": when}
    assert read_messages([(1, row)], "m").threads[0].messages[0].when == seconds


def test_what_has_no_words_or_author_is_counted() -> None:
    rows = [
        (1, {"author": "Ana", "text": " "}),
        (2, {"text": "hi"}),
        (3, {"author": "B", "text": "x"}),
    ]
    chat = read_messages(rows, "m")
    assert chat.dropped == {"empty": 1, "no_author": 1}
    with pytest.raises(InputError, match=r"^m:1: a message must be an object$"):
        read_messages([(1, "x")], "m")
