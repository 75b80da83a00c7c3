"""Which rows are duplicates, and which must stay on one side of a split."""

from __future__ import annotations

from collections.abc import Sequence

from molting.core.conversation import Conversation
from molting.signals.duplicates import Pair, exact_pairs, groups, near_pairs, near_pairs_across
from molting.signals.text import fold, words

_SHORT_WORDS = 5
"""A reply this short ("Aye, that it is.") may rightly answer many prompts."""
PROMPT_THRESHOLD = 0.7


def prompt_key(row: Conversation) -> str:
    """All user words of a conversation, folded; punctuation counts only where there are none."""
    said = [turn.text for turn in row.turns if turn.role == "user"]
    return " ".join(word for text in said for word in words(text)) or fold(" ".join(said))


def reply_text(row: Conversation) -> str:
    return "\n".join(row.replies)


def _identity(row: Conversation) -> str:
    """What must be equal for two rows to say the same: the replies, with the prompt if short."""
    reply = reply_text(row)
    return f"{prompt_key(row)}\n{reply}" if len(reply.split()) < _SHORT_WORDS else reply


def duplicate_pairs(
    rows: Sequence[Conversation], threshold: float
) -> tuple[list[Pair], list[Pair]]:
    """Exact pairs (equal when folded) and near pairs (4-gram Jaccard ≥ threshold, not exact)."""
    texts = [_identity(row) for row in rows]
    exact = exact_pairs(texts)
    same = groups(len(rows), exact)
    near = [pair for pair in near_pairs(texts, threshold) if same[pair.left] != same[pair.right]]
    return exact, near


def leak_groups(rows: Sequence[Conversation], threshold: float) -> list[int]:
    """Rows that share a prompt (exactly or nearly) or a reply have one group number."""
    prompts = [prompt_key(row) for row in rows]
    exact, near = duplicate_pairs(rows, threshold)
    return groups(
        len(rows), [*exact_pairs(prompts), *near_pairs(prompts, PROMPT_THRESHOLD), *exact, *near]
    )


class Leak(Pair, frozen=True):
    """A row (`left`) that gives away a held-out row (`right`): by its prompt or its reply."""

    by: str
    exact: bool


def leaks(
    rows: Sequence[Conversation], held_out: Sequence[Conversation], threshold: float
) -> list[Leak]:
    """Every row whose prompt or reply stands, exactly or nearly, in the held-out rows."""
    if not rows or not held_out:
        return []
    found: dict[tuple[int, str], Leak] = {}
    texts = {
        "prompt": (
            [prompt_key(r) for r in rows],
            [prompt_key(r) for r in held_out],
            PROMPT_THRESHOLD,
        ),
        "reply": ([_identity(r) for r in rows], [_identity(r) for r in held_out], threshold),
    }
    for by, (left, right, limit) in texts.items():
        for pair in near_pairs_across(left, right, limit):
            known = found.get((pair.left, by))
            if known is None or pair.similarity > known.similarity:
                exact = left[pair.left].casefold() == right[pair.right].casefold()
                found[pair.left, by] = Leak(pair.left, pair.right, pair.similarity, by, exact)
    return sorted(found.values())
