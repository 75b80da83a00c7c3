from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from molting.signals.stats import (
    Array,
    Estimate,
    auc,
    cluster_bootstrap,
    holm,
    over_seeds,
    paired_difference,
    prompts_needed,
    sign_flip_p,
    weighted_mean,
)


def mean_of(values: Array) -> Estimate:
    return cluster_bootstrap(lambda w: weighted_mean(values, w), len(values), 300, seed=1)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(4)
    estimates = [mean_of(random.normal(2.0, 1.0, 30)) for _ in range(150)]
    inside = sum(
        e.low <= 2.0 <= e.high for e in estimates if e.low is not None and e.high is not None
    )
    # 95 % asked; the percentile bootstrap of 30 values is known to fall a little short.
    assert 0.88 <= inside / 150 <= 0.99


def test_the_value_is_the_statistic_itself_and_lies_in_its_interval() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0, 3.0, 5.0])
    estimate = mean_of(values)
    assert estimate.value == pytest.approx(4.0)
    assert estimate.low is not None
    assert estimate.high is not None
    assert 1.0 <= estimate.low < 4.0 < estimate.high <= 9.0
    assert estimate.n == 6


def test_the_same_seed_gives_the_same_interval_and_another_gives_another() -> None:
    values = np.random.default_rng(0).normal(size=25)

    def run(seed: int) -> Estimate:
        return cluster_bootstrap(lambda w: weighted_mean(values, w), 25, 200, seed)

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_more_prompts_give_a_narrower_interval() -> None:
    values = np.random.default_rng(0).normal(size=400)

    def width(count: int) -> float:
        estimate = mean_of(values[:count])
        assert estimate.low is not None
        assert estimate.high is not None
        return estimate.high - estimate.low

    assert width(400) < 0.5 * width(40)


def test_a_wider_level_gives_a_wider_interval() -> None:
    values = np.random.default_rng(0).normal(size=40)

    def at(level: float) -> Estimate:
        return cluster_bootstrap(lambda w: weighted_mean(values, w), 40, 400, 0, level)

    narrow, wide = at(0.5), at(0.99)
    assert narrow.low is not None
    assert narrow.high is not None
    assert wide.low is not None
    assert wide.high is not None
    assert wide.low < narrow.low < narrow.high < wide.high


def test_quantities_of_the_same_prompts_share_the_draw() -> None:
    values = np.random.default_rng(0).normal(size=30)
    shifted = values + 1.0
    paired = cluster_bootstrap(
        lambda w: weighted_mean(shifted, w) - weighted_mean(values, w), 30, 200, 0
    )
    # Noise that both share cancels: the difference is 1 in every resample.
    assert (paired.value, paired.low, paired.high) == pytest.approx((1.0, 1.0, 1.0))
    unpaired = cluster_bootstrap(
        lambda a, b: weighted_mean(shifted, a) - weighted_mean(values, b), [30, 30], 200, 0
    )
    assert unpaired.low is not None
    assert unpaired.low < 0.9


def test_two_strata_are_each_resampled_to_their_own_size() -> None:
    seen: list[tuple[float, float]] = []

    def statistic(first: Array, second: Array) -> float:
        assert (len(first), len(second)) == (7, 3)
        seen.append((float(first.sum()), float(second.sum())))
        return 1.0

    estimate = cluster_bootstrap(statistic, [7, 3], 100, 0)
    assert set(seen) == {(7.0, 3.0)}
    assert estimate == Estimate(1.0, 1.0, 1.0, 7)


def test_an_empty_second_stratum_is_no_obstacle() -> None:
    estimate = cluster_bootstrap(lambda a, b: a.sum() + len(b), [5, 0], 50, 0)
    assert estimate == Estimate(5.0, 5.0, 5.0, 5)


def test_what_is_not_known_stays_unknown() -> None:
    nothing = np.full(5, np.nan)
    assert mean_of(nothing) == Estimate(None, None, None, 5)
    assert cluster_bootstrap(lambda w: math.inf, 5, 50, 0) == Estimate(None, None, None, 5)
    assert cluster_bootstrap(lambda w: 1.0, 0, 50, 0) == Estimate(None, None, None, 0)
    assert cluster_bootstrap(lambda *w: 1.0, [], 50, 0) == Estimate(None, None, None, 0)
    assert str(mean_of(nothing)) == "not measured"


def test_a_statistic_that_resampling_mostly_breaks_has_a_value_and_no_interval() -> None:
    def only_all_ones(weights: Array) -> float:
        return 2.0 if (weights == 1).all() else math.nan

    estimate = cluster_bootstrap(only_all_ones, 20, 100, 0)
    assert estimate == Estimate(2.0, None, None, 20)
    assert str(estimate) == "not measured"


def test_an_estimate_is_never_shown_without_its_interval_and_n() -> None:
    assert str(Estimate(1.0, 0.5, 1.25, 8)) == "1.00 [0.50, 1.25] (n=8)"


def test_a_mean_leaves_out_what_is_unknown_and_is_not_0_when_all_is() -> None:
    values = np.array([1.0, np.nan, 3.0])
    assert weighted_mean(values, np.array([1.0, 5.0, 3.0])) == pytest.approx(2.5)
    assert math.isnan(weighted_mean(values, np.array([0.0, 5.0, 0.0])))
    assert math.isnan(weighted_mean(np.array([]), np.array([])))


SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


@settings(max_examples=80, deadline=None)
@given(SCORES, SCORES)
def test_auc_is_that_of_scikit_learn_ties_included(
    positive: list[int], negative: list[int]
) -> None:
    expected = roc_auc_score([1] * len(positive) + [0] * len(negative), positive + negative)
    found = auc(np.array(positive, float), np.array(negative, float))
    assert found == pytest.approx(expected)
    assert found + auc(np.array(negative, float), np.array(positive, float)) == pytest.approx(1)


def test_auc_without_one_of_the_sides_is_unknown() -> None:
    some, none = np.array([1.0]), np.array([])
    assert math.isnan(auc(some, none))
    assert math.isnan(auc(none, some))


def test_a_paired_difference_leaves_unknown_prompts_out() -> None:
    left, right = np.array([1.0, 2.0, math.nan, 4.0]), np.array([0.0, 1.0, 1.0, 3.0])
    found = paired_difference(left, right, 100, 0)
    assert (found.value, found.low, found.high, found.n) == (1.0, 1.0, 1.0, 3)


def test_seeds_are_the_outer_level_and_two_are_not_enough() -> None:
    random = np.random.default_rng(0)
    prompts = random.normal(size=200)
    table = np.stack([prompts * 0.1 + shift for shift in (0.0, 1.0, 2.0)])
    found, seeds = over_seeds(table, 400, 0)
    assert seeds == 3
    assert found.value == pytest.approx(1.0, abs=0.05)
    assert found.low is not None
    assert found.high is not None
    # Prompts alone would give ±0.02.
    assert found.high - found.low > 1.0
    few, _ = over_seeds(table[:2], 400, 0)
    assert (few.low, few.high) == (None, None)
    assert few.value == pytest.approx(0.5, abs=0.05)


def test_holm_adjusts_as_in_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_a_sign_flip_test_finds_a_difference_and_no_other() -> None:
    random = np.random.default_rng(1)
    noise = random.normal(size=60)
    none, some = sign_flip_p(noise, 500, 0), sign_flip_p(noise + 1, 500, 0)
    assert none is not None
    assert some is not None
    assert some < 0.01 < none
    assert sign_flip_p(np.array([math.nan]), 500, 0) is None


def test_the_prompts_needed_give_the_width_that_was_asked_for() -> None:
    assert prompts_needed(0.4, 0.05) == 246
    needed = prompts_needed(1.0, 0.1)
    values = np.random.default_rng(2).normal(size=needed)
    found = cluster_bootstrap(lambda w: weighted_mean(values, w), needed, 2000, 0)
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(0.1, abs=0.015)
    with pytest.raises(ValueError, match="half_width"):
        prompts_needed(1.0, 0.0)
