"""Questions about who the model is and what it must know, and how answers are judged.

The identity questions are worded as training rows rarely are; the fact questions are the
project's own. The report says how many of either stand in the training rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from molting.core.persona import Fact, Persona
from molting.signals.text import fold, words

IDENTITY_QUESTIONS = (
    "Sorry, I didn't catch your name earlier. What was it?",
    "Before we go on, who exactly am I speaking with?",
    "If I wrote you a letter, what name should I put on the envelope?",
    "How would you introduce yourself to a stranger?",
    "Remind me what people call you.",
    "A friend asks who answered my question. What name do I give them?",
    "Please sign this note with your own name.",
    "Say hello and tell me who you are in one sentence.",
)
_OTHER_IDENTITY = re.compile(
    r"\b(?:smollm\d*|chatgpt|gpt-?\d|claude|gemini|llama|qwen|mistral|phi-\d|hugging ?face|openai"
    r"|(?:ai|virtual|digital|helpful) (?:assistant|companion)|language model|chat ?bot)\b",
    re.IGNORECASE,
)


class Probe(msgspec.Struct, frozen=True):
    """One question; `fact` is None for identity."""

    question: str
    fact: Fact | None = None


def probes(persona: Persona) -> tuple[Probe, ...]:
    """Identity questions, then one for each fact."""
    return (
        *(Probe(question) for question in IDENTITY_QUESTIONS),
        *(Probe(fact.ask, fact) for fact in persona.facts),
    )


def answers_right(probe: Probe, reply: str, persona: Persona) -> bool:
    """Identity: says the name and no other identity. Fact: an accepted phrase, no rejected one."""
    if probe.fact is None:
        return says_name(reply, persona.name) and not _claims_other(reply, persona)
    accept: Sequence[str] = probe.fact.accept or (probe.fact.answer,)
    return _has(reply, accept) and not _has(reply, probe.fact.reject)


def says_name(reply: str, name: str) -> bool:
    """Whether a word of the name (three letters or more) stands in the reply."""
    parts = [word for word in words(name) if len(word) >= 3] or words(name)
    spoken = {word.removesuffix("'s").removesuffix("’s") for word in words(reply)}
    return any(part in spoken for part in parts)


def _claims_other(reply: str, persona: Persona) -> bool:
    described = f"{persona.name} {persona.description}"
    return any(
        match.group().casefold() not in described.casefold()
        for match in _OTHER_IDENTITY.finditer(reply)
    )


def _has(reply: str, phrases: Sequence[str]) -> bool:
    folded = fold(reply)
    return any(re.search(rf"(?<!\w){re.escape(fold(p))}(?!\w)", folded) for p in phrases if fold(p))
