"""The voice detectors: how much a text sounds like the persona, and whether that can be told.

Two logistic regressions, one over character n-grams and one over words, each trained on the
persona's replies against base replies to the same prompts, neutral replies and other personas,
cut to its lengths. They read windows of 24 words, so that length tells nothing. A reply's full score is the mean of
its windows; its body's is their median after the first and the last six words are cut off, so
that nothing stuck to either end counts. The two see different things, and V is claimed only where
they agree (`evaluate/score.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from molting.signals.stats import Array, auc
from molting.signals.text import first_words

WINDOW_WORDS = 24
STRIDE_WORDS = 12
READ_WORDS = 96
"""What lies beyond is not read."""
BODY_SKIP_WORDS = 6
"""Left out of the body at either end; at the end only where twice as many words remain."""
MEASURABLE_AUC = 0.9
"""Below about this the persona is too close to other text for its voice to be measured."""
CERTIFIED_WORDS = 8
"""Certified are texts of this many words and more: shorter ones say little in any voice."""
_LEARNED_WORDS = 40
_KNOWN_SHARE = 0.5
_WORD = re.compile(r"[\w']+")
DETECTORS = ("characters", "words")


def body_of(text: str) -> str:
    """The words after the first six and before the last six; empty when there are none."""
    said = text.split()[BODY_SKIP_WORDS:]
    if len(said) >= 3 * BODY_SKIP_WORDS:
        said = said[:-BODY_SKIP_WORDS]
    return " ".join(said)


def windows(text: str, *, body: bool = False) -> list[str]:
    """The parts of a text that are scored, none for a text without words.

    Half of each overlaps with the next, and the last one ends where the text does.
    """
    said = (body_of(text) if body else text).split()[:READ_WORDS]
    last = max(0, len(said) - WINDOW_WORDS)
    starts = sorted({*range(0, last, STRIDE_WORDS), last})
    return [" ".join(said[start : start + WINDOW_WORDS]) for start in starts if said]


@dataclass(frozen=True)
class VoiceDetector:
    """Two fitted detectors; every score is the probability of the persona, 0 to 1."""

    pipelines: tuple[Any, ...]
    """In the order of `DETECTORS`."""

    def score(self, texts: Sequence[str], *, body: bool = False) -> Array:
        """The mean of both for each text, shape (len(texts),). Text without words scores 0."""
        return np.asarray(self.each(texts, body=body).mean(0), dtype=float)

    def each(self, texts: Sequence[str], *, body: bool = False) -> Array:
        """Every detector's score for each text, shape (2, len(texts))."""
        parts = [windows(text, body=body) for text in texts]
        flat = [part for some in parts for part in some]
        scores = np.zeros((len(self.pipelines), len(texts)))
        if not flat:
            return scores
        ends = np.cumsum([len(some) for some in parts])
        known = self._known(flat)
        for k, pipeline in enumerate(self.pipelines):
            heard = pipeline.predict_proba(flat)[:, 1] * known
            for i, some in enumerate(parts):
                if some:
                    own = heard[ends[i] - len(some) : ends[i]]
                    scores[k, i] = np.median(own) if body else own.mean()
        return scores

    def _known(self, parts: Sequence[str]) -> Array:
        """What was never read by either side must not pass for half a persona: 1 from half of the
        words known, down to 0 when none is."""
        vocabulary = self.pipelines[1][0].vocabulary_
        found = []
        for part in parts:
            said = [word for word in _WORD.findall(part.lower()) if word[0].isalnum()]
            found.append(sum(token in vocabulary for token in said) / max(len(said), 1))
        return np.minimum(1.0, np.array(found) / _KNOWN_SHARE)


@dataclass(frozen=True)
class Certificate:
    """How well the detectors tell held-out persona text from each kind of other text."""

    auc_by_kind: dict[str, float]
    persona_texts: int
    calibration_error: float | None = None
    """Mean distance between a score and the share of persona text that has it, 0 to 1."""
    gold: float | None = None
    """V of one half of the persona's held-out text where the other half is 1."""
    fakes: dict[str, float] = field(default_factory=dict)
    """V of neutral text, and of plain replies with the persona's words stuck to them."""
    transfer: dict[str, float] = field(default_factory=dict)
    """AUC on role questions when only everyday ones were learned from, and the reverse."""

    @property
    def auc(self) -> float | None:
        """The worst of the kinds: a voice is measurable only if nothing else passes for it."""
        values = [value for value in self.auc_by_kind.values() if np.isfinite(value)]
        return min(values) if values and self.persona_texts >= 8 else None

    @property
    def measurable(self) -> bool:
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why the voice cannot be measured; none when it can."""
        found = []
        if self.auc is None:
            found.append(f"{self.persona_texts} held-out texts are too few, 8 are needed")
        elif self.auc < MEASURABLE_AUC:
            kind = min(self.auc_by_kind, key=lambda k: self.auc_by_kind[k])
            found.append(
                f"the detector tells it from {_KINDS.get(kind, kind)} with AUC {self.auc:.2f}, "
                f"{MEASURABLE_AUC:.2f} is needed"
            )
        if self.calibration_error is not None and self.calibration_error > _MOST_MISCALIBRATED:
            found.append(f"the detector is badly calibrated (error {self.calibration_error:.2f})")
        if self.gold is not None and abs(self.gold - 1) > _GOLD_MARGIN:
            found.append(
                f"one half of its own text has V {self.gold:.2f} where the other half is 1"
            )
        found += [
            f"{_KINDS.get(kind, kind)} reaches V {value:.2f}"
            for kind, value in self.fakes.items()
            if value > _MOST_BY_FAKES
        ]
        return found


_KINDS = {
    "base": "the base model's replies",
    "neutral": "neutral text",
    "personas": "other personas",
    "stuck_before": "a plain reply with its first words stuck on",
    "stuck_after": "a plain reply with its last words stuck on",
    "stuck_on_both": "a plain reply with its first and last words stuck on",
}
_MOST_MISCALIBRATED = 0.3
_GOLD_MARGIN = 0.4
_MOST_BY_FAKES = 0.65


def fit_detector(
    persona: Sequence[str], others: Mapping[str, Sequence[str]], seed: int = 0
) -> VoiceDetector:
    """Train on the persona's texts and the other kinds'; the kinds weigh alike."""
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from molting.signals.ngrams import CHARACTERS, WORD_PAIRS, Ngrams

    # scikit-learn brings it; it has no types.
    threadpool_limits = import_module("threadpoolctl").threadpool_limits

    lengths = np.array([max(1, len(text.split())) for text in persona])
    draw = np.random.default_rng(seed)
    texts: list[str] = []
    labels: list[int] = []
    weights: list[float] = []

    def add(some: Sequence[str], label: int, share: float) -> None:
        spoken = [text for text in some if text.split()]
        for text in spoken:
            whole = first_words(text, _LEARNED_WORDS)
            later = first_words(text, _LEARNED_WORDS, BODY_SKIP_WORDS)
            parts = [part for part in (whole, later) if part]
            texts.extend(parts)
            labels.extend([label] * len(parts))
            weights.extend([share / len(spoken) / len(parts)] * len(parts))

    add(persona, 1, 1.0)
    kinds = {kind: list(replies) for kind, replies in others.items() if len(replies)}
    for replies in kinds.values():
        # A length drawn from the persona's own for each, so that length is no evidence.
        cut = [
            first_words(text, int(length))
            for text, length in zip(replies, draw.choice(lengths, len(replies)), strict=True)
        ]
        add(cut, 0, 1 / len(kinds))
    scale = len(texts) / 2
    pipelines = []
    # The solver's vectors are short: more BLAS threads only wait for each other (seven times the
    # CPU on a busy machine), and one adds up in the same order everywhere.
    with threadpool_limits(1, user_api="blas"):
        for way in (CHARACTERS, WORD_PAIRS):
            pipeline = make_pipeline(
                Ngrams(way, least=2),
                TfidfTransformer(sublinear_tf=True),
                LogisticRegression(C=30.0, solver="liblinear", random_state=seed),
            )
            pipeline.fit(texts, labels, logisticregression__sample_weight=np.array(weights) * scale)
            pipelines.append(pipeline)
    return VoiceDetector(tuple(pipelines))


def certify(
    detector: VoiceDetector, persona: Sequence[str], others: Mapping[str, Sequence[str]]
) -> Certificate:
    """AUC on texts the detector never saw, lengths matched pair by pair of quantiles."""
    long = [text for text in persona if len(text.split()) >= CERTIFIED_WORDS]
    persona = long if len(long) >= 8 else list(persona)
    scores = detector.score(persona)
    found: dict[str, float] = {}
    for kind, replies in others.items():
        if len(replies) < 8 or not len(persona):
            continue
        found[kind] = auc(scores, detector.score(match_lengths(replies, persona)))
    return Certificate(found, len(persona))


def match_lengths(texts: Sequence[str], like: Sequence[str]) -> list[str]:
    """The texts cut, the shortest to the length of the shortest of `like` and so on."""
    lengths = sorted(len(text.split()) for text in like)
    ordered = sorted(texts, key=lambda text: (len(text.split()), text))
    return [
        first_words(text, max(1, lengths[i * len(lengths) // len(ordered)]))
        for i, text in enumerate(ordered)
    ]
