"""The personality score, 0 to 10, in one formula, anchored by construction.

    voice     = min(fold(V), fold(V_body))         fold(v) = v up to 1, 2 − v beyond, within 0..1
    identity  = (right − right_base) / (1 − right_base)     within 0..1, the same for facts
    earned    = (0.6 voice + 0.2 identity + 0.2 facts) / (weights of those measured)
    score     = 10 · earned · cleanliness · quality

The base has V = 0 and no right answer beyond its own, so it scores 0; held-out persona text has
V = 1, is clean and has quality 1 by comparison with itself, so it scores near 10. Cleanliness
and quality cannot earn anything: a polite neutral assistant with both at 1 still scores 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from molting.core.persona import Persona
from molting.evaluate.dimensions import (
    Bigrams,
    bigrams,
    clean,
    complete,
    distinct,
    relevance,
)
from molting.signals.repetition import repetition
from molting.signals.stats import Array, Estimate, cluster_bootstrap, weighted_mean
from molting.signals.voice import VoiceDetector

WEIGHTS = {"voice": 0.6, "identity": 0.2, "facts": 0.2}


@dataclass(frozen=True)
class Measured:
    """What is known of one system's replies; a row is a prompt, averaged over its samples."""

    said: Bigrams
    """Of the first sample's reply to each prompt."""
    voice: Array
    body: Array
    clean: Array
    complete: Array
    repetition: Array
    relevance: Array
    identity: Array
    """One value a probe; empty when identity was not asked."""
    facts: Array


def measure(
    detector: VoiceDetector,
    persona: Persona,
    prompts: Sequence[str],
    samples: Sequence[Sequence[tuple[str, bool | None]]],
    identity: Sequence[float] = (),
    facts: Sequence[float] = (),
) -> Measured:
    """`samples[s][i]`: reply of sample s to prompt i, and whether it ended by the stop token."""
    texts = [[text for text, _ in sample] for sample in samples]

    def mean(values: Sequence[Any]) -> Array:
        return np.asarray(np.mean(np.array(values, dtype=float), axis=0), dtype=float)

    return Measured(
        bigrams(texts[0]),
        mean([detector.score(sample) for sample in texts]),
        mean([detector.score(sample, body=True) for sample in texts]),
        mean([[clean(text, persona) for text in sample] for sample in texts]),
        mean([[complete(text, ended) for text, ended in sample] for sample in samples]),
        mean([[repetition(text) for text in sample] for sample in texts]),
        mean([relevance(prompts, sample) for sample in texts]),
        np.array(identity, dtype=float),
        np.array(facts, dtype=float),
    )


def voice_value(model: Array, base: Array, persona: Array, weights: Array) -> float:
    """V = (D(model) − D(base)) / (D(persona) − D(base)); NaN when there is no gap to measure by."""
    low, high = weighted_mean(base, weights), weighted_mean(persona, weights)
    return (weighted_mean(model, weights) - low) / (high - low) if high - low > 0.05 else np.nan


def voice_estimate(
    model: Measured,
    base: Measured,
    persona: Measured,
    resamples: int,
    seed: int,
    *,
    body: bool = False,
) -> Estimate:
    """V with its interval; prompts are the clusters, shared by model, base and persona text."""
    name = "body" if body else "voice"
    of_model, of_base, of_persona = (getattr(m, name) for m in (model, base, persona))
    return cluster_bootstrap(
        lambda w: voice_value(of_model, of_base, of_persona, w), len(model.voice), resamples, seed
    )


def dimension_values(
    model: Measured, base: Measured, persona: Measured, w: Array, w_identity: Array, w_facts: Array
) -> dict[str, float]:
    """The five dimensions, each 0 to 1 or NaN where not measured."""
    full = voice_value(model.voice, base.voice, persona.voice, w)
    body = voice_value(model.body, base.body, persona.body, w)
    voice = float(np.fmin(folded(full), folded(body)))
    return {
        "identity": _above_base(model.identity, base.identity, w_identity),
        "facts": _above_base(model.facts, base.facts, w_facts),
        "voice": voice,
        "cleanliness": _relative(weighted_mean(model.clean, w), weighted_mean(persona.clean, w)),
        "quality": _quality(model, persona, w),
    }


def combine(dimensions: dict[str, float]) -> float:
    """The formula of this module's docstring, on dimensions from 0 to 1; NaN without a voice."""
    measured = {k: w for k, w in WEIGHTS.items() if np.isfinite(dimensions[k])}
    if "voice" not in measured:
        return float("nan")
    earned = sum(w * dimensions[k] for k, w in measured.items()) / sum(measured.values())
    return 10.0 * earned * dimensions["cleanliness"] * dimensions["quality"]


def score(
    model: Measured, base: Measured, persona: Measured, resamples: int, seed: int
) -> dict[str, Any]:
    """S of `molting show --json`: score, low, high, n, and the dimensions from 0 to 10."""
    sizes = [len(model.voice), len(model.identity), len(model.facts)]

    def statistic(w: Array, w_identity: Array, w_facts: Array) -> float:
        return combine(dimension_values(model, base, persona, w, w_identity, w_facts))

    estimate = cluster_bootstrap(statistic, sizes, resamples, seed)
    found = dimension_values(model, base, persona, *(np.ones(size) for size in sizes))
    return {
        "score": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "dimensions": {
            name: 10 * value if np.isfinite(value) else None for name, value in found.items()
        },
    }


def folded(value: float) -> float:
    """Too much voice is as wrong as too little: beyond 1 (caricature) the value comes down."""
    return float(np.clip(value if value <= 1 else 2 - value, 0.0, 1.0))


def _above_base(model: Array, base: Array, weights: Array) -> float:
    if not len(model):
        return float("nan")
    right = weighted_mean(model, weights)
    if len(base) != len(model):
        return right
    floor = weighted_mean(base, weights)
    return float(np.clip((right - floor) / (1 - floor), 0, 1)) if floor < 1 else float("nan")


def _quality(model: Measured, persona: Measured, w: Array) -> float:
    whole = weighted_mean(model.complete * (1 - model.repetition), w)
    whole_persona = weighted_mean(persona.complete * (1 - persona.repetition), w)
    relevant = _relative(
        weighted_mean(model.relevance, w) - 0.5, weighted_mean(persona.relevance, w) - 0.5
    )
    # Half of the relevance is credited always: many good replies share no word with the prompt.
    variety = _relative(distinct(model.said, w), 0.8 * distinct(persona.said, w))
    return _relative(whole, whole_persona) * (0.5 + 0.5 * relevant) * variety


def _relative(value: float, reference: float) -> float:
    """Value as a share of the persona's own, at most 1; without a reference, the value is 1."""
    if not np.isfinite(value) or not np.isfinite(reference) or reference <= 0.02:
        return 1.0
    return float(np.clip(value / reference, 0.0, 1.0))
