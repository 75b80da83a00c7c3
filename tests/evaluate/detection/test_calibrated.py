"""Probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from molting.evaluate.detection.calibrated import (
    balanced_loss,
    calibration_error,
    class_shares,
    fit_temperature,
    log_loss,
    named,
    probabilities,
)


def drawn(n: int, sharpness: float, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (log-odds with every class weighing alike, times `sharpness`) and labels."""
    random = np.random.default_rng(seed)
    labels = (random.random(n) < share).astype(np.int64)
    x = random.normal(np.where(labels == 1, 1.0, -1.0), 1.0)
    # Two normal classes at ±1: the log-odds are 2x.
    scores = np.stack([-x, x], 1) * sharpness
    return scores, labels


def test_temperature_undoes_false_certainty_and_false_doubt() -> None:
    for sharpness in (0.2, 5.0):
        scores, labels = drawn(4000, sharpness, 0.2, 0)
        shares = class_shares(labels, 2)
        t = fit_temperature(scores, labels, shares)
        assert 0.8 < t / sharpness < 1.25
        fresh, truth = drawn(4000, sharpness, 0.2, 1)
        before, after = (
            calibration_error(probabilities(fresh, shares, value), truth) for value in (1.0, t)
        )
        assert after < 0.02 < before


def test_scores_that_know_nothing_become_the_shares() -> None:
    random = np.random.default_rng(0)
    labels = (random.random(600) < 0.25).astype(np.int64)
    shares = class_shares(labels, 2)
    scores = random.normal(0, 3, (600, 2))
    p = probabilities(scores, shares, fit_temperature(scores, labels, shares))
    assert np.abs(p - shares).max() < 0.12
    assert log_loss(p, labels) < log_loss(np.tile(shares, (600, 1)), labels) + 0.01
    none = np.full(600, -1)
    assert fit_temperature(scores, none, shares) == 1000.0


def test_a_few_rows_that_happen_to_be_right_make_nobody_certain() -> None:
    scores, labels = np.array([[0.1, 0.0], [0.0, 0.1]] * 2), np.array([0, 1] * 2)
    shares = np.array([0.5, 0.5])
    p = probabilities(scores, shares, fit_temperature(scores, labels, shares))
    # The rule of succession says five of six.
    assert p.max() < 5 / 6


@given(
    st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=1, max_size=20),
    st.floats(0.05, 1000),
    st.floats(0.01, 0.99),
)
def test_rows_sum_to_one_and_the_named_class_stands_highest_above_its_share(
    raw: list[tuple[float, float]], t: float, share: float
) -> None:
    scores = np.array(raw)
    shares = np.array([share, 1 - share])
    p = probabilities(scores, shares, t)
    assert np.allclose(p.sum(1), 1)
    lift = np.log(np.maximum(p, 1e-300)) - np.log(shares)
    chosen = named([scores])[:, 0]
    assert (lift[np.arange(len(p)), chosen] >= lift.max(1) - 1e-6).all()


def test_balanced_loss_counts_a_rare_class_as_much_as_a_common_one() -> None:
    scores = np.array([[2.0, 0.0]] * 9 + [[2.0, 0.0]])
    labels = np.array([0] * 9 + [1])
    expected = np.mean([np.log(1 + np.exp(-2)), np.log(1 + np.exp(2))])
    assert np.isclose(balanced_loss(scores, labels), expected)
    assert balanced_loss(scores, np.full(10, -1)) == np.inf
