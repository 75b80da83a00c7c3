"""Why rows were taken and why the best of the others were not, read from a corpus' verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from molting.core.corpus import Corpus, Row

_ALIKE = 0.35
"""A row this like one that was taken says much the same."""


class Explained(msgspec.Struct, frozen=True):
    """One row: its score's parts, what it is like, and the reason in words."""

    source: str
    text: str
    rank: int | None
    score: float
    parts: dict[str, float | None]
    topic: int
    nearest: str | None
    likeness: float
    because: str


class TopicShare(msgspec.Struct, frozen=True):
    """How much of a topic was taken."""

    topic: int
    words: str
    rows: int
    taken: int


class Explanation(msgspec.Struct, frozen=True):
    """The selection of a corpus: rows taken by rank, others by score, best first."""

    selector: str
    taken: tuple[Explained, ...]
    left_out: tuple[Explained, ...]
    topics: tuple[TopicShare, ...]


def explain(corpus: Corpus, most: int | None = None) -> Explanation:
    """Explain up to `most` rows taken and as many of the best left out (all, if None)."""
    chosen = [row for row in corpus.rows if row.verdict.reason == "selected"]
    others = [row for row in corpus.rows if row.verdict.reason == "not_selected"]
    chosen.sort(key=lambda row: row.verdict.evidence["rank"])
    others.sort(key=lambda row: -row.verdict.evidence["score"])
    rows = Counter(_topic(row) for row in (*chosen, *others))
    taken = Counter(_topic(row) for row in chosen)
    words = {_topic(row): row.verdict.evidence["topic_words"] for row in (*chosen, *others)}
    last = min((row.verdict.evidence["score"] for row in chosen), default=0.0)
    prompts = {row.group for row in chosen if row.group is not None}
    return Explanation(
        corpus.recipe["curate"]["selector"],
        tuple(_explained(row, _weakest(row)) for row in chosen[:most]),
        tuple(_explained(row, _because(row, last, prompts)) for row in others[:most]),
        tuple(TopicShare(t, words[t], rows[t], taken[t]) for t in sorted(rows)),
    )


def _explained(row: Row, because: str) -> Explained:
    evidence = row.verdict.evidence
    return Explained(
        str(row.conversation.source),
        " ".join(row.conversation.reply.split()),
        evidence.get("rank"),
        evidence["score"],
        _parts(row),
        _topic(row),
        evidence["nearest"],
        evidence["likeness"],
        because,
    )


def _topic(row: Row) -> int:
    return int(row.verdict.evidence["topic"])


def _parts(row: Row) -> dict[str, float | None]:
    from molting.curate.scoring import Score

    names = [name for name in Score.__struct_fields__ if name != "score"]
    return {name: row.verdict.evidence[name] for name in names}


def _weakest(row: Row) -> str:
    name, value = min(
        ((k, v) for k, v in _parts(row).items() if v is not None), key=lambda item: item[1]
    )
    return "nothing is weak" if value >= 0.95 else f"weakest: {name} {value:.2f}"


def _because(row: Row, last: float, prompts: set[int]) -> str:
    """The plainest of the reasons that hold."""
    evidence: dict[str, Any] = row.verdict.evidence
    reasons: Sequence[str] = [
        f"score {evidence['score']:.2f}, the lowest taken has {last:.2f}; {_weakest(row)}"
        if evidence["score"] < last
        else "",
        f"{evidence['likeness']:.2f} like {evidence['nearest']}"
        if evidence["likeness"] >= _ALIKE
        else "",
        "its prompt has a row already" if row.group in prompts else "",
        f"“{evidence['phrases_spent'][0]}” is said as often as its budget allows"
        if evidence.get("phrases_spent")
        else "",
    ]
    found = [reason for reason in reasons if reason]
    return "; ".join(found) or "others were as good and less like the rows taken"
