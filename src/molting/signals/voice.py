"""The voice detector: how much a text sounds like the persona, and whether that can be told.

Logistic regression over character n-grams and words, trained on the persona's replies against
base replies to the same prompts, neutral replies and other personas. Texts are cut to windows,
so that length tells nothing, and the window that starts after the first six words stands beside
the full one: a stuck-on "Aye, mate." moves the full score, not the body's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from molting.signals.stats import Array, auc
from molting.signals.text import first_words

WINDOW_WORDS = 40
BODY_SKIP_WORDS = 6
MEASURABLE_AUC = 0.9
"""Below about this the persona is too close to other text for its voice to be measured."""


def window(text: str, *, body: bool = False) -> str:
    """The part of a text that is scored; empty when a body is asked for and there is none."""
    return first_words(text, WINDOW_WORDS, BODY_SKIP_WORDS if body else 0)


@dataclass(frozen=True)
class VoiceDetector:
    """A fitted detector; `score` gives the probability of the persona for each text."""

    pipeline: Any

    def score(self, texts: Sequence[str], *, body: bool = False) -> Array:
        """Probability for each text, shape (len(texts),). Text without words scores 0."""
        windows = [window(text, body=body) for text in texts]
        scores = np.zeros(len(texts))
        spoken = [i for i, text in enumerate(windows) if text]
        if spoken:
            scores[spoken] = self.pipeline.predict_proba([windows[i] for i in spoken])[:, 1]
        return scores


@dataclass(frozen=True)
class Certificate:
    """How well the detector tells held-out persona text from each kind of other text."""

    auc_by_kind: dict[str, float]
    persona_texts: int

    @property
    def auc(self) -> float | None:
        """The worst of the kinds: a voice is measurable only if nothing else passes for it."""
        values = [value for value in self.auc_by_kind.values() if np.isfinite(value)]
        return min(values) if values and self.persona_texts >= 8 else None

    @property
    def measurable(self) -> bool:
        return self.auc is not None and self.auc >= MEASURABLE_AUC


def fit_detector(
    persona: Sequence[str], others: Mapping[str, Sequence[str]], seed: int = 0
) -> VoiceDetector:
    """Train on the persona's texts and the other kinds'; the kinds weigh alike."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    # scikit-learn brings it; it has no types.
    threadpool_limits = import_module("threadpoolctl").threadpool_limits

    lengths = np.array([max(1, len(text.split())) for text in persona])
    random = np.random.default_rng(seed)
    texts: list[str] = []
    labels: list[int] = []
    weights: list[float] = []

    def add(windows: list[str], label: int, share: float) -> None:
        spoken = [text for text in windows if text]
        texts.extend(spoken)
        labels.extend([label] * len(spoken))
        weights.extend([share / max(len(spoken), 1)] * len(spoken))

    add([window(text) for text in persona] + [window(text, body=True) for text in persona], 1, 1.0)
    kinds = {kind: list(replies) for kind, replies in others.items() if len(replies)}
    for replies in kinds.values():
        # A length drawn from the persona's own for each, so that length is no evidence.
        cut = [
            first_words(text, int(length))
            for text, length in zip(replies, random.choice(lengths, len(replies)), strict=True)
        ]
        add([window(t) for t in cut] + [window(t, body=True) for t in cut], 0, 1 / len(kinds))
    features = make_union(
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), min_df=2, sublinear_tf=True, lowercase=False
        ),
        TfidfVectorizer(
            token_pattern=r"[\w']+|[^\w\s]", ngram_range=(1, 2), min_df=2, sublinear_tf=True
        ),
    )
    classifier = LogisticRegression(C=30.0, max_iter=2000)
    pipeline = make_pipeline(features, classifier)
    scale = len(texts) / 2
    # The solver's vectors are short: more BLAS threads only wait for each other (seven times the
    # CPU on a busy machine), and one adds up in the same order everywhere.
    with threadpool_limits(1, user_api="blas"):
        pipeline.fit(texts, labels, logisticregression__sample_weight=np.array(weights) * scale)
    return VoiceDetector(pipeline)


def certify(
    detector: VoiceDetector, persona: Sequence[str], others: Mapping[str, Sequence[str]]
) -> Certificate:
    """AUC on texts the detector never saw, lengths matched pair by pair of quantiles."""
    scores = detector.score(persona)
    lengths = sorted(len(text.split()) for text in persona)
    found: dict[str, float] = {}
    for kind, replies in others.items():
        if len(replies) < 8 or not lengths:
            continue
        ordered = sorted(replies, key=lambda text: (len(text.split()), text))
        cut = [
            first_words(text, max(1, lengths[i * len(lengths) // len(ordered)]))
            for i, text in enumerate(ordered)
        ]
        found[kind] = auc(scores, detector.score(cut))
    return Certificate(found, len(persona))
