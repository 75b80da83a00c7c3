"""What of a measurement may be shown: a voice that cannot be measured has no number."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from molting.evaluate.score import Measured, Scale, voice_estimate, voices
from molting.signals.stats import Estimate
from molting.signals.voice import DETECTORS, Certificate


def certificate_shown(certificate: Certificate, scale: Scale) -> dict[str, Any]:
    """How well the voice can be told, and why not when it cannot."""
    return {
        "detector_auc": certificate.auc,
        "auc_by_kind": certificate.auc_by_kind,
        "measurable": certificate.measurable,
        "reasons": certificate.reasons,
        "calibration_error": certificate.calibration_error,
        "gold": certificate.gold,
        "fakes": certificate.fakes,
        "floor": scale.floor,
        "transfer": certificate.transfer,
    }


def voice_shown(
    model: Measured, scale: Scale, measurable: bool, resamples: int, seed: int
) -> dict[str, Any]:
    """V with its interval, V of each detector, whether they agree in sign, and V of the body."""
    whole = voice_estimate(model, scale, resamples, seed)
    body = voice_estimate(model, scale, resamples, seed, body=True)
    if not measurable:
        whole, body = (Estimate(None, None, None, estimate.n) for estimate in (whole, body))
    w, w_own = np.ones(model.voice.shape[1]), np.ones(scale.own.voice.shape[1])
    each = voices(model, scale, w, w_own)[0][: len(DETECTORS)]
    known = measurable and all(np.isfinite(value) for value in each)
    return {
        **msgspec.to_builtins(whole),
        "by_detector": dict(zip(DETECTORS, each, strict=True)) if known else None,
        "agree": len({value > 0 for value in each}) == 1 if known else None,
        "body": msgspec.to_builtins(body),
    }


def withheld(score: dict[str, Any], measurable: bool) -> dict[str, Any]:
    """The score, or with a voice that cannot be measured what is known without it."""
    if measurable:
        return score
    dimensions = score["dimensions"] | {"voice": None}
    return score | {"score": None, "low": None, "high": None, "dimensions": dimensions}
