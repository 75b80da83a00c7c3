"""The queue: the rows where a person's decision matters most, and why each is in it.

It is made from the corpus as it would be without any decision, so it is the same for every
reviewer and in every session: two people can be compared, nobody sees the other's decisions, and
a session goes on where the last one stopped.

Each kind of doubt (`CODES`) ranks its own rows. The queue takes them by reciprocal rank fusion
(Cormack, Clarke & Büttcher 2009), the sum of 1 / (10 + rank) over the kinds: every kind has its
turn, and a row that is doubtful in two ways comes before one that is so in one.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.config import Config
from molting.core.conversation import Conversation, Verdict
from molting.core.corpus import Corpus, Row, SplitName
from molting.curate.grouping import reply_text
from molting.curate.preflight import NO_PERSONA_VOICE
from molting.signals.noise import find_noise, looks_cut
from molting.signals.stats import Array

CODES = {
    "near_cut": "its score is close to where the selection stops",
    "weakest_kept": "no target cuts the rows off, and this is among the weakest kept",
    "uncertain_voice": "the voice detector cannot tell whether it is the persona",
    "signals_disagree": "one signal is high and another low",
    "outlier": "it is unlike all other kept rows",
    "stands_for_many": "it was kept for a large group of duplicates",
    "near_duplicate": "it was rejected as a duplicate, hardly above the threshold",
    "warning": "it is kept although something speaks against it",
    "repairable": "it was rejected for a small part of its text, which an edit can mend",
}
"""Every reason why a row is in the queue. A closed list."""

UNCERTAIN_VOICE = 0.15
"""Voice probabilities this close to one half are uncertain."""
DISAGREEMENT = 0.5
NEAR_THRESHOLD = 0.1
"""A duplicate's similarity is hardly above the threshold when it is less than this above it."""
SMALL_PART = 0.1
OUTLIER_SHARE = 0.1
_NEIGHBOURS = 3
_MENDABLE = ("secret", "boilerplate", "template_token")
"""Kinds of noise whose matched span is the noise; an agent's word only gives the rest away."""
_FUSION = 10
_COMPARED_ROWS = 5000
"""Of more kept rows than this, an even sample is what each is compared with."""


class Why(msgspec.Struct, frozen=True):
    """One reason why a row is in the queue: a code of `CODES`, and the numbers in words."""

    code: str
    text: str


class Mark(msgspec.Struct, frozen=True):
    """A span of a turn (characters) that a warning or a verdict is about."""

    turn: int
    start: int
    end: int
    kind: str


class Neighbour(msgspec.Struct, frozen=True):
    """The kept row that this one was taken to say again."""

    conversation: Conversation
    similarity: float


class Item(msgspec.Struct, frozen=True):
    """A row to decide, with what curation says of it."""

    conversation: Conversation
    """As it stands in the chat file."""
    verdict: Verdict
    split: SplitName | None
    why: tuple[Why, ...]
    marks: tuple[Mark, ...] = ()
    neighbour: Neighbour | None = None
    copies: int = 1
    """How many rows have this very content; a decision is about all of them."""

    @property
    def signals(self) -> dict[str, float]:
        """The numbers among the verdict's evidence."""
        return {
            name: value
            for name, value in self.verdict.evidence.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name != "turn"
        }

    def as_json(self) -> dict[str, Any]:
        neighbour = self.neighbour and {
            "id": self.neighbour.conversation.id,
            "source": str(self.neighbour.conversation.source),
            "similarity": self.neighbour.similarity,
            "messages": self.neighbour.conversation.messages,
        }
        return {
            "id": self.conversation.id,
            "source": str(self.conversation.source),
            "copies": self.copies,
            "messages": self.conversation.messages,
            "kept": self.verdict.kept,
            "reason": self.verdict.reason,
            "split": self.split,
            "evidence": self.verdict.evidence,
            "why": [msgspec.to_builtins(why) for why in self.why],
            "marks": [msgspec.to_builtins(mark) for mark in self.marks],
            "neighbour": neighbour,
        }


Ranked = list[tuple[float, int, str]]
"""(what it is ranked by, ascending; the row's place; the reason in words)."""


def review_queue(
    rows: Sequence[Conversation], corpus: Corpus, config: Config, count: int
) -> list[Item]:
    """At most `count` rows, most doubtful first; pure in its arguments.

    `rows` are the rows of the chat files in their order (held-out files last), and `corpus` what
    curation makes of them without decisions: place for place the same rows.
    """
    marks = {i: _warnings(row.conversation, config) for i, row in enumerate(corpus.rows)
             if row.verdict.kept}  # fmt: skip
    ranked: dict[str, Ranked] = {
        **_scores(corpus.rows),
        "outlier": _outliers(corpus.rows),
        "stands_for_many": _representatives(corpus.rows),
        "near_duplicate": _borderline(corpus.rows, config),
        "warning": _warned(corpus.rows, marks),
        "repairable": _repairable(corpus.rows),
    }
    priority: dict[int, float] = defaultdict(float)
    why: dict[int, list[Why]] = defaultdict(list)
    for code in CODES:
        for rank, (_, i, text) in enumerate(sorted(ranked.get(code, []))[:count]):
            priority[i] += 1 / (_FUSION + rank)
            why[i].append(Why(code, text))
    by_id = {row.id: i for i, row in reversed(list(enumerate(rows)))}
    copies = Counter(row.id for row in rows)
    found: list[Item] = []
    seen: set[str] = set()
    for i in sorted(priority, key=lambda i: (-priority[i], i)):
        if rows[i].id in seen or len(found) == count:
            continue
        seen.add(rows[i].id)
        row = corpus.rows[i]
        found.append(
            Item(
                rows[i],
                row.verdict,
                row.split,
                tuple(why[i]),
                tuple(marks.get(i) or _rejected_span(row)),
                _neighbour(row.verdict, rows, by_id),
                copies[rows[i].id],
            )
        )
    return found


def _scores(rows: Sequence[Row]) -> dict[str, Ranked]:
    """What the evidence of selection tells: the cut, the voice, signals that disagree."""
    scored = {
        i: float(row.verdict.evidence["score"])
        for i, row in enumerate(rows)
        if row.verdict.reason in ("selected", "not_selected") and "score" in row.verdict.evidence
    }
    taken = sorted(
        (i for i in scored if rows[i].verdict.kept),
        key=lambda i: (rows[i].verdict.evidence.get("rank", 0), -scored[i]),
    )
    found: dict[str, Ranked] = {}
    if taken and len(taken) < len(scored):
        last = taken[-max(1, len(taken) // 10) :]
        cut = float(np.mean([scored[i] for i in last]))
        place = {i: -n / len(taken) for n, i in enumerate(taken)}
        found["near_cut"] = [
            # Where many scores are as good as equal, the rows that were taken last come first.
            (
                round(abs(score - cut), 2) + place.get(i, 0) / 1000,
                i,
                f"score {score:.2f}; the last rows taken have about {cut:.2f}",
            )
            for i, score in scored.items()
        ]
    elif taken:
        quarter = float(np.quantile([scored[i] for i in taken], 0.25))
        found["weakest_kept"] = [
            (
                score,
                i,
                f"score {score:.2f}; three quarters of the kept rows have {quarter:.2f} or more",
            )
            for i, score in scored.items()
            if score < quarter
        ]
    found["uncertain_voice"], found["signals_disagree"] = [], []
    for i in scored:
        voice = rows[i].verdict.evidence.get("voice")
        substance = rows[i].verdict.evidence.get("substance")
        if voice is not None and abs(voice - 0.5) <= UNCERTAIN_VOICE:
            found["uncertain_voice"].append((abs(voice - 0.5), i, f"voice {voice:.2f} (0 to 1)"))
        if voice is not None and substance is not None and abs(voice - substance) >= DISAGREEMENT:
            found["signals_disagree"].append(
                (-abs(voice - substance), i, f"voice {voice:.2f}, substance {substance:.2f}")
            )
    return found


def _outliers(rows: Sequence[Row]) -> Ranked:
    kept = [i for i, row in enumerate(rows) if row.verdict.kept]
    if len(kept) <= 2 * _NEIGHBOURS:
        return []
    texts = [f"{rows[i].conversation.prompt}\n{reply_text(rows[i].conversation)}" for i in kept]
    if not any(text.strip() for text in texts):
        return []
    likeness = _likeness(texts)
    edge, middle = np.quantile(likeness, [OUTLIER_SHARE, 0.5])
    return [
        (float(value), i,
         f"likeness to its {_NEIGHBOURS} nearest rows {value:.2f}; half the rows have {middle:.2f} or more")
        for i, value in zip(kept, likeness, strict=True)
        if value <= edge < middle
    ]  # fmt: skip


def _likeness(texts: Sequence[str]) -> Array:
    """Mean cosine (TF-IDF of character 3- and 4-grams) to the nearest other texts, (len(texts),)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    matrix = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True
    ).fit_transform(texts)
    compared = np.unique(
        np.linspace(0, len(texts) - 1, min(len(texts), _COMPARED_ROWS)).round().astype(int)
    )
    others = matrix[compared].T.tocsr()
    found = np.zeros(len(texts))
    for begin in range(0, len(texts), 256):
        block = np.arange(begin, min(begin + 256, len(texts)))
        similar = (matrix[block] @ others).toarray()
        # A row is no neighbour of its own.
        similar[block[:, None] == compared[None, :]] = -1.0
        found[block] = np.sort(similar, axis=1)[:, -_NEIGHBOURS:].mean(axis=1)
    # Sums differ in the last bits from machine to machine; the order must not.
    return found.round(6)


def _representatives(rows: Sequence[Row]) -> Ranked:
    twins = Counter(
        row.verdict.evidence["twin"]
        for row in rows
        if row.verdict.reason.endswith("_duplicate") and "twin" in row.verdict.evidence
    )
    return [
        (
            -twins[row.conversation.id],
            i,
            f"was kept in place of {twins[row.conversation.id]} duplicates",
        )
        for i, row in enumerate(rows)
        if row.verdict.kept and twins[row.conversation.id] > 1
    ]


def _borderline(rows: Sequence[Row], config: Config) -> Ranked:
    found: Ranked = []
    for i, row in enumerate(rows):
        similarity = row.verdict.evidence.get("similarity")
        if row.verdict.reason == "near_duplicate" and similarity is not None:
            above = similarity - config.curate.near_threshold
            if above < NEAR_THRESHOLD:
                source = row.verdict.evidence.get("twin_source", "another row")
                found.append((above, i, f"similarity {similarity:.2f} to {source}"))
    return found


def _warnings(row: Conversation, config: Config) -> list[Mark]:
    """What speaks against a row without rejecting it, as spans."""
    found = []
    never = [phrase for phrase in config.persona.voice_never if phrase.strip()]
    for t, turn in enumerate(row.turns):
        found += [Mark(t, hit.start, hit.end, hit.kind) for hit in find_noise(turn.text)]
        if turn.role != "assistant":
            continue
        for phrase in never:
            for match in re.finditer(
                rf"(?<!\w){re.escape(phrase)}(?!\w)", turn.text, re.IGNORECASE
            ):
                found.append(Mark(t, match.start(), match.end(), "never_said"))
        if looks_cut(turn.text):
            # Of a voice that writes no full stops this is no reason to reject; of one row it may be.
            end = len(turn.text.rstrip())
            found.append(Mark(t, max(0, end - 20), end, "open_end"))
    return found


def _warned(rows: Sequence[Row], marks: dict[int, list[Mark]]) -> Ranked:
    found: Ranked = []
    for i, hits in marks.items():
        told = [
            f"{hit.kind.replace('_', ' ')}: “{_short(rows[i].conversation.turns[hit.turn].text[hit.start : hit.end])}”"
            for hit in hits
        ]
        voice = rows[i].verdict.evidence.get("voice")
        if voice is not None and voice < NO_PERSONA_VOICE:
            told.append(f"the reply shows nothing of the voice ({voice:.2f})")
        if told:
            found.append((-len(told), i, "; ".join(told[:3])))
    return found


def _repairable(rows: Sequence[Row]) -> Ranked:
    found: Ranked = []
    for i, row in enumerate(rows):
        if row.verdict.reason == "cut_off":
            found.append((SMALL_PART, i, "its reply breaks off; an edit can end it"))
        for mark in _rejected_span(row) if row.verdict.reason in _MENDABLE else ():
            whole = len(row.conversation.turns[mark.turn].text)
            share = (mark.end - mark.start) / max(1, whole)
            if share <= SMALL_PART:
                found.append(
                    (
                        share,
                        i,
                        f"rejected for {mark.kind.replace('_', ' ')}, {max(share, 0.01):.0%} of the turn",
                    )
                )
    return found


def _rejected_span(row: Row) -> list[Mark]:
    evidence = row.verdict.evidence
    span, turn = evidence.get("span"), evidence.get("turn")
    if row.verdict.kept or span is None or turn is None:
        return []
    return [Mark(turn, span[0], span[1], evidence.get("kind", row.verdict.reason))]


def _neighbour(
    verdict: Verdict, rows: Sequence[Conversation], by_id: dict[str, int]
) -> Neighbour | None:
    twin = by_id.get(verdict.evidence.get("twin", ""))
    if twin is None or not verdict.reason.endswith("_duplicate"):
        return None
    return Neighbour(rows[twin], float(verdict.evidence.get("similarity", 1.0)))


def _short(text: str, length: int = 40) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
