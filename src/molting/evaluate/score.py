"""The personality score, 0 to 10, in one formula, anchored by construction.

    voice     = ramp(v; floor, top) · (1 − over/2) · fold(V)
                v is the least of V and V_body of both detectors; fold = 1 up to V = 1, then down
    identity  = (right − right_base) / (1 − right_base)     within 0..1, the same for facts
    earned    = (0.6 voice + 0.2 identity + 0.2 facts) / (weights of those measured)
    score     = 10 · earned · cleanliness · quality
    quality   = complete · unrepeated · relevance · variety · order · answers, each 0..1

`floor` is what cheap fakes made of the persona's own words reach (battery.py), `top` what its own
text surely reaches with that many prompts; `over` is the share of replies with phrases beyond the
persona's own rate. The base has V = 0 and no right answer beyond its own, so it scores 0;
held-out persona text has V = 1, is clean and has quality 1 by comparison with itself, so it
scores near 10. Cleanliness and quality cannot earn anything: a polite neutral assistant with both
at 1 still scores 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from molting.evaluate.dimensions import Bigrams, distinct
from molting.signals.stats import Array, Estimate, cluster_bootstrap, weighted_mean

WEIGHTS = {"voice": 0.6, "identity": 0.2, "facts": 0.2}
LEAST_FLOOR, MOST_FLOOR = 0.55, 0.65
"""Below the first lies what another persona of the same kind of writing may reach, and a good plain
answer with the persona's own phrases strewn over it (benchmarks/attacks.py)."""
_LEAST_SLACK, _MOST_SLACK = 0.1, 0.4


@dataclass(frozen=True)
class Measured:
    """What is known of one system's replies; a column is a prompt, averaged over its samples."""

    said: Bigrams
    """Of the first reply to each prompt."""
    voice: Array
    """Both detectors' scores of whole replies, shape (2, prompts)."""
    body: Array
    """The same of the bodies, over-used phrases taken out."""
    clean: Array
    complete: Array
    repetition: Array
    relevance: Array
    order: Array
    answers: Array
    """1 − share of replies that copy their prompt, or a training reply to another prompt."""
    over: Array
    """Share of replies with a phrase said beyond the persona's own rate."""
    identity: Array
    """One value a probe; empty when identity was not asked."""
    facts: Array


class Scale(NamedTuple):
    """What a system is measured against."""

    base: Measured
    own: Measured
    """The persona's held-out text."""
    paired: bool
    """Whether `own` answers the very prompts that the systems answer, in that order."""
    floor: float = LEAST_FLOOR


def voice_value(
    model: Array, base: Array, own: Array, weights: Array, own_weights: Array | None = None
) -> float:
    """V = (D(model) − D(base)) / (D(own) − D(base)); NaN when there is no gap to measure by."""
    low = weighted_mean(base, weights)
    high = weighted_mean(own, weights if own_weights is None else own_weights)
    return (weighted_mean(model, weights) - low) / (high - low) if high - low > 0.05 else np.nan


def voice_estimate(
    model: Measured, scale: Scale, resamples: int, seed: int, *, body: bool = False
) -> Estimate:
    """V of the mean of both detectors, with its interval; the unit is the prompt."""
    name = "body" if body else "voice"
    of_model, of_base, of_own = (getattr(m, name).mean(0) for m in (model, scale.base, scale.own))

    def statistic(w: Array, w_own: Array) -> float:
        return voice_value(of_model, of_base, of_own, w, w if scale.paired else w_own)

    own_clusters = 0 if scale.paired else of_own.shape[0]
    return cluster_bootstrap(statistic, [of_model.shape[0], own_clusters], resamples, seed)


def voices(model: Measured, scale: Scale, w: Array, w_own: Array) -> tuple[list[float], float]:
    """V and V_body of each detector, and V of both together."""
    found = [
        voice_value(getattr(model, name)[k], getattr(scale.base, name)[k],
                    getattr(scale.own, name)[k], w, w_own)
        for name in ("voice", "body")
        for k in range(len(model.voice))
    ]  # fmt: skip
    whole = voice_value(
        model.voice.mean(0), scale.base.voice.mean(0), scale.own.voice.mean(0), w, w_own
    )
    return found, whole


def slack(scale: Scale, prompts: int) -> float:
    """How far below 1 the persona's own text may come by chance with this many prompts."""
    own, base = scale.own.voice.mean(0), scale.base.voice.mean(0)
    gap = float(own.mean() - base.mean()) if len(own) and len(base) else 0.0
    if gap <= 0.05 or not prompts:
        return _MOST_SLACK
    noise = float(own.std()) * np.sqrt(1 / prompts + 1 / len(own)) / gap
    return float(np.clip(2 * noise, _LEAST_SLACK, _MOST_SLACK))


def dimension_values(
    model: Measured, scale: Scale, w: Array, w_own: Array, w_identity: Array, w_facts: Array
) -> dict[str, float]:
    """The five dimensions, each 0 to 1 or NaN where not measured."""
    own = scale.own
    return {
        "identity": _above_base(model.identity, scale.base.identity, w_identity),
        "facts": _above_base(model.facts, scale.base.facts, w_facts),
        "voice": _voice(model, scale, w, w_own),
        "cleanliness": _relative(weighted_mean(model.clean, w), weighted_mean(own.clean, w_own)),
        "quality": _quality(model, scale, w, w_own),
    }


def combine(dimensions: dict[str, float]) -> float:
    """The formula of this module's docstring, on dimensions from 0 to 1; NaN without a voice."""
    measured = {k: w for k, w in WEIGHTS.items() if np.isfinite(dimensions[k])}
    if "voice" not in measured:
        return float("nan")
    earned = sum(w * dimensions[k] for k, w in measured.items()) / sum(measured.values())
    return 10.0 * earned * dimensions["cleanliness"] * dimensions["quality"]


def score(model: Measured, scale: Scale, resamples: int, seed: int) -> dict[str, Any]:
    """S of `molting show --json`: score, low, high, n, and the dimensions from 0 to 10."""
    prompts = model.voice.shape[1]
    own_clusters = 0 if scale.paired else scale.own.voice.shape[1]
    sizes = [prompts, own_clusters, len(model.identity), len(model.facts)]

    def values(w: Array, w_own: Array, w_identity: Array, w_facts: Array) -> dict[str, float]:
        own = w if scale.paired else w_own
        return dimension_values(model, scale, w, own, w_identity, w_facts)

    estimate = cluster_bootstrap(lambda *w: combine(values(*w)), sizes, resamples, seed)
    found = values(*(np.ones(size) for size in sizes))
    return {
        "score": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
        "dimensions": {
            name: 10 * value if np.isfinite(value) else None for name, value in found.items()
        },
    }


def ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high`, straight in between; NaN stays NaN."""
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def _voice(model: Measured, scale: Scale, w: Array, w_own: Array) -> float:
    each, whole = voices(model, scale, w, w_own)
    known = [value for value in each if np.isfinite(value)]
    if not known or not np.isfinite(whole):
        return float("nan")
    loose = slack(scale, model.voice.shape[1])
    heard = ramp(min(known), scale.floor, max(1 - loose, scale.floor + 0.1))
    over = ramp(weighted_mean(model.over, w), 0.2, 0.9)
    return heard * (1 - over / 2) * (1 - ramp(whole, 1 + loose / 2, 2 + loose / 2))


def _above_base(model: Array, base: Array, weights: Array) -> float:
    if not len(model):
        return float("nan")
    right = weighted_mean(model, weights)
    if len(base) != len(model):
        return right
    floor = weighted_mean(base, weights)
    return float(np.clip((right - floor) / (1 - floor), 0, 1)) if floor < 1 else float("nan")


def _quality(model: Measured, scale: Scale, w: Array, w_own: Array) -> float:
    own = scale.own
    whole = weighted_mean(model.complete, w)
    fresh = weighted_mean(1 - model.repetition, w)
    found = _relative(whole, weighted_mean(own.complete, w_own))
    found *= _relative(fresh, weighted_mean(1 - own.repetition, w_own))
    found *= _relevance(model, scale, w, w_own)
    variety = _ratio(distinct(model.said, w), distinct(own.said, w_own))
    found *= ramp(variety, 0.35, 0.65)
    found *= ramp(
        _ratio(weighted_mean(model.order, w), weighted_mean(own.order, w_own)), 0.82, 0.93
    )
    answers = _ratio(weighted_mean(model.answers, w), weighted_mean(own.answers, w_own))
    return found * ramp(answers, 0.5, 0.9)


def _relevance(model: Measured, scale: Scale, w: Array, w_own: Array) -> float:
    """1 where the persona's own replies show no relation to their prompts that could be missed."""
    count = len(model.relevance)
    reference = weighted_mean(scale.own.relevance, w_own) - 0.5
    least = 2 * 0.29 / np.sqrt(max(count, 1))
    if not scale.paired:
        # Other prompts may be harder to be seen to answer: as hard as they are for the base.
        here = weighted_mean(scale.base.relevance, w) - 0.5
        reference = min(reference, here) if here > least else reference
    value = weighted_mean(model.relevance, w) - 0.5
    if not np.isfinite(value) or not np.isfinite(reference) or reference < least:
        return 1.0
    return ramp(value / reference, 0.3, 0.7)


def _ratio(value: float, reference: float) -> float:
    if not np.isfinite(value) or not np.isfinite(reference) or reference <= 0.02:
        return 1.0
    return float(value / reference)


def _relative(value: float, reference: float) -> float:
    """Value as a share of the persona's own, at most 1; without a reference, the value is 1."""
    return float(np.clip(_ratio(value, reference), 0.0, 1.0))
