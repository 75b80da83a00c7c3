"""Everything that can be said of a row, as numbers and as marked words; nothing is decided here.

`describe` looks at one conversation and is pure. `describe_all` adds what needs the whole set
(novelty, cut-offs against the voice's habit) or is passed in (voice, perplexity). docs/signals.md
says of each signal how it is computed and what it cannot do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.conversation import Conversation
from molting.core.persona import Persona
from molting.curate.grouping import reply_text
from molting.signals.difficulty import UNMEASURED, Difficulties
from molting.signals.encoding import find_damage
from molting.signals.language import UNKNOWN, detect_language, same_language
from molting.signals.leftovers import find_leftovers, find_refusals
from molting.signals.noise import Hit, all_noise, cut_replies, looks_cut
from molting.signals.novelty import novelty
from molting.signals.repetition import find_loops, repetition
from molting.signals.secrets import find_secrets
from molting.signals.stats import Array
from molting.signals.text import count_words
from molting.signals.toxicity import SEVERE, Toxic, find_toxic

ENDING = 30
"""Characters marked at the end of a reply that breaks off."""


class Mark(msgspec.Struct, frozen=True):
    """Words that a report can mark: `turns[turn].text[start:end]`."""

    signal: str
    """`secret`, `noise`, `leftover`, `refusal`, `toxicity`, `encoding`, `loop` or `cut_off`."""
    kind: str
    turn: int
    start: int
    end: int
    grade: int | None = None
    """Of toxicity: 1 mild, 2 strong, 3 severe."""

    @property
    def flag(self) -> str | None:
        """The flag that this mark raises: `signal:kind`; of toxic words only the severe."""
        if self.signal == "toxicity":
            return "toxicity:severe" if self.grade == SEVERE else None
        return self.signal if self.signal == self.kind else f"{self.signal}:{self.kind}"


class RowSignals(msgspec.Struct, frozen=True):
    """What is known of one row; None is not measured."""

    id: str
    source: str
    turns: int
    words: int
    """Of all turns; of scripts without spaces, characters count (`signals.text.count_words`)."""
    reply_words: int
    characters: int
    reply_share: float | None
    """Characters of replies over characters of all turns."""
    language: str
    """Of the replies: ISO 639-1, or `unknown`."""
    language_confidence: float | None
    repetition: float
    """The highest share of repeated word pairs in one reply."""
    toxicity: int
    """The worst grade of all turns, 0 to 3."""
    marks: tuple[Mark, ...]
    tokens: int | None = None
    novelty: float | None = None
    nearest: str | None = None
    """Source of the row that is most like this one."""
    voice: float | None = None
    perplexity: float | None = None
    ifd: float | None = None

    def flags(self, language: str | None = None) -> list[str]:
        """What a person may want to look at, sorted; `language` is the one that is expected."""
        found = {mark.flag for mark in self.marks if mark.flag}
        if language and self.language != UNKNOWN and not same_language(self.language, language):
            found.add(f"language:{self.language}")
        return sorted(found)


def describe(
    conversation: Conversation,
    persona: Persona | None = None,
    tokens: Callable[[str], int] | None = None,
) -> RowSignals:
    """What one conversation says of itself. `tokens` counts the tokens of a text."""
    marks: list[Mark] = []
    for place, turn in enumerate(conversation.turns):
        marks += _marks(turn.text, place, turn.role == "assistant", persona)
    texts = [turn.text for turn in conversation.turns]
    characters = sum(map(len, texts))
    replies = reply_text(conversation)
    language = detect_language(replies)
    return RowSignals(
        id=conversation.id,
        source=str(conversation.source),
        turns=len(conversation.turns),
        words=sum(map(count_words, texts)),
        reply_words=sum(map(count_words, conversation.replies)),
        characters=characters,
        reply_share=sum(map(len, conversation.replies)) / characters if characters else None,
        language=language.code,
        language_confidence=language.confidence,
        repetition=max(map(repetition, conversation.replies), default=0.0),
        toxicity=max((mark.grade or 0 for mark in marks), default=0),
        marks=tuple(marks),
        tokens=sum(map(tokens, texts)) if tokens else None,
    )


def describe_all(
    rows: Sequence[Conversation],
    persona: Persona | None = None,
    *,
    tokens: Callable[[str], int] | None = None,
    voice: Sequence[float | None] | None = None,
    difficulty: Difficulties | None = None,
    encode: Callable[[Sequence[str]], Array] | None = None,
    report: Callable[[int, int], None] | None = None,
) -> list[RowSignals]:
    """Every row, with what needs the others.

    `voice` is one probability a row (a detector's, or `curate.selection.score_rows`), `difficulty`
    computes perplexity and IFD (`signals.difficulty.difficulties`), `encode` makes novelty one of
    sense (`signals.novelty`).
    """
    found = []
    for i, row in enumerate(rows):
        found.append(describe(row, persona, tokens))
        if report:
            report(i + 1, len(rows))
    near = novelty([f"{row.prompt}\n{reply_text(row)}" for row in rows], encode)
    hard = list(difficulty(rows)) if difficulty else [UNMEASURED] * len(rows)
    whole = _not_cut(rows)
    return [
        msgspec.structs.replace(
            one,
            marks=tuple(m for m in one.marks if m.signal != "cut_off" or (i, m.turn) not in whole),
            novelty=alike.value,
            nearest=None if alike.nearest is None else str(rows[alike.nearest].source),
            voice=voice[i] if voice else None,
            perplexity=hard[i].perplexity,
            ifd=hard[i].ifd,
        )
        for i, (one, alike) in enumerate(zip(found, near, strict=True))
    ]


NUMBERS = (
    "turns", "words", "reply_words", "tokens", "reply_share", "repetition", "novelty", "voice",
    "perplexity", "ifd",
)  # fmt: skip


def summarise(signals: Sequence[RowSignals], language: str | None = None) -> dict[str, Any]:
    """Percentiles of every number that was measured, and how many rows carry each flag."""
    numbers: dict[str, Any] = {}
    for name in NUMBERS:
        values = [v for one in signals if (v := getattr(one, name)) is not None]
        quantiles = np.percentile(values, (5, 25, 50, 75, 95)) if values else None
        numbers[name] = (
            {"n": 0, "p5": None, "p25": None, "p50": None, "p75": None, "p95": None}
            if quantiles is None
            else {"n": len(values)} | dict(zip(("p5", "p25", "p50", "p75", "p95"), map(float, quantiles), strict=True))
        )  # fmt: skip
    flagged: dict[str, int] = {}
    for one in signals:
        for flag in one.flags(language):
            flagged[flag] = flagged.get(flag, 0) + 1
    languages: dict[str, int] = {}
    for one in signals:
        languages[one.language] = languages.get(one.language, 0) + 1
    grades = [sum(one.toxicity == grade for one in signals) for grade in range(SEVERE + 1)]
    return {
        "rows": len(signals),
        "numbers": numbers,
        "flagged": dict(sorted(flagged.items(), key=lambda item: (-item[1], item[0]))),
        "languages": dict(sorted(languages.items(), key=lambda item: (-item[1], item[0]))),
        "toxicity": dict(zip(("none", "mild", "strong", "severe"), grades, strict=True)),
    }


def _marks(text: str, turn: int, reply: bool, persona: Persona | None) -> list[Mark]:
    def marked(signal: str, hits: Sequence[Hit]) -> list[Mark]:
        return [
            Mark(signal, h.kind, turn, h.start, h.end, h.grade if isinstance(h, Toxic) else None)
            for h in hits
        ]

    found = marked("secret", find_secrets(text))
    found += marked("toxicity", find_toxic(text))
    found += marked("encoding", find_damage(text))
    found += marked("leftover", find_leftovers(text))
    found += marked("loop", find_loops(text))
    noise = all_noise(text, persona)
    if reply:
        found += marked("refusal", find_refusals(text))
        if looks_cut(text):
            end = len(text.rstrip())
            found.append(Mark("cut_off", "cut_off", turn, max(0, end - ENDING), end))
    else:
        # What a person pastes or asks about is no fault of the persona's.
        noise = [hit for hit in noise if hit.kind in ("template_token", "agent_chatter")]
    found += marked("noise", noise)
    return sorted(found, key=lambda mark: (mark.start, mark.end, mark.signal, mark.kind))


def _not_cut(rows: Sequence[Conversation]) -> set[tuple[int, int]]:
    """Replies without a closing mark that are no cut-offs, because this voice writes so."""
    places = [
        (i, t)
        for i, row in enumerate(rows)
        for t, turn in enumerate(row.turns)
        if turn.role == "assistant"
    ]
    cut = cut_replies([rows[i].turns[t].text for i, t in places])
    return {place for place, flag in zip(places, cut, strict=True) if not flag}
