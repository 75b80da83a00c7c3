"""Duplicates that only chats have, each kind by its name.

    same_reply_other_prompt   the same reply to clearly different prompts
    conflicting_replies       the same prompt with replies that do not say the same
    shared_prefix             chats that begin alike and then part, or one that goes on
    merged_turns              the same chat with its messages cut up differently
    reordered_turns           the same exchanges in another order
    shared_system             the same system prompt in every row (no duplicate, but worth knowing)
    catch_phrase              an opener, closer or phrase beyond its budget

Candidates come from hashes and from `near_pairs`, so the time grows with the rows, not with their
pairs. What a message says is read by `signals.gist`: no model, and lists for English; `alike` may
bring an encoder's opinion of two texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from molting.core.conversation import Conversation
from molting.signals.catch_phrases import PhraseBudget, over_used
from molting.signals.chat_structure import Chat, Kind, KindFinding, Run, read_chats, structures
from molting.signals.duplicates import groups, near_pairs
from molting.signals.gist import (
    Gist,
    contradiction,
    gist,
    likeness,
    one_subject,
    says_something,
    stands_alone,
)
from molting.signals.text import fold

__all__ = ["Alike", "Kind", "KindFinding", "find_kinds"]

Alike = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""Similarity of each pair of texts, 0 to 1, such as an encoder's cosine."""

REPLY_THRESHOLD = 0.75
"""Replies of this Jaccard similarity, with the same numbers, are one reply."""
PROMPTS_APART = 0.4
"""Prompts that share less of their content than this are clearly different."""
ALIKE_ENOUGH = 0.7
"""What `alike` must reach to call two texts the same where their words do not show it."""
_ANSWERS = 12
"""Different answers told apart under one prompt; beyond these nobody reads on."""

_REMEDIES: dict[Kind, str] = {
    "same_reply_other_prompt": "keep the row whose prompt it answers; rewrite or drop the others",
    "conflicting_replies": "decide what the persona answers, and rewrite or drop the others",
    "shared_system": "nothing to do, if the model will be used with this system prompt; "
    "leave it out of the rows if not",
    "catch_phrase": "rewrite or drop rows beyond the budget, or raise curate.phrase_share",
}


class _Exchange(NamedTuple):
    """An assistant turn and what it answers."""

    row: int
    turn: int
    asked: Gist
    prompt: str
    before: tuple[int, ...]
    """Numbers of the messages before it, small talk left out, its prompt last."""
    reply: str


def find_kinds(
    conversations: Sequence[Conversation],
    budget: PhraseBudget | None = None,
    alike: Alike | None = None,
) -> list[KindFinding]:
    """Every finding of every kind, in the order of the table above, then by row.

    Deterministic. Exact and near copies of whole chats are not listed here: `signals.duplicates`
    finds them.
    """
    chats = read_chats(conversations)
    exchanges = _exchanges(chats)
    return [
        *_same_replies(exchanges, alike),
        *_conflicts(exchanges, chats, alike),
        *structures(chats),
        *_shared_system(chats),
        *_catch_phrases(conversations, budget or PhraseBudget()),
    ]


def _exchanges(chats: Sequence[Chat]) -> list[_Exchange]:
    found = []
    for chat in chats:
        before: list[int] = []
        asked: Run | None = None
        for run in chat.runs:
            if run.role == "user":
                # "Why?" asks about what was said before it.
                if asked is None or run.gist.content or run.gist.phatic:
                    asked = run
                prompt = run
            elif asked is not None:
                context = (*before, prompt.number)
                found.append(
                    _Exchange(chat.row, run.turn, asked.gist, prompt.text, context, run.text)
                )
                if not prompt.gist.phatic:
                    before.append(prompt.number)
                if not run.gist.phatic:
                    before.append(run.number)
    return found


def _same_replies(exchanges: Sequence[_Exchange], alike: Alike | None) -> list[KindFinding]:
    # A reply that only repeats its prompt ("correct this sentence: …") is no answer to copy.
    said = [
        e
        for e in exchanges
        if e.asked.key
        and says_something(gist(e.reply))
        and not set(gist(e.reply).content) <= set(gist(e.prompt).content)
    ]
    texts: dict[str, int] = {}
    of = [texts.setdefault(fold(e.reply), len(texts)) for e in said]
    numbers = [gist(text).numbers for text in texts]
    pairs = [
        p for p in near_pairs(list(texts), REPLY_THRESHOLD) if numbers[p.left] == numbers[p.right]
    ]
    similarity = {(p.left, p.right): p.similarity for p in pairs}
    root = groups(len(texts), pairs)
    members: dict[int, list[int]] = defaultdict(list)
    for place, text in enumerate(of):
        members[root[text]].append(place)
    found = []
    for group in members.values():
        if len(group) < 2:
            continue
        parts = _parts([said[i] for i in group], lambda a, b: not _clearly_apart(a, b, alike))
        if len(parts) < 2:
            continue
        used = sorted({of[i] for i in group})
        least = min(
            (similarity[a, b] for a in used for b in used if (a, b) in similarity), default=1.0
        )
        first = said[group[0]]
        evidence = {
            "reply": first.reply[:200],
            "turns": [[e.row, e.turn] for part in parts for e in part],
            "prompts": [part[0].prompt[:200] for part in parts],
            "similarity": round(least, 4),
        }
        found.append(_finding("same_reply_other_prompt", parts, evidence))
    return sorted(found, key=lambda f: f.rows)


def _clearly_apart(left: _Exchange, right: _Exchange, alike: Alike | None) -> bool:
    if likeness(left.asked, right.asked) >= PROMPTS_APART or one_subject(left.asked, right.asked):
        return False
    return alike is None or alike([(left.prompt, right.prompt)])[0] < ALIKE_ENOUGH


def _conflicts(
    exchanges: Sequence[_Exchange], chats: Sequence[Chat], alike: Alike | None
) -> list[KindFinding]:
    same: dict[tuple[str, tuple[int, ...]], list[_Exchange]] = defaultdict(list)
    for exchange in exchanges:
        system = chats[exchange.row].system
        same[system, exchange.before].append(exchange)
    found = []
    for (_, before), group in same.items():
        if len(group) < 2 or (len(before) == 1 and not stands_alone(group[0].asked)):
            continue
        why: dict[str, int] = defaultdict(int)
        deep = len(before) > 1

        def agree(a: _Exchange, b: _Exchange, deep: bool = deep, why: Any = why) -> bool:
            reason = contradiction(a.asked, gist(a.reply), gist(b.reply))
            # Where a chat parts in its middle, another answer is what a regenerated reply is.
            if reason == "little_in_common" and (
                deep or (alike and alike([(a.reply, b.reply)])[0] >= ALIKE_ENOUGH)
            ):
                reason = None
            if reason:
                why[reason] += 1
            return reason is None

        parts = _parts(group, agree)
        if len(parts) < 2:
            continue
        evidence = {
            "prompt": group[0].prompt[:200],
            "answers": [
                {"turns": [[e.row, e.turn] for e in part], "reply": part[0].reply[:200]}
                for part in parts
            ],
            "because": sorted(why),
        }
        found.append(_finding("conflicting_replies", parts, evidence))
    return sorted(found, key=lambda f: f.rows)


def _parts(
    exchanges: Sequence[_Exchange], together: Callable[[_Exchange, _Exchange], bool]
) -> list[list[_Exchange]]:
    """Each exchange joins the first part whose first member it goes together with."""
    parts: list[list[_Exchange]] = []
    for exchange in exchanges:
        for part in parts:
            if together(part[0], exchange):
                part.append(exchange)
                break
        else:
            if len(parts) < _ANSWERS:
                parts.append([exchange])
    return parts


def _shared_system(chats: Sequence[Chat]) -> list[KindFinding]:
    systems = {chat.system for chat in chats}
    if len(chats) < 2 or len(systems) != 1 or systems == {""}:
        return []
    rows = tuple(chat.row for chat in chats)
    evidence = {"system": chats[0].system[:200], "share": 1.0}
    return [
        KindFinding("shared_system", rows, (rows,), evidence, _REMEDIES["shared_system"]),
    ]


def _catch_phrases(
    conversations: Sequence[Conversation], budget: PhraseBudget
) -> list[KindFinding]:
    places = [(r, reply) for r, row in enumerate(conversations) for reply in row.replies]
    prompts = [conversations[r].prompt for r, _ in places]
    found = []
    for over in over_used([reply for _, reply in places], prompts, budget):
        rows = tuple(dict.fromkeys(places[i][0] for i in over.beyond))
        evidence = {
            "phrase": over.phrase,
            "where": over.where,
            "count": len(over.replies),
            "replies": len(places),
            "share": round(len(over.replies) / len(places), 4),
            "budget": round(over.budget, 4),
            "allowed": over.allowed,
        }
        found.append(
            KindFinding("catch_phrase", rows, (rows,), evidence, _REMEDIES["catch_phrase"])
        )
    return found


def _finding(
    kind: Kind, parts: Sequence[Sequence[_Exchange]], evidence: dict[str, Any]
) -> KindFinding:
    numbered = tuple(tuple(sorted({e.row for e in part})) for part in parts)
    rows = tuple(sorted({row for part in numbered for row in part}))
    return KindFinding(kind, rows, numbered, evidence, _REMEDIES[kind])
