"""The kinds of duplicates that only chats have, as `molting duplicates` tells them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from rich.console import Console

from molting.core.config import Curate
from molting.core.conversation import Conversation
from molting.core.progress import Progress
from molting.curate.selection import phrase_budget
from molting.signals.chat_kinds import Kind, KindFinding, find_kinds

MOST = 50_000
"""Rows up to which the kinds are looked for unasked (half a minute)."""
_LINES = 5
_WORDS = {
    "same_reply_other_prompt": "the same reply to different prompts",
    "conflicting_replies": "the same prompt, conflicting replies",
    "shared_prefix": "chats that begin alike and then part",
    "merged_turns": "the same chat, cut up differently",
    "reordered_turns": "the same exchanges in another order",
    "shared_system": "one system prompt in every row",
    "catch_phrase": "a phrase beyond its budget",
}


def find_chat_kinds(
    rows: Sequence[Conversation],
    curate: Curate,
    wanted: bool | None,
    across: bool,
    progress: Progress,
) -> list[KindFinding] | None:
    """Every finding; None where they are not looked for (two sets, not wanted, or too many rows)."""
    if across or wanted is False:
        return None
    if wanted is None and len(rows) > MOST:
        progress.say(
            f"{len(rows):,} rows: chat-only kinds are not looked for above {MOST:,}; --kinds does"
        )
        return None
    return find_kinds(rows, phrase_budget(curate))


def count_kinds(findings: Sequence[KindFinding]) -> dict[str, int]:
    counts = Counter(finding.kind for finding in findings)
    return {kind: counts[kind] for kind in get_args(Kind)}


def finding_json(finding: KindFinding, rows: Sequence[Conversation]) -> dict[str, Any]:
    """Rows as `file:line`; turns in the evidence as `file:line#turn`, from 1 as at other places."""
    return {
        "kind": finding.kind,
        "rows": [str(rows[i].source) for i in finding.rows],
        "parts": [[str(rows[i].source) for i in part] for part in finding.parts],
        "evidence": _told(finding.evidence, rows),
        "remedy": finding.remedy,
    }


def print_kinds(
    console: Console, findings: Sequence[KindFinding], rows: Sequence[Conversation], limit: int
) -> None:
    shown = [finding for finding in findings if finding.kind != "shared_system"]
    for finding in shown[:limit]:
        console.print(f"[bold]{finding.kind}[/bold]: {_WORDS[finding.kind]}")
        for line in _evidence(finding):
            console.print(f"    {line}", markup=False)
        labels = [str(rows[i].source) for i in finding.rows]
        more = f" … {len(labels) - _LINES:,} more" if len(labels) > _LINES else ""
        console.print(f"    {', '.join(labels[:_LINES])}{more}", markup=False)
    if len(shown) > limit:
        console.print(f"… {len(shown) - limit:,} more findings; `--json` has all", markup=False)
    counts = {kind: count for kind, count in count_kinds(findings).items() if count}
    told = ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "none"
    console.print(f"kinds that only chats have: {told}", markup=False)


def _evidence(finding: KindFinding) -> list[str]:
    evidence = finding.evidence
    match finding.kind:
        case "same_reply_other_prompt":
            return [f"reply: {_line(evidence['reply'])}", *map(_line, evidence["prompts"][:_LINES])]
        case "conflicting_replies":
            answers = [_line(answer["reply"]) for answer in evidence["answers"][:_LINES]]
            return [f"{_line(evidence['prompt'])} ({', '.join(evidence['because'])})", *answers]
        case "shared_prefix":
            return [f"{evidence['shared_turns']} turns, to: {_line(evidence['last_shared'])}"]
        case "catch_phrase":
            return [
                f"“{evidence['phrase']}” ({evidence['where']}): {evidence['share']:.0%} of the "
                f"replies, budget {evidence['budget']:.0%}"
            ]
    return []


def _line(text: str) -> str:
    return " ".join(text.split())[:90]


def _told(evidence: dict[str, Any], rows: Sequence[Conversation]) -> dict[str, Any]:
    """Row numbers mean nothing outside this process."""

    def label(place: Sequence[Any]) -> list[Any]:
        row, value = place
        return [str(rows[row].source), value]

    def turn(place: Sequence[int]) -> str:
        return f"{rows[place[0]].source}#{place[1] + 1}"

    told = dict(evidence)
    if "turns" in told:
        told["turns"] = [turn(place) for place in told["turns"]]
    if "answers" in told:
        told["answers"] = [
            {**answer, "turns": [turn(place) for place in answer["turns"]]}
            for answer in told["answers"]
        ]
    if "parts_at" in told:
        told["parts_at"] = [
            str(rows[row].source) if at is None else turn((row, at)) for row, at in told["parts_at"]
        ]
    if isinstance(told.get("messages"), list):
        told["messages"] = [label(place) for place in told["messages"]]
    return told
