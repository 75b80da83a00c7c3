"""The best N rows by a transparent score with diversity.

    score = mean(voice, substance)          both 0 to 1, both kept as evidence
    voice      whether the row sounds like the persona and unlike neutral text and other personas
               (detector of signals.voice, cross-fitted: no row is scored by a detector that saw
               it); full from a probability of 0.6 on, because preferring the loudest rows
               teaches a caricature
    substance  rises with the reply's words to 1 at 20 words, falls beyond three times the median

Rows are taken one at a time (maximal marginal relevance, Carbonell & Goldstein 1998): the next is
the one with the highest (1 − d) · score − d · (likeness to the most similar row taken). Every
prompt gets its first row before any prompt gets a second one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from molting.core.conversation import Conversation
from molting.curate.grouping import reply_text
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.stats import Array
from molting.signals.voice import fit_detector

_FOLDS = 5
_ENOUGH_WORDS = 20
_ENOUGH_VOICE = 0.6


class Score(msgspec.Struct, frozen=True):
    """The parts of a row's score."""

    score: float
    voice: float | None
    """Probability of the persona; None where there are too few rows to fit a detector."""
    substance: float


def score_rows(rows: Sequence[Conversation], seed: int) -> list[Score]:
    """Score every row; pure in the rows and the seed."""
    if not rows:
        return []
    words = np.array([np.mean([len(r.split()) for r in row.replies]) for row in rows])
    long = max(60.0, 3 * float(np.median(words)))
    substance = np.minimum(1.0, words / _ENOUGH_WORDS) * np.minimum(
        1.0, long / np.maximum(words, 1)
    )
    voice = _voice(rows, seed)
    found = []
    for i in range(len(rows)):
        parts = [float(substance[i])]
        if voice is not None:
            parts.append(min(1.0, float(voice[i]) / _ENOUGH_VOICE))
        found.append(
            Score(
                float(np.mean(parts)),
                None if voice is None else float(voice[i]),
                float(substance[i]),
            )
        )
    return found


def select(
    rows: Sequence[Conversation],
    groups: Sequence[int],
    scores: Sequence[Score],
    target: int,
    diversity: float,
) -> list[tuple[int, float]]:
    """Indices taken, in order, each with its likeness to the nearest row taken before it."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not rows:
        return []
    texts = [f"{row.prompt}\n{reply_text(row)}" for row in rows]
    matrix = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True
    ).fit_transform(texts)
    value = np.array([score.score for score in scores])
    nearest = np.zeros(len(rows))
    open_ = np.ones(len(rows), dtype=bool)
    used: dict[int, int] = {}
    rounds = np.zeros(len(rows))
    group_of = np.asarray(groups)
    taken: list[tuple[int, float]] = []
    while len(taken) < min(target, len(rows)):
        gain = (1 - diversity) * value - diversity * nearest
        # A prompt that has a row waits until every other prompt has one.
        gain = np.where(open_, gain - 10.0 * rounds, -np.inf)
        best = int(np.argmax(gain))
        taken.append((best, float(nearest[best])))
        open_[best] = False
        used[int(group_of[best])] = used.get(int(group_of[best]), 0) + 1
        rounds[group_of == group_of[best]] = used[int(group_of[best])]
        nearest = np.maximum(nearest, (matrix @ matrix[best].T).toarray().ravel())
    return taken


def _voice(rows: Sequence[Conversation], seed: int) -> Array | None:
    if len(rows) < 4 * _FOLDS:
        return None
    texts = [reply_text(row) for row in rows]
    others = {
        "neutral": [contrast.reply for contrast in neutral_replies()],
        "personas": [contrast.reply for contrast in other_personas()],
    }
    fold = np.random.default_rng(seed).permutation(len(rows)) % _FOLDS
    voice = np.zeros(len(rows))
    for k in range(_FOLDS):
        inside = np.flatnonzero(fold == k)
        # A thousand rows teach a detector all that ten thousand would.
        outside = np.flatnonzero(fold != k)[:1000]
        detector = fit_detector([texts[i] for i in outside], others, seed)
        voice[inside] = detector.score([texts[i] for i in inside])
    return voice
