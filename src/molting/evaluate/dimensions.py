"""The two dimensions that any reply has: cleanliness and quality, from mechanical checks.

cleanliness   no pattern of machine text, nothing the persona never says, no capitals or symbols
              throughout unless the persona's own text has them
quality       completeness, repetition, relevance to the prompt, variety of the set, word order,
              and whether a reply is a copy: of its prompt, or of a training reply to another one

All are compared with the persona's own held-out text (1 by construction), so they can lower a
score and never earn one.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from molting.core.persona import Persona
from molting.signals.noise import find_noise, looks_cut
from molting.signals.stats import Array
from molting.signals.text import fold, words


def clean(reply: str, persona: Persona) -> float:
    """1 or 0."""
    folded = fold(reply)
    never = any(fold(p) and fold(p) in folded for p in persona.voice_never)
    return 0.0 if never or find_noise(reply, persona=persona) or not reply.strip() else 1.0


def complete(reply: str, ended_by_stop: bool | None) -> float:
    """1 when the reply came to its end: the model stopped, or (text alone) it is not cut off."""
    if not reply.strip():
        return 0.0
    return float(ended_by_stop if ended_by_stop is not None else not looks_cut(reply))


def in_form(reply: str) -> float:
    """0 for a reply in capitals throughout or strewn with symbols and emoji, else 1."""
    letters = [letter for letter in reply if letter.isalpha()]
    if len(letters) >= 12 and sum(map(str.isupper, letters)) > 0.6 * len(letters):
        return 0.0
    symbols = sum(unicodedata.category(letter) in ("So", "Cs", "Co") for letter in reply)
    return float(symbols < 2 + len(reply.split()) / 20)


def echoes(prompt: str, reply: str) -> float:
    """1 when nearly all the reply's runs of three words stand in its prompt: it is no answer."""
    said, asked = words(reply), words(prompt)
    if len(said) < 4:
        return 0.0
    runs = list(zip(said, said[1:], said[2:], strict=False))
    known = set(zip(asked, asked[1:], asked[2:], strict=False))
    return float(sum(run in known for run in runs) > 0.8 * len(runs))


class Copies:
    """Training replies, to find those that come back under another prompt."""

    _RUN = 6
    _SHARE = 0.6

    def __init__(self, rows: Sequence[tuple[str, str]]) -> None:
        """`rows` are (prompt, reply) of the training split."""
        self._prompts: dict[tuple[str, ...], set[str]] = {}
        for prompt, reply in rows:
            key = " ".join(words(prompt))
            for run in self._runs(words(reply)):
                self._prompts.setdefault(run, set()).add(key)

    def copied(self, prompt: str, reply: str) -> float:
        """1 when 60 % of the reply's words stand in runs of six from replies to other prompts."""
        said, key = words(reply), " ".join(words(prompt))
        if len(said) < self._RUN:
            return 0.0
        covered = np.zeros(len(said), dtype=bool)
        for k, run in enumerate(self._runs(said)):
            known = self._prompts.get(run)
            if known and key not in known:
                covered[k : k + self._RUN] = True
        return float(covered.mean() >= self._SHARE)

    def _runs(self, said: Sequence[str]) -> list[tuple[str, ...]]:
        return [tuple(said[k : k + self._RUN]) for k in range(len(said) - self._RUN + 1)]


class Bigrams(NamedTuple):
    """Which bigrams each reply has, counted once: a bootstrap asks thousands of times."""

    has: Any
    """Boolean, (replies, different bigrams of all replies)."""
    sizes: Array
    """Bigrams of each reply, repeated ones too; shape (replies,)."""


def bigrams(replies: Sequence[str]) -> Bigrams:
    """The bigrams of the first 40 words of each reply."""
    said = [list(itertools.pairwise(words(reply)[:40])) for reply in replies]
    place = {pair: k for k, pair in enumerate(dict.fromkeys(itertools.chain(*said)))}
    has = np.zeros((len(said), len(place)), dtype=bool)
    for i, pairs in enumerate(said):
        has[i, [place[pair] for pair in pairs]] = True
    return Bigrams(has, np.array([len(pairs) for pairs in said], dtype=float))


def distinct(said: Bigrams, weights: Array | None = None) -> float:
    """Distinct bigrams over all bigrams of the set (distinct-2); weight 0 leaves a reply out."""
    inside = np.ones(len(said.sizes), dtype=bool) if weights is None else weights > 0
    total = said.sizes[inside].sum()
    return float(said.has[inside].any(0).sum() / total) if total else 0.0


def relevance(prompts: Sequence[str], replies: Sequence[str]) -> Array:
    """For each reply, the chance that it is closer to its own prompt than to another one.

    Closeness is the cosine of TF-IDF over word stems (first five letters), ties count half:
    0.5 is unrelated. Shape (len(replies),).
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer

    def stems(text: str) -> list[str]:
        return [w[:5] for w in words(text) if w not in ENGLISH_STOP_WORDS and len(w) > 2]

    count = len(prompts)
    if count < 2:
        return np.full(count, np.nan)
    try:
        model = TfidfVectorizer(analyzer=stems, sublinear_tf=True).fit([*prompts, *replies])
    except ValueError:  # no word at all
        return np.full(count, 0.5)
    close = (model.transform(replies) @ model.transform(prompts).T).toarray()
    own = np.diag(close)[:, None]
    above = (own > close + 1e-9).sum(1) + 0.5 * ((np.abs(own - close) <= 1e-9).sum(1) - 1)
    return np.asarray(above / (count - 1), dtype=float)
