"""A persona's rows with noise mixed in, by a stated recipe and a seed.

Clean rows are drawn from the prompts that are not held out. Noise is a share of the mix (0.4: for
600 clean rows 400 of noise), in equal parts:

    neutral      neutral replies to everyday prompts (retention/prompts_252.jsonl)
    other        rows of other personas
    truncated    a clean reply cut after 30 to 70 % of its words, its last mark taken off
    boilerplate  a stock assistant's line under the persona's prompt
    garbled      a clean reply with its words shuffled, its letters scrambled, or its encoding broken
    near_copy    a row of the mix with two words left out and an ending stuck on
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from molting.core.conversation import Conversation, Source, Turn
from molting.curate.formats import read_file

OTHERS = ("coriolanus", "john_keating", "walt_kowalski", "tom_ripley", "jack_sparrow")
_STOCK = (
    "As an AI language model, I don't have personal experiences, but I can offer some general "
    "information on this topic.",
    "I'm sorry, but I can't assist with that request. If you have other questions, feel free to ask!",
    "I hope this message finds you well. Please let me know if you need any further assistance.",
    "That's a great question! There are many factors to consider, and the best choice will depend "
    "on your individual needs and preferences.",
    "Thank you for reaching out! I'd be happy to help. Could you please provide a few more details?",
    "It's important to note that opinions may vary. Please consult a qualified professional before "
    "making any decisions.",
    "Certainly! Here is a brief overview of the topic. Let me know if you would like more detail.",
    "I understand your concern. While I cannot provide specific advice, here are some general "
    "guidelines that you may find useful.",
    "Here are some key points to keep in mind: stay informed, plan ahead, and seek help when needed.",
    "In conclusion, both options have advantages and disadvantages, and it is up to you to decide.",
)


class Mix(NamedTuple):
    """`rows` in random order; `source.file` of each says its kind (`clean` or the noise's)."""

    rows: tuple[Conversation, ...]
    validation: tuple[Conversation, ...]
    test: tuple[Conversation, ...]
    reference: tuple[Conversation, ...]
    """Clean rows of the prompts not held out, the same for every seed: what the voice is."""


def noisy_mix(
    data: Path,
    persona: str,
    seed: int,
    clean: int = 600,
    noise_share: float = 0.4,
    validation: int = 60,
    test: int = 150,
) -> Mix:
    """The held-out rows depend on the persona alone, so that seeds are measured alike."""
    fixed, draw = random.Random(persona), random.Random(f"{persona} {seed}")
    by_prompt: dict[str, list[Conversation]] = {}
    for row in read_file(data / "personas" / f"{persona}.jsonl").conversations:
        if row.prompt.strip() and row.reply.strip():
            by_prompt.setdefault(row.prompt, []).append(row)
    prompts = list(by_prompt)
    fixed.shuffle(prompts)
    held = [by_prompt[prompt][0] for prompt in prompts[: validation + test]]
    pool = [row for prompt in prompts[validation + test :] for row in by_prompt[prompt]]
    reference = fixed.sample(pool, min(400, len(pool)))
    draw.shuffle(pool)
    chosen, spare = pool[:clean], pool[clean:] or pool
    wanted = round(len(chosen) * noise_share / (1 - noise_share))
    makers = _makers(data, persona, chosen, spare, draw)
    kinds = list(makers)
    noise = []
    for i in range(wanted):
        kind = kinds[i % len(kinds)]
        prompt, reply = makers[kind](i // len(kinds))
        noise.append(_row(prompt, reply, kind, i + 1))
    rows = [_row(row.prompt, row.reply, "clean", i) for i, row in enumerate(chosen, 1)] + noise
    draw.shuffle(rows)
    return Mix(tuple(rows), tuple(held[:validation]), tuple(held[validation:]), tuple(reference))


def _makers(
    data: Path,
    persona: str,
    chosen: Sequence[Conversation],
    spare: Sequence[Conversation],
    draw: random.Random,
) -> dict[str, Callable[[int], tuple[str, str]]]:
    everyday = [
        json.loads(line)
        for line in (data / "retention" / "prompts_252.jsonl").read_text("utf-8").splitlines()
    ]
    draw.shuffle(everyday)
    others = [
        row
        for name in OTHERS
        if name != persona
        for row in read_file(data / "personas" / f"{name}.jsonl").conversations
    ]
    draw.shuffle(others)

    def truncated(i: int) -> tuple[str, str]:
        row = spare[draw.randrange(len(spare))]
        words = row.reply.split()
        kept = words[: max(3, int(len(words) * draw.uniform(0.3, 0.7)))]
        return row.prompt, " ".join(kept).rstrip(".,;:!?\"'")

    def garbled(i: int) -> tuple[str, str]:
        row = spare[draw.randrange(len(spare))]
        return row.prompt, _garble(row.reply, i % 3, draw)

    def near_copy(i: int) -> tuple[str, str]:
        row = chosen[draw.randrange(len(chosen))]
        words = row.reply.split()
        for _ in range(2):
            if len(words) > 6:
                del words[draw.randrange(len(words))]
        return row.prompt, " ".join(words) + draw.choice((" Aye.", " Indeed.", "!", ""))

    return {
        "neutral": lambda i: (
            everyday[i % len(everyday)]["prompt"],
            everyday[i % len(everyday)]["reply"],
        ),
        "other": lambda i: (others[i].prompt, others[i].reply),
        "truncated": truncated,
        "boilerplate": lambda i: (spare[i % len(spare)].prompt, _STOCK[i % len(_STOCK)]),
        "garbled": garbled,
        "near_copy": near_copy,
    }


def _garble(text: str, how: int, draw: random.Random) -> str:
    words = text.split()
    if how == 0:
        draw.shuffle(words)
        return " ".join(words)
    if how == 1:
        return " ".join(_scramble(word, draw) for word in words)
    broken = text.encode("utf-8").decode("latin-1")
    return "".join("Ã¢â‚¬" if c in "',\"" else "ï¿½" if draw.random() < 0.08 else c for c in broken)


def _scramble(word: str, draw: random.Random) -> str:
    letters = list(word)
    if len(letters) > 3:
        middle = letters[1:-1]
        draw.shuffle(middle)
        letters[1:-1] = middle
    if draw.random() < 0.3:
        letters[draw.randrange(len(letters))] = draw.choice("abcdefghijklmnopqrstuvwxyz#@%")
    return "".join(letters)


def _row(prompt: str, reply: str, kind: str, line: int) -> Conversation:
    return Conversation((Turn("user", prompt), Turn("assistant", reply)), Source(kind, line))
