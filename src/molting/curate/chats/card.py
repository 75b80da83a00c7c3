"""Character cards (V1, V2, V3; JSON, or a PNG image with the text chunk `chara` or `ccv3`).

The sample dialogues become conversations, the rest says who the persona is. Specification:
https://github.com/malfoyslastname/character-card-spec-v2
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from molting.core.conversation import Source
from molting.core.errors import InputError
from molting.core.persona import Persona
from molting.curate.chats.png import png_texts
from molting.curate.chats.record import Chat, Message, Thread, as_text
from molting.signals.text import fold

USER = "User"
"""What the other speaker of a card's dialogues is called."""
_SPECS = ("chara_card_v2", "chara_card_v3")
_V1 = {"name", "description", "personality", "scenario", "first_mes", "mes_example"}
_START = re.compile(r"<START>", re.IGNORECASE)
_CHAR = re.compile(r"\{\{char\}\}|<BOT>|<CHAR>", re.IGNORECASE)
_USER = re.compile(r"\{\{user\}\}|<USER>", re.IGNORECASE)
_COMMENT = re.compile(r"\{\{//.*?\}\}|\{\{original\}\}", re.IGNORECASE | re.DOTALL)
_SAMPLES = 5
_PHRASES = re.compile(r"[,;\n]+")


def looks_like_card(value: Any) -> bool:
    return isinstance(value, dict) and (
        (value.get("spec") in _SPECS and isinstance(value.get("data"), dict))
        or (value.keys() >= {"name", "first_mes"} and len(_V1 & value.keys()) >= 4)
    )


def card_of_png(path: Path, shown: str) -> dict[str, Any]:
    """The card in an image. V3's chunk goes first: writers keep `chara` for older readers."""
    texts = png_texts(path, shown)
    raw = texts.get("ccv3") or texts.get("chara")
    if raw is None:
        has = ", ".join(sorted(texts)) or "none"
        raise InputError(
            f"has no character card in it (no text chunk `chara`; text chunks: {has})", file=shown
        )
    try:
        value = json.loads(base64.b64decode(raw, validate=False))
    except (binascii.Error, ValueError, RecursionError):
        raise InputError("its character card is no base64 JSON", file=shown) from None
    if not looks_like_card(value):
        raise InputError("its text chunk `chara` holds no character card", file=shown)
    return dict(value)


def read_card(value: dict[str, Any], shown: str) -> Chat:
    """Sample dialogues and greetings as threads, numbered in that order, and the persona."""
    data = value["data"] if value.get("spec") in _SPECS else value
    name = as_text(data.get("name"))
    if not name:
        raise InputError("the character card has no name", file=shown)
    examples = as_text(data.get("mes_example"))
    blocks = [part for part in _START.split(examples) if part.strip()]
    dropped: Counter[str] = Counter()
    threads: list[Thread] = []
    number = 0
    for place, block in enumerate(blocks, 1):
        messages = []
        for who, words in _lines(block, name):
            number += 1
            if who is None:
                dropped["no_author"] += 1
            elif not words:
                dropped["empty"] += 1
            else:
                messages.append(Message(who, words, Source(shown, number)))
        if messages:
            threads.append(Thread(f"{shown}#dialogue {place}", tuple(messages)))
    alternate = data.get("alternate_greetings")
    greetings = [data.get("first_mes"), *(alternate if isinstance(alternate, list) else [])]
    told = [_plain(as_text(greeting), name) for greeting in greetings]
    for place, words in enumerate(told, 1):
        if words:
            number += 1
            threads.append(
                Thread(
                    f"{shown}#greeting {place}", (Message(name, words, Source(shown, number)),)
                )
            )  # fmt: skip
    said = [m.text for thread in threads for m in thread.messages if m.who == name]
    notes = ["a greeting answers nobody: curation rejects it (no_user_turn)"] if any(told) else []
    if not said:
        notes.append("the card has no dialogue: bring chat rows of your own")
    return Chat(
        shown, "character_card", tuple(threads), dict(dropped), tuple(notes),
        persona=_persona(data, name, said),
    )  # fmt: skip


def _lines(block: str, name: str) -> list[tuple[str | None, str]]:
    """(speaker, words) of a dialogue; None speaks what stands before the first speaker."""
    spoken: list[tuple[str | None, list[str]]] = []
    heads = {"{{char}}": name, "<bot>": name, "<char>": name, fold(name): name,
             "{{user}}": USER, "<user>": USER, "you": USER, "user": USER}  # fmt: skip
    for line in block.strip().split("\n"):
        head, colon, rest = line.strip().partition(":")
        who = heads.get(fold(head.strip("*_ "))) if colon else None
        if who:
            spoken.append((who, [rest.strip().removeprefix("**").strip()]))
        elif spoken:
            spoken[-1][1].append(line.rstrip())
        elif line.strip():
            spoken.append((None, [line]))
    return [(who, _plain("\n".join(lines).strip(), name)) for who, lines in spoken]


def _plain(text: str, name: str) -> str:
    """Macros as words: nobody's model should learn to say `{{user}}`."""
    return _COMMENT.sub("", _USER.sub(USER, _CHAR.sub(name, text))).strip()


def _persona(data: dict[str, Any], name: str, said: list[str]) -> Persona:
    """Short phrases of `personality` are habits of speech; a longer text belongs to who it is."""
    personality = _plain(as_text(data.get("personality")), name)
    phrases = tuple(part.strip(" .") for part in _PHRASES.split(personality) if part.strip(" ."))
    listed = bool(phrases) and all(len(phrase.split()) <= 6 for phrase in phrases)
    scenario = _plain(as_text(data.get("scenario")), name)
    about = [_plain(as_text(data.get("description")), name), "" if listed else personality,
             f"Scenario: {scenario}" if scenario else ""]  # fmt: skip
    lines = [" ".join(line.split()) for line in said]
    return Persona(
        name=name,
        description="\n".join(part for part in about if part),
        voice_does=phrases if listed else (),
        samples=tuple(line for line in lines if len(line) <= 300)[:_SAMPLES],
    )
