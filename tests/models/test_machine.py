"""Both dtypes are timed; what is chosen follows from the times."""

from __future__ import annotations

import pytest

from molting.models import machine
from molting.models.machine import (
    Machine,
    choose_dtype,
    evaluation_bytes,
    measure_machine,
    training_bytes,
)


def test_both_dtypes_are_timed_and_one_is_chosen() -> None:
    found = measure_machine(0.02)
    assert set(found.gflops) == {"float32", "bfloat16"}
    assert all(speed > 0 for speed in found.gflops.values())
    assert found.dtype in found.gflops
    assert found.threads >= 1


@pytest.mark.parametrize(
    ("float32", "bfloat16", "dtype"),
    [(100.0, 300.0, "bfloat16"), (100.0, 1.0, "float32"), (100.0, 100.0, "float32")],
)
def test_auto_takes_the_faster_dtype_and_a_tie_goes_to_the_exact_one(
    float32: float, bfloat16: float, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Machine({"float32": float32, "bfloat16": bfloat16}, 2, "cpu")
    monkeypatch.setattr(machine, "measure_machine", lambda: found)
    assert choose_dtype("auto") == dtype


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_dtype_asked_for_is_taken_without_timing(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(machine, "measure_machine")
    assert choose_dtype(dtype) == dtype


def test_a_larger_model_is_expected_to_be_slower() -> None:
    found = Machine({"float32": 100.0, "bfloat16": 300.0}, 2, "cpu")
    assert found.tokens_per_second(10**8, 0, 0, "float32") == pytest.approx(
        10 * found.tokens_per_second(10**9, 0, 0, "float32")
    )


def test_memory_grows_with_everything_and_is_less_in_half_precision_unless_packed() -> None:
    usual = (10**8, 10**6, 2048, 30, 576, 49152)
    least = training_bytes(*usual, "float32", by_hand=True)
    assert least > 4 * 10**8
    for i, value in enumerate(usual):
        more = list(usual)
        more[i] = value * 2
        assert training_bytes(*more, "float32", by_hand=True) > least
    assert training_bytes(*usual, "bfloat16", by_hand=True) < least
    assert training_bytes(*usual, "float32", by_hand=False) > least
    half = training_bytes(*usual, "bfloat16", by_hand=True)
    assert training_bytes(*usual, "bfloat16", by_hand=True, packed=True) == half + 4 * 10**8
    assert training_bytes(*usual, "float32", by_hand=True, parted=False) > least + 10**9


def test_memory_is_expected_as_it_was_measured() -> None:
    # SmolLM2-135M, float32, batches of up to 1,024 tokens: 2.2 GiB by hand, 3.8 by PEFT.
    smol = (139_399_488, 4_884_480, 1024, 30, 576, 49152)
    assert training_bytes(*smol, "float32", by_hand=True) / 2**30 == pytest.approx(2.2, abs=0.2)
    assert training_bytes(*smol, "float32", by_hand=False) / 2**30 == pytest.approx(3.8, abs=0.3)
    whole_run = evaluation_bytes(139_399_488, 1120, 30, 576, "float32")
    assert whole_run / 2**30 == pytest.approx(3.3, abs=0.4)
    # The cache of a tiny model is tiny.
    assert evaluation_bytes(60_000, 1120, 2, 48, "float32") < 1.2 * 2**30
