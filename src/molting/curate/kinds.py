"""The kinds of duplicates that only chats have, as the preflight tells them: one fault a kind."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from molting.core.config import Config
from molting.core.conversation import Conversation
from molting.curate.selection import phrase_budget
from molting.signals.chat_kinds import Kind, KindFinding, find_kinds

Fault = tuple[str, Literal["error", "warning", "note"], str, str, list[Conversation]]
"""Code, severity, message, remedy, rows."""

_SHOWN = 3
_FAULTS: dict[Kind, tuple[Literal["error", "warning", "note"], str]] = {
    "same_reply_other_prompt": ("warning", "the same reply stands under clearly different prompts"),
    "conflicting_replies": ("warning", "the same prompt has replies that do not say the same"),
    "shared_prefix": ("note", "chats that begin alike and then part, or one that goes on"),
    "merged_turns": ("warning", "the same chat with its messages cut up differently"),
    "reordered_turns": ("warning", "the same exchanges in another order"),
    "catch_phrase": ("note", "say a phrase beyond its budget"),
}


def kind_faults(rows: Sequence[Conversation], config: Config) -> list[Fault]:
    """A fault for every kind that was found; a system prompt in every row is none."""
    by_kind: dict[Kind, list[KindFinding]] = defaultdict(list)
    for finding in find_kinds(rows, phrase_budget(config.curate)):
        by_kind[finding.kind].append(finding)
    faults: list[Fault] = []
    for kind, (severity, meaning) in _FAULTS.items():
        found = by_kind[kind]
        if not found:
            continue
        concerned = sorted({row for finding in found for row in finding.rows})
        count = "1 row" if len(concerned) == 1 else f"{len(concerned)} rows"
        message = f"{count}: {meaning}"
        if kind == "catch_phrase":
            message += f" ({_phrases(found)})"
        faults.append((kind, severity, message, found[0].remedy, [rows[i] for i in concerned]))
    return faults


def _phrases(found: Sequence[KindFinding]) -> str:
    words = {"opener": "opens", "closer": "closes", "phrase": "is in"}
    shown = [
        f"“{f.evidence['phrase']}” {words[f.evidence['where']]} {f.evidence['share']:.0%} of the "
        f"replies, budget {f.evidence['budget']:.0%}"
        for f in found[:_SHOWN]
    ]
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(shown) + more
