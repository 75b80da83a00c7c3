"""The written pairs, and what is fitted on them."""

from __future__ import annotations

import numpy as np
import pytest

from molting.models.encoders import FakeEncoder
from molting.signals import calibration
from molting.signals.calibration import KNOWN, calibrate, fit, regression, training_pairs, written
from molting.signals.pair_features import feature_names
from molting.signals.semantic import pair_scores
from molting.signals.text import fold
from molting.signals.wording import NAMES


def test_the_written_pairs_are_whole() -> None:
    rows = written()
    assert len(rows) >= 140
    texts = [text for row in rows for text in (row.text, *row.same)]
    assert len({fold(text) for text in texts}) == len(texts)
    for row in rows:
        assert len(row.same) >= 2
        assert len(row.different) >= 3
        others = {fold(text) for _, text in row.different}
        assert not others & {fold(text) for text in (row.text, *row.same)}
        assert {kind for kind, _ in row.different} <= set(calibration._WEIGHTS)


def test_the_kept_coefficients_fit_the_features() -> None:
    assert len(KNOWN["static"].weights) == 1 + len(NAMES)
    assert len(KNOWN["minilm"].weights) == 2 + len(NAMES)


class Unknown(FakeEncoder):
    name = "a folder"
    id = "b2:unknown"


def test_an_unknown_encoder_is_fitted_once_and_signs_hold() -> None:
    encoder = Unknown()
    found = calibrate(encoder)
    assert calibrate(Unknown()) is found
    assert found == fit(encoder)
    # The lists of words and the everyday text grow; the kept coefficients are still about right.
    assert found.weights == pytest.approx(KNOWN["fake"].weights, abs=0.75)
    assert found.offset == pytest.approx(KNOWN["fake"].offset, abs=0.75)
    for name, weight in zip(feature_names(encoder), found.weights, strict=True):
        assert weight <= 0 if name in ("numbers", "negation", "opposite") else weight >= 0


def test_probabilities_are_calibrated_on_the_pairs_they_come_from() -> None:
    left, right, labels, kinds = training_pairs(FakeEncoder())
    scores = pair_scores(left, right, FakeEncoder())
    weights = np.array([calibration._WEIGHTS[kind] for kind in kinds])
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        some = (scores >= low) & (scores < high)
        share = np.average(np.array(labels)[some], weights=weights[some])
        assert abs(share - np.average(scores[some], weights=weights[some])) < 0.12


def test_a_coefficient_keeps_its_sign_against_the_data() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(400) < 0.5).astype(float)
    values = np.stack([labels + random.normal(size=400), -labels + random.normal(size=400)], 1)
    weights, offset = regression(values, labels, np.ones(400), [1, 1])
    assert weights[0] > 0.5
    assert weights[1] == 0
    assert np.isfinite(offset)
