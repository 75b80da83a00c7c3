from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.config import Train
from molting.core.schedule import learning_rate, steps_per_epoch, warmup_and_total


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 64))
def test_an_epoch_sees_every_row_once(rows: int, batch_rows: int) -> None:
    assert steps_per_epoch(rows, batch_rows) == math.ceil(rows / batch_rows)


def test_the_rate_rises_to_its_peak_and_then_only_falls() -> None:
    train = Train(learning_rate=1e-3, epochs=5, batch_rows=8, warmup_share=0.1)
    warmup, total = warmup_and_total(160, train)
    assert (warmup, total) == (10, 100)
    rates = [learning_rate(train, step, warmup, total) for step in range(total + 1)]
    assert rates[:warmup] == sorted(rates[:warmup])
    assert 0 < rates[0] < rates[warmup] == max(rates) == pytest.approx(1e-3)
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert 0 < rates[-1] < 0.2e-3
