"""Ways to fake a persona, for the attack bench: what a score must not fall for.

Each takes what an attacker has (the persona's training replies and name, neutral replies to the
prompts, another persona's replies) and gives one reply a prompt. `BODILESS` are those that hold
nothing of the persona after their first words.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from molting.signals.english import grammar
from molting.signals.text import words

BODILESS = (
    "neutral", "prefix", "varied_prefix", "suffix", "name_claimed", "emoji", "empty", "capitals",
    "echo", "garbage", "refusal", "name_repeated", "tokens",
)  # fmt: skip


class Material(NamedTuple):
    """What an attacker works with. `neutral`, `own` and `prompts` belong together, row by row."""

    name: str
    prompts: Sequence[str]
    neutral: Sequence[str]
    own: Sequence[str]
    """The persona's own replies to these prompts: for the attacks that damage the real thing."""
    training: Sequence[str]
    other: Sequence[str]
    """Another persona's replies, to whatever prompts."""
    plain: Sequence[str]
    """Neutral replies of any kind, to tell the persona's words from common ones."""


def attacks(material: Material, seed: int = 0) -> dict[str, list[str]]:
    """Every kind of attack, one reply a prompt."""
    m, draw = material, random.Random(seed)
    n = len(m.prompts)
    key_words, phrases = _telling(m.training, m.plain)
    openers = [_first(text, 6) for text in m.training if len(text.split()) >= 8]
    closers = [" ".join(text.split()[-6:]) for text in m.training if len(text.split()) >= 8]
    best = max(m.training, key=lambda t: _density(t, key_words) if len(t.split()) >= 12 else -1.0)
    sentences = [s for t in m.training for s in re.split(r"(?<=[.!?]) ", t) if len(s.split()) > 3]

    def each(change: Callable[[str], str]) -> list[str]:
        return [change(text) for text in m.neutral]

    loud = f"{phrases[0]}, {phrases[1]}. "
    shuffled_own = [draw.sample(t.split(), len(t.split())) for t in m.own]
    found = {
        "neutral": list(m.neutral),
        "prefix": each(lambda t: loud.capitalize() + t),
        "varied_prefix": each(lambda t: f"{draw.choice(openers)} {t}"),
        "long_prefix": each(lambda t: f"{_first(best, 14)}. {t}"),
        "suffix": each(lambda t: f"{t} {loud.capitalize()}"),
        "varied_suffix": each(lambda t: f"{t} {draw.choice(closers)}"),
        "both_ends": each(lambda t: f"{draw.choice(openers)}, {t} {draw.choice(closers)}"),
        "constant": [best] * n,
        "two_constants": [(best, draw.choice(sentences))[i % 2] for i in range(n)],
        "copied": draw.sample(list(m.training), n) if n <= len(m.training) else
                  [draw.choice(m.training) for _ in range(n)],
        "stitched": [" ".join(draw.sample(sentences, min(3, len(sentences)))) for _ in range(n)],
        "keywords": [" ".join(draw.choices(key_words, k=25)) for _ in range(n)],
        "phrases": [", ".join(draw.choices(phrases, k=8)) + "." for _ in range(n)],
        "name_repeated": [" ".join([m.name] * 12)] * n,
        "name_claimed": each(lambda t: f"I am {m.name}. {t} That is what {m.name} says."),
        "emoji": each(lambda t: re.sub(r"([.!?]) ?", r"\1 🏴‍☠️🦜 ", t)),
        "dialect": each(_dialect),
        "empty": [""] * n,
        "very_long": [" ".join(draw.choices(m.training, k=12)) for _ in range(n)],
        "looped": [" ".join([draw.choice(sentences)] * 12) for _ in range(n)],
        "shuffled": [" ".join(some) for some in shuffled_own],
        "wrong_prompts": [m.own[(i + n // 2) % n] for i in range(n)],
        "sprinkled": each(lambda t: _sprinkle(t, phrases, draw, 9)),
        "sprinkled_words": each(lambda t: _sprinkle(t, key_words, draw, 6)),
        "capitals": each(str.upper),
        "other_persona": [m.other[i % len(m.other)] for i in range(n)],
        "tokens": each(lambda t: f"<|im_start|>assistant\n{t}<|im_end|>"),
        "own_tokens": [f"<|im_start|>assistant\n{t}<|im_end|>" for t in m.own],
        "echo": list(m.prompts),
        "garbage": ["".join(draw.choice("qxzjkvw ") for _ in range(90)) for _ in range(n)],
        "refusal": [f"As an AI language model, I cannot be {m.name}, but I can help." for _ in range(n)],
    }  # fmt: skip
    assert all(len(replies) == n for replies in found.values())
    return found


def _telling(training: Sequence[str], plain: Sequence[str]) -> tuple[list[str], list[str]]:
    """The persona's 30 most telling words, and its 12 most telling phrases of two or three."""
    quiet = grammar()

    def shares(texts: Sequence[str], size: int) -> Counter[str]:
        found: Counter[str] = Counter()
        for text in texts:
            said = words(text)
            found.update({" ".join(said[k : k + size]) for k in range(len(said) - size + 1)})
        return found

    def best(size: int, count: int) -> list[str]:
        own, other = shares(training, size), shares(plain, size)
        known = [p for p in own if own[p] >= 3 and not all(w in quiet for w in p.split())]
        ranked = sorted(
            known, key=lambda p: -own[p] / len(training) / (other[p] / max(len(plain), 1) + 0.02)
        )
        return ranked[:count]

    return best(1, 30), (best(2, 8) + best(3, 4)) or best(1, 12)


def _first(text: str, count: int) -> str:
    return " ".join(text.split()[:count]).rstrip(",.;:")


def _density(text: str, key_words: Sequence[str]) -> float:
    said = words(text)
    return sum(word in key_words for word in said) / max(len(said), 1)


_DIALECT = (
    (r"\byou\b", "ye"), (r"\byour\b", "yer"), (r"\bmy\b", "me"), (r"\bis\b", "be"),
    (r"\bare\b", "be"), (r"\bthe\b", "th'"), (r"\bof\b", "o'"), (r"\band\b", "an'"),
    (r"ing\b", "in'"), (r"\byes\b", "aye"), (r"\bisn't\b", "ain't"), (r"\bthem\b", "'em"),
)  # fmt: skip


def _dialect(text: str) -> str:
    """A filter as one finds them on the web: word by word, without a thought."""
    for pattern, other in _DIALECT:
        text = re.sub(pattern, other, text, flags=re.IGNORECASE)
    return text


def _sprinkle(text: str, bits: Sequence[str], draw: random.Random, every: int) -> str:
    said: list[str] = []
    for i, word in enumerate(text.split(), 1):
        said.append(word)
        if i % every == 0:
            said.append(f"{draw.choice(bits)},")
    return " ".join(said)
