from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.config import Evaluate
from molting.evaluate.paired import agresti_min, kept, paired_shares, perplexity_ratio
from molting.models.likelihood import RowLoss


def test_items_that_did_not_change_leave_room_for_what_few_items_cannot_show() -> None:
    few = paired_shares([1.0] * 10, [1.0] * 10, 200, 0)
    many = paired_shares([1.0] * 400, [1.0] * 400, 200, 0)
    assert few.value == many.value == 0.0
    assert few.low is not None
    assert many.low is not None
    assert few.low < -0.1 < -0.02 < many.low < 0


def test_a_difference_is_paired() -> None:
    # Every second item is hard for both: unpaired, that alone would be ±0.1.
    base = np.tile([1.0, 0.0], 100)
    tuned = base.copy()
    tuned[:4] = 0
    found = paired_shares(base, tuned, 500, 0)
    assert found.value == pytest.approx(-0.01)
    assert found.high is not None
    assert found.low is not None
    assert found.high - found.low < 0.06


def test_members_of_a_cluster_are_drawn_together() -> None:
    random = np.random.default_rng(0)
    changes = np.repeat(random.choice([-1.0, 0.0, 1.0], 40), 5)
    alone = paired_shares(np.zeros(200), changes, 500, 0)
    together = paired_shares(np.zeros(200), changes, 500, 0, list(np.repeat(range(40), 5)))
    assert alone.value == pytest.approx(together.value)
    assert together.n == 40
    assert together.low is not None
    assert alone.low is not None
    assert together.low < alone.low


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """60 items of which 3 % are lost: a plain bootstrap says ±0 whenever none of them is drawn."""
    random = np.random.default_rng(1)
    draws = [-(random.random(60) < 0.03).astype(float) for _ in range(400)]
    covered = [low <= -0.03 <= high for low, high in map(agresti_min, draws)]
    assert np.mean(covered) > 0.93


@pytest.mark.parametrize(
    ("low", "value", "high", "passed"),
    [
        (-0.04, 0.0, 0.04, True),
        (-0.04, -0.03, -0.01, True),  # worse, but not by the margin
        (-0.2, -0.1, -0.02, False),
        (-0.2, -0.1, 0.01, None),  # perhaps not worse at all
        (-0.08, -0.04, -0.01, None),  # worse; perhaps by less than the margin
        (None, -0.1, None, None),
    ],
)
def test_a_gate_passes_fails_or_cannot_tell(
    low: float | None, value: float | None, high: float | None, passed: bool | None
) -> None:
    assert kept(low, value, high, 0.05) is passed


@given(
    st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.01, 0.3), st.floats(0, 0.5)
)
@settings(max_examples=200, deadline=None)
def test_a_wider_margin_never_turns_a_pass_into_a_loss(
    value: float, below: float, above: float, margin: float, more: float
) -> None:
    order = {False: 0, None: 1, True: 2}
    narrow, wide = (
        kept(value - below, value, value + above, allowed) for allowed in (margin, margin + more)
    )
    assert order[narrow] <= order[wide]


def test_perplexity_ratio_is_that_of_all_tokens() -> None:
    base = [RowLoss(10.0, 10), RowLoss(40.0, 20)]
    tuned = [RowLoss(15.0, 10), RowLoss(40.0, 20)]
    found = perplexity_ratio(base, tuned, Evaluate(resamples=100))
    assert found.value == pytest.approx(np.exp(5 / 30))
