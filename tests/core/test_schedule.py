from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.config import Train
from molting.core.schedule import learning_rate, peak_rate, steps_per_epoch, warmup_and_total


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 3000), st.integers(1, 64))
def test_an_epoch_sees_every_row_once(rows: int, batch_rows: int) -> None:
    assert steps_per_epoch(rows, batch_rows) == math.ceil(rows / batch_rows)


def test_the_rate_rises_to_its_peak_and_then_only_falls() -> None:
    train = Train(learning_rate=1e-3, epochs=5, batch_rows=8, warmup_share=0.1)
    warmup, total = warmup_and_total(160, train)
    assert (warmup, total) == (10, 100)
    rates = [learning_rate(1e-3, step, warmup, total) for step in range(total + 1)]
    assert rates[:warmup] == sorted(rates[:warmup])
    assert 0 < rates[0] < rates[warmup] == max(rates) == pytest.approx(1e-3)
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert 0 < rates[-1] < 0.2e-3


def test_a_configured_rate_is_the_rate() -> None:
    assert peak_rate(Train(learning_rate=3e-3), 4096).value == 3e-3


def test_without_one_it_follows_from_width_scale_and_method() -> None:
    assert peak_rate(Train(), 576).value == 5e-4
    # Rank alone changes nothing; narrower models are not taught faster than what was measured.
    assert peak_rate(Train(rank=64), 576).value == peak_rate(Train(), 48).value == 5e-4
    assert peak_rate(Train(alpha=64), 576).value == 2.5e-4
    assert peak_rate(Train(rslora=True), 576).value == pytest.approx(1.25e-4, rel=0.05)
    assert peak_rate(Train(method="dpo"), 576).value == 2.5e-4
    assert peak_rate(Train(), 2048).value == 2.7e-4
    assert "2,048" in peak_rate(Train(), 2048).reason


def test_adapters_on_few_layers_take_twice_the_rate() -> None:
    fast = Train(mode="fast")
    assert peak_rate(fast, 576).value == peak_rate(fast, 576, 30).value == 1e-3
    assert "so few layers" in peak_rate(fast, 576).reason
    tops = {5: 1e-3, 15: 1e-3, 16: 5e-4, 30: 5e-4}
    for top, rate in tops.items():
        assert peak_rate(Train(mode="fast", top_layers=top), 576, 30).value == rate
    # Of how many layers is not known: no claim that they are few.
    assert peak_rate(Train(mode="fast", top_layers=5), 576).value == 5e-4
    assert peak_rate(Train(mode="fast", method="dpo"), 576, 30).value == 2.5e-4


@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_law_a_wider_model_never_takes_a_higher_rate(one: int, other: int) -> None:
    narrow, wide = sorted((one, other))
    assert 1e-5 <= peak_rate(Train(), wide).value <= peak_rate(Train(), narrow).value <= 5e-4
