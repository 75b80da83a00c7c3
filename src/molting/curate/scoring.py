"""How good a row is to train on: voice × quality, every part kept.

    score = in_voice · √fluent · substance · complete · tidy · √variety · ⁴√relevance     0 to 1 each

    voice      the probability that the row is the persona's and neither neutral text nor another
               persona's (detector of signals.voice, cross-fitted: no row is scored by a detector
               that saw it)
    in_voice   full from a probability of 0.6 on, because preferring the loudest rows teaches a
               caricature; less, down to 0.3, for a row whose voice stands apart from these rows'
    fluent     whether the other rows' characters predict this row's (signals.fluency); full down
               to one deviation below the median, so that only what is damaged or odd is marked
    substance  rises with the reply's words to 1 at 20 words, falls beyond three times the median
    complete   whether the last reply ends with a closing mark, where this corpus' replies do
    tidy       no headings, links, lists or stray characters
    variety    distinct words in runs of 25; low for a reply that turns in circles
    relevance  how often the prompt's words fit this reply better than another prompt's do

A product, because a row is as good as its weakest part: a garbled row is not saved by its length.
The roots are for parts that are noisy in a short chat: a reply full of numbers is not damaged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import numpy as np

from molting.core.conversation import Conversation
from molting.curate.grouping import reply_text
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.fluency import outlyingness, predictability
from molting.signals.gist import gist
from molting.signals.noise import find_noise, looks_cut
from molting.signals.stats import Array
from molting.signals.text import words
from molting.signals.voice import fit_detector

_FOLDS = 5
_ENOUGH_ROWS = 1000
_ENOUGH_WORDS = 20
_ENOUGH_VOICE = 0.6
_LEAST = 0.05
"""No part takes a score to zero: among bad rows the less bad one still comes first."""
_LEAST_AMONG = 0.3
"""What standing apart from the other rows may cost: a voice has quiet rows too."""
_STRAY = re.compile(r"[\ufffd\u0080-\u009f]|Ã.|â€|ï¿½")
_LINK = re.compile(r"https?://|www\.")
_LISTED = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_OTHER_PROMPTS = 100


class Score(msgspec.Struct, frozen=True):
    """The parts of a row's score, 0 to 1."""

    score: float
    voice: float | None
    """Probability of the persona; None where there are too few rows to fit a detector."""
    substance: float
    in_voice: float | None = None
    """What of the voice enters the score."""
    fluent: float | None = None
    """None where there are too few rows to learn from."""
    complete: float = 1.0
    tidy: float = 1.0
    variety: float = 1.0
    relevance: float | None = None
    """None where the prompt has no word to go by."""

    def parts(self) -> dict[str, float | None]:
        """All but the total, by name, rounded for showing."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "score"}
        return {name: None if v is None else round(v, 4) for name, v in values.items()}


def score_rows(rows: Sequence[Conversation], seed: int) -> list[Score]:
    """Score every row; pure in the rows and the seed."""
    if not rows:
        return []
    texts = [reply_text(row) for row in rows]
    voice = _voice(texts, seed)
    in_voice = None if voice is None else _in_voice(voice)
    fluent = _fluent(texts)
    substance = _substance(rows)
    complete = _complete(rows)
    relevance = _relevance(rows)
    found = []
    for i, text in enumerate(texts):
        near = relevance[i]
        score = Score(
            0.0,
            None if voice is None else float(voice[i]),
            float(substance[i]),
            None if in_voice is None else float(in_voice[i]),
            None if fluent is None else float(fluent[i]),
            float(complete[i]),
            _tidy(text),
            _variety(text),
            None if near is None else float(near),
        )
        found.append(msgspec.structs.replace(score, score=_total(score)))
    return found


def _total(score: Score) -> float:
    total = score.substance * score.complete * score.tidy * score.variety**0.5
    if score.in_voice is not None:
        total *= score.in_voice
    if score.fluent is not None:
        total *= score.fluent**0.5
    if score.relevance is not None:
        total *= max(_LEAST, score.relevance) ** 0.25
    return float(total)


def _in_voice(voice: Array) -> Array:
    """Full for rows with voice enough; less for those far behind the middle of these rows.

    Another persona's row passes an absolute bound, since the detector has not met its voice; among
    the rows in log-odds it still stands apart. The floor keeps a mixed corpus's second half in play.
    """
    odds = np.clip(voice, 1e-4, 1 - 1e-4)
    behind = outlyingness(np.log(odds / (1 - odds)))
    among = np.clip(1.0 - (behind - 0.25) / 1.5, _LEAST_AMONG, 1.0)
    return np.asarray(np.clip(np.minimum(voice / _ENOUGH_VOICE, among), _LEAST, 1.0))


def _substance(rows: Sequence[Conversation]) -> Array:
    lengths = np.array([np.mean([len(r.split()) for r in row.replies] or [0]) for row in rows])
    long = max(60.0, 3 * float(np.median(lengths)))
    full = np.minimum(1.0, lengths / _ENOUGH_WORDS)
    return np.asarray(np.maximum(_LEAST, full * np.minimum(1.0, long / np.maximum(lengths, 1))))


def _fluent(texts: Sequence[str]) -> Array | None:
    values = predictability(texts, [contrast.reply for contrast in neutral_replies()])
    if values is None:
        return None
    return np.clip(1.0 - (outlyingness(values) - 1.0) / 2.0, _LEAST, 1.0)


def _complete(rows: Sequence[Conversation]) -> Array:
    """0.3 for a last reply without a closing mark, unless a quarter of all replies have none."""
    cut = np.array([looks_cut(row.reply, minimum_words=2) for row in rows])
    if cut.mean() > 0.25:
        return np.ones(len(rows))
    return np.where(cut, 0.3, 1.0)


def _tidy(text: str) -> float:
    untidy = len(_LINK.findall(text)) + bool(find_noise(text, ("heading",)))
    untidy += len(_LISTED.findall(text)) >= 3
    stray = len(_STRAY.findall(text)) / max(len(text), 1)
    return float(max(_LEAST, 1.0 - 0.3 * min(untidy, 2) - 20 * stray))


def _variety(text: str) -> float:
    """Distinct words of all in runs of 25, over the three quarters that plain prose reaches."""
    said = words(text)
    if len(said) < 8:
        return 1.0 if len(set(said)) > len(said) / 2 else 0.5
    runs = [said[i : i + 25] for i in range(0, max(1, len(said) - 12), 25)]
    share = float(np.mean([len(set(run)) / len(run) for run in runs]))
    return float(np.clip(share / 0.75, _LEAST, 1.0))


def _relevance(rows: Sequence[Conversation]) -> list[float | None]:
    """The share of other prompts that the reply has less to do with than with its own."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    asked = [" ".join(t.text for t in row.turns if t.role == "user") for row in rows]
    content = [gist(text).content for text in asked]
    if len(rows) < 20 or not any(content):
        return [None] * len(rows)
    replies = [reply_text(row) for row in rows]
    vectorizer = TfidfVectorizer(analyzer=_content, sublinear_tf=True)
    prompts = vectorizer.fit_transform([*asked, *replies])[: len(rows)]
    answers = vectorizer.transform(replies)
    others = np.linspace(0, len(rows) - 1, min(_OTHER_PROMPTS, len(rows))).astype(int)
    own = np.asarray(prompts.multiply(answers).sum(axis=1)).ravel()
    against = (answers @ prompts[others].T).toarray()
    share = (own[:, None] > against).mean(axis=1) + 0.5 * (own[:, None] == against).mean(axis=1)
    return [float(s) if has else None for s, has in zip(share, content, strict=True)]


def _content(text: str) -> Sequence[str]:
    return gist(text).content


def _voice(texts: Sequence[str], seed: int) -> Array | None:
    if len(texts) < 4 * _FOLDS:
        return None
    others = {
        "neutral": [contrast.reply for contrast in neutral_replies()],
        "personas": [contrast.reply for contrast in other_personas()],
    }
    fold = np.random.default_rng(seed).permutation(len(texts)) % _FOLDS
    voice = np.zeros(len(texts))
    for k in range(_FOLDS):
        inside = np.flatnonzero(fold == k)
        # A thousand rows teach a detector all that ten thousand would.
        outside = np.flatnonzero(fold != k)
        outside = outside[:: max(1, len(outside) // _ENOUGH_ROWS)][:_ENOUGH_ROWS]
        detector = fit_detector([texts[int(i)] for i in outside], others, seed)
        voice[inside] = detector.score([texts[int(i)] for i in inside])
    return voice
