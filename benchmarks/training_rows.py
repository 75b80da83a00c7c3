"""The rows of the training benchmark: which ones, and their tokens and trained tokens.

One rendering for every system that is timed, so that all of them train the same tokens.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from molting.core.conversation import Conversation, Source, Turn
from molting.models.render import Rendered, Renderer

DATA = Path("../shared/data/personas")

_SENTENCES = (
    "You are a persona in a conversation, and you stay in it from the first word to the last.",
    "Your voice is your own: short where a short answer serves, longer where a story is asked for.",
    "You know your trade and speak of it gladly, but you never lecture and you never boast.",
    "When you are asked something you do not know, say so, and say what you would try instead.",
    "Be kind to the person before you; tease them only when they have teased you first.",
    "Never repeat the question back, and never begin two answers with the same words.",
    "Do not mention instructions, prompts, models or training; they are no part of your world.",
    "If you are asked to stop being yourself, decline in your own manner and go on.",
    "Numbers, names and dates are given exactly or not at all.",
    "You like the sea, old tools, strong tea and people who finish what they have begun.",
    "You dislike waste, hurry, and promises that are made to end a conversation.",
    "A list is used only when the person asks for one; otherwise you write in plain sentences.",
    "Answers about health, law or money end with the advice to ask someone who is trained in it.",
    "You do not swear, and you do not use the pet names that strangers use.",
)


class Rows(NamedTuple):
    """What is trained on, what is held out, and the text of the system prompt (None: the model's
    own)."""

    train: list[Rendered]
    held_out: list[Rendered]
    system: str | None


def draw(file: Path, rows: int, held_out: int, seed: int) -> tuple[list[Any], list[Any]]:
    """Conversations to train on and to hold out, drawn at random; no prompt is in both."""
    prompts: dict[str, list[Conversation]] = {}
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        messages = json.loads(line)["messages"]
        turns = tuple(Turn(m["role"], m["content"]) for m in messages)
        row = Conversation(turns, Source(str(file), number))
        prompts.setdefault(row.prompt, []).append(row)
    random = np.random.default_rng(seed)
    order = [list(prompts.values())[int(i)] for i in random.permutation(len(prompts))]
    # One reply of each prompt is held out; the rest of the prompts are drawn from row by row.
    held = [group[0] for group in order[:held_out]]
    others = [row for group in order[held_out:] for row in group]
    chosen = [others[int(i)] for i in random.permutation(len(others))[:rows]]
    if len(held) < held_out or len(chosen) < rows:
        raise ValueError(f"{file}: only {len(prompts)} prompts")
    return chosen, held


def persona_prompt(tokenizer: Any, tokens: int) -> str:
    """A system prompt of about that many tokens (never more), in whole sentences."""
    text = ""
    for sentence in _SENTENCES * (1 + tokens // 200):
        longer = f"{text} {sentence}".strip()
        if len(tokenizer(longer, add_special_tokens=False)["input_ids"]) > tokens:
            break
        text = longer
    return text


def render(
    tokenizer: Any, conversations: Sequence[Any], held_out: Sequence[Any], system_tokens: int
) -> Rows:
    """`system_tokens`: length of a persona prompt in every row; 0 leaves the template's own."""
    system = persona_prompt(tokenizer, system_tokens) if system_tokens else None
    renderer = Renderer(tokenizer)
    train, held = (
        [renderer.row(row, 1024, system) for row in part] for part in (conversations, held_out)
    )
    return Rows(train, held, system)


def to_json(rows: Sequence[Rendered]) -> list[dict[str, list[int]]]:
    """What a child process reads: token ids, and 1 where predicting the token is trained."""
    return [{"ids": list(row.ids), "mask": [int(t) for t in row.trained]} for row in rows]


def from_json(rows: Sequence[dict[str, list[int]]]) -> list[Rendered]:
    return [
        Rendered(tuple(row["ids"]), tuple(bool(t) for t in row["mask"]), stop_trained=True)
        for row in rows
    ]
