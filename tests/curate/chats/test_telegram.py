from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from molting.core.errors import InputError
from molting.curate.chats.telegram import looks_like_telegram, read_telegram, text_of

DATA = Path(__file__).parents[2] / "data" / "chats"


@pytest.fixture
def export() -> dict[str, Any]:
    value = json.loads((DATA / "telegram.json").read_text("utf-8"))
    assert isinstance(value, dict)
    return value


def test_one_chat(export: dict[str, Any]) -> None:
    assert looks_like_telegram(export)
    chat = read_telegram(export, "result.json")
    assert [(m.who, m.text, m.source.line) for m in chat.threads[0].messages] == [
        ("Wanda (user1)", "Is the lamp lit?", 2),
        ("Old Finn", "Lit, trimmed and grumbling. See lamp.example", 3),
        ("Wanda (user3)", "A second Wanda speaks.", 6),
        ("deleted account user4", "I have left the app.", 7),
        ("Old Finn", "Then it works.", 8),
    ]
    assert chat.dropped == {"service": 1, "media": 1, "forwarded": 1, "empty": 1}
    assert chat.messages == len(export["messages"])
    assert chat.threads[0].messages[0].when == 1709157540
    assert chat.aliases["user2"] == "Old Finn"


def test_an_export_of_all_chats_keeps_them_apart(export: dict[str, Any]) -> None:
    other = {"name": "Other", "type": "personal_chat", "id": 2, "messages": export["messages"][1:3]}
    whole = {"about": "…", "chats": {"about": "…", "list": [export, other]},
             "left_chats": {"list": [{"name": None, "id": 3, "messages": []}]}}  # fmt: skip
    assert looks_like_telegram(whole)
    chat = read_telegram(whole, "result.json")
    assert [t.name for t in chat.threads] == [
        "result.json#Lamp", "result.json#Other", "result.json#chat 3",
    ]  # fmt: skip
    assert [len(t.messages) for t in chat.threads] == [5, 2, 0]
    assert str(chat.threads[1].messages[1].source) == "result.json#Other:2"
    assert chat.notes == ("3 chats",)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"text": "plain"}, "plain"),
        ({"text": ["a ", {"type": "bold", "text": "b"}, " c"]}, "a b c"),
        ({"text": "", "text_entities": [{"type": "plain", "text": "from entities"}]}, "from entities"),
        ({"text": ["half \ud83d"]}, "half ?"),
        ({"text": None}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_text_is_a_string_or_a_list_of_entities(message: dict[str, Any], words: str) -> None:
    assert text_of(message) == words


def test_a_time_without_the_unix_one_is_the_wall_clocks(export: dict[str, Any]) -> None:
    for message in export["messages"]:
        message.pop("date_unixtime", None)
    assert read_telegram(export, "a").threads[0].messages[0].when == 1709157600


def test_other_json_is_not_telegrams() -> None:
    for value in (
        [], {}, {"messages": [{"role": "user", "content": "x"}]}, {"messages": 3},
        {"guild": {}, "messages": [{"type": "message", "id": 1}]},
    ):  # fmt: skip
        assert not looks_like_telegram(value)


def test_damaged_exports_are_one_line(export: dict[str, Any]) -> None:
    export["messages"].insert(1, "oops")
    with pytest.raises(InputError, match=r"^r\.json:2: a message must be an object$"):
        read_telegram(export, "r.json")
    with pytest.raises(InputError, match=r"^r\.json: chat 1 is no Telegram chat$"):
        read_telegram({"chats": {"list": ["x"]}}, "r.json")
