"""Texts shipped as contrast: a neutral assistant and other personas, written for this project."""

from __future__ import annotations

import functools
from importlib import resources

import msgspec


class Contrast(msgspec.Struct, frozen=True):
    prompt: str
    reply: str
    persona: str = "neutral"


@functools.cache
def neutral_replies() -> tuple[Contrast, ...]:
    """A clean, polite assistant without a personality, answering everyday prompts."""
    return _read("neutral.jsonl")


@functools.cache
def other_personas() -> tuple[Contrast, ...]:
    """Five strong voices that are not the persona's."""
    return _read("contrast.jsonl")


def _read(name: str) -> tuple[Contrast, ...]:
    text = resources.files("molting.data").joinpath(name).read_text(encoding="utf-8")
    return tuple(
        msgspec.json.decode(line, type=Contrast) for line in text.splitlines() if line.strip()
    )
