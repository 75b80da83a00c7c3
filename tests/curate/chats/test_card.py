from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from molting.core.errors import InputError
from molting.curate.chats.card import card_of_png, looks_like_card, read_card
from molting.curate.chats.png import SIGNATURE, png_texts

DATA = Path(__file__).parents[2] / "data" / "chats"


@pytest.fixture
def card() -> dict[str, Any]:
    value = json.loads((DATA / "card.json").read_text("utf-8"))
    assert isinstance(value, dict)
    return value


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixel = chunk(b"IDAT", zlib.compress(b"\0\0"))
    return SIGNATURE + head + b"".join(chunks) + pixel + chunk(b"IEND", b"")


def packed(value: Any) -> bytes:
    return base64.b64encode(json.dumps(value).encode())


def test_the_dialogues_of_a_card(card: dict[str, Any]) -> None:
    assert looks_like_card(card)
    chat = read_card(card, "card.json")
    assert [[(m.who, m.text) for m in t.messages] for t in chat.threads] == [
        [
            ("User", "Is the lamp lit?"),
            ("Old Finn", "Lit, trimmed and grumbling.\nIt wants a new wick."),
            ("User", "Really?"),
            ("Old Finn", "Did I stutter, User?"),
        ],
        [("User", "Tea?"), ("Old Finn", "Always.")],
        [("Old Finn", "*Old Finn looks up.* You rowed, then.")],
        [("Old Finn", "Mind the kelp.")],
    ]
    assert [m.source.line for t in chat.threads for m in t.messages] == list(range(1, 9))
    assert "no_user_turn" in chat.notes[0]


def test_the_persona_of_a_card(card: dict[str, Any]) -> None:
    persona = read_card(card, "card.json").persona
    assert persona is not None
    assert persona.name == "Old Finn"
    assert persona.description == (
        "Old Finn keeps the lamp on the Rock.\nScenario: User rows out to the Rock."
    )
    assert persona.voice_does == ("gruff", "dry", "fond of gulls")
    assert persona.samples[0] == "Lit, trimmed and grumbling. It wants a new wick."
    assert len(persona.samples) == 5


def test_a_personality_in_sentences_is_part_of_who_it_is(card: dict[str, Any]) -> None:
    card["data"]["personality"] = "{{char}} says little, and what is said is about the weather."
    persona = read_card(card, "c").persona
    assert persona is not None
    assert persona.voice_does == ()
    assert "Old Finn says little, and what" in persona.description


def test_older_and_newer_cards(card: dict[str, Any]) -> None:
    first = card["data"]
    assert looks_like_card(first)
    newer = {**card, "spec": "chara_card_v3", "spec_version": "3.0"}
    threads = read_card(card, "c").threads
    assert read_card(first, "c").threads == threads
    assert read_card(newer, "c").threads == threads
    assert not looks_like_card({"name": "x"})
    assert not looks_like_card({"spec": "chara_card_v2"})


def test_what_stands_before_the_first_speaker_is_counted(card: dict[str, Any]) -> None:
    card["data"]["mes_example"] = (
        "<START>\nA stormy night.\n{{char}}: Hm.\n{{user}}:\n{{char}}: No."
    )
    chat = read_card(card, "c")
    assert chat.dropped == {"no_author": 1, "empty": 1}
    assert [m.text for m in chat.threads[0].messages] == ["Hm.", "No."]


def test_a_card_without_dialogue_says_so(card: dict[str, Any]) -> None:
    card["data"] |= {"mes_example": "", "first_mes": "", "alternate_greetings": []}
    chat = read_card(card, "c")
    assert chat.threads == ()
    assert chat.notes == ("the card has no dialogue: bring chat rows of your own",)
    card["data"]["name"] = " "
    with pytest.raises(InputError, match=r"^c: the character card has no name$"):
        read_card(card, "c")


@pytest.mark.parametrize(
    "texts",
    [
        lambda raw: [chunk(b"tEXt", b"Title\0x"), chunk(b"tEXt", b"chara\0" + raw)],
        lambda raw: [chunk(b"zTXt", b"chara\0\0" + zlib.compress(raw))],
        lambda raw: [chunk(b"iTXt", b"chara\0\0\0\0\0" + raw)],
        lambda raw: [chunk(b"iTXt", b"chara\0\1\0en\0t\0" + zlib.compress(raw))],
        lambda raw: [chunk(b"tEXt", b"chara\0" + packed({})), chunk(b"tEXt", b"ccv3\0" + raw)],
    ],
)
def test_a_card_in_an_image(texts: Any, card: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "card.png"
    path.write_bytes(png(*texts(packed(card))))
    assert card_of_png(path, "card.png") == card


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"no image", "is no PNG image"),
        (png(), "no text chunk `chara`; text chunks: none"),
        (png(chunk(b"tEXt", b"Title\0x")), "text chunks: Title"),
        (png(chunk(b"tEXt", b"chara\0%%%")), "is no base64 JSON"),
        (png(chunk(b"tEXt", b"chara\0" + packed({"a": 1}))), "holds no character card"),
        (png(chunk(b"zTXt", b"chara\0\0junk")), "damaged text chunk"),
        (png(chunk(b"iTXt", b"chara\0\0\0")), "damaged text chunk"),
        (png(chunk(b"tEXt", b"chara\0" + packed({})))[:60], "is cut off"),
    ],
)
def test_an_image_without_a_card_is_one_line(raw: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "card.png"
    path.write_bytes(raw)
    with pytest.raises(InputError) as error:
        card_of_png(path, "card.png")
    assert str(error.value).startswith("card.png: ")
    assert told in str(error.value)


def test_a_text_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("molting.curate.chats.png._LARGEST", 1000)
    path = tmp_path / "bomb.png"
    path.write_bytes(png(chunk(b"zTXt", b"chara\0\0" + zlib.compress(b"0" * 9999))))
    with pytest.raises(InputError, match="damaged text chunk"):
        png_texts(path, "bomb.png")
