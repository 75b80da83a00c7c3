"""Do evaluation questions stand in the training rows? The predecessor's all did."""

from __future__ import annotations

from collections.abc import Sequence

from molting.core.conversation import Conversation
from molting.evaluate.probes import Probe
from molting.signals.duplicates import exact_pairs, near_pairs_across
from molting.signals.text import words

_NEAR = 0.7


def train_eval_overlap(
    training: Sequence[Conversation], test: Sequence[Conversation], probes: Sequence[Probe]
) -> dict[str, int]:
    """How many held-out prompts, and how many probes, stand in training: exactly, or nearly."""
    asked = [_key(turn.text) for row in training for turn in row.turns if turn.role == "user"]
    exact, near = _count(asked, [_prompt(row) for row in test])
    probes_exact, probes_near = _count(asked, [_key(probe.question) for probe in probes])
    return {
        "train_eval_exact": exact,
        "train_eval_near": near,
        "probes_exact": probes_exact,
        "probes_near": probes_near,
    }


def _count(asked: list[str], questions: list[str]) -> tuple[int, int]:
    both = exact_pairs([*asked, *questions])
    exact = {pair.right - len(asked) for pair in both if pair.left < len(asked) <= pair.right}
    near = {pair.right for pair in near_pairs_across(asked, questions, _NEAR)}
    return len(exact), len(near - exact)


def _prompt(row: Conversation) -> str:
    return " ".join(_key(turn.text) for turn in row.context if turn.role == "user")


def _key(text: str) -> str:
    return " ".join(words(text))
