"""A step that does not fit, a number that is none, a loss that runs away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molting.core.config import Train
from molting.core.errors import CheckFailed
from molting.core.progress import Silent
from molting.models.fake import fake_model
from molting.models.lora import attach_lora
from molting.models.render import Rendered
from molting.train import loop
from molting.train.checkpoint import load_checkpoint
from molting.train.loop import Diverged, Outcome, train
from molting.train.step import WINDOW, diverging, losses_in_memory, out_of_memory
from molting.train.steppers import TunerStepper

PAD = 260


def row(length: int, step: int) -> Rendered:
    ids = tuple((5 + i * step) % 250 for i in range(length))
    return Rendered(ids, tuple(i >= 4 for i in range(length)), True)


ROWS = [row(30 + i, 3 + i) for i in range(8)]
CONFIG = Train(rank=4, learning_rate=5e-3, batch_rows=8, epochs=2, patience=9)
ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


class Small(TunerStepper):
    """A machine on which more than `room` tokens at a time do not fit."""

    room, error, largest = 70, ERRORS[0], 0

    def gradients(self, rows: Sequence[Rendered], count: int) -> tuple[float, dict[str, Any]]:
        self.fits(rows)
        return super().gradients(rows, count)

    def losses(self, rows: Sequence[Rendered]) -> list[Any]:
        self.fits(rows)
        return super().losses(rows)

    def fits(self, rows: Sequence[Rendered]) -> None:
        tokens = sum(len(row.ids) for row in rows)
        if tokens > self.room:
            raise self.error
        type(self).largest = max(self.largest, tokens)


class Lines(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def run(folder: Path, config: Train = CONFIG, progress: Any = None, **more: Any) -> Outcome:
    model = attach_lora(fake_model(), config, "fake", 0)
    return train(model, ROWS, ROWS[:3], config, PAD, folder, progress or Silent(), **more)


@pytest.mark.parametrize("error", ERRORS, ids=["CUDA", "CPU", "Python"])
def test_out_of_memory_is_tried_again_with_smaller_parts_of_the_same_batch(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole")
    monkeypatch.setattr(Small, "error", error)
    monkeypatch.setattr(Small, "largest", 0)
    monkeypatch.setattr(loop, "stepper_for", lambda model, *_: Small(model))
    lines = Lines()
    split = run(tmp_path / "split", progress=lines)
    assert 0 < Small.largest <= Small.room
    assert split.position.losses == pytest.approx(whole.position.losses, rel=1e-5)
    for name, tensor in whole.state.items():
        torch.testing.assert_close(split.state[name], tensor, rtol=1e-3, atol=1e-5)
    # Found once, and kept for the steps that follow, resumed ones too.
    told = [line for line in lines.said if "out of memory" in line]
    assert [int(line.split("with ")[1].split()[0]) for line in told] == [512, 256, 128, 64]
    assert split.position.micro_tokens == 64
    found = load_checkpoint(tmp_path / "split")
    assert found is not None
    assert found[0].micro_tokens == 64


def test_what_does_not_fit_row_by_row_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tiny(Small):
        def losses(self, rows: Sequence[Rendered]) -> list[Any]:
            return TunerStepper.losses(self, rows)

    monkeypatch.setattr(Tiny, "room", 20)
    monkeypatch.setattr(loop, "stepper_for", lambda model, *_: Tiny(model))
    with pytest.raises(CheckFailed, match=r"out of memory with one example of 37 tokens.*max_tok"):
        run(tmp_path)


def test_other_errors_are_not_taken_for_it() -> None:
    assert not out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))
    model = attach_lora(fake_model(), CONFIG, "fake", 0)

    class Broken(TunerStepper):
        def losses(self, rows: Sequence[Rendered]) -> list[Any]:
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        losses_in_memory(Broken(model), ROWS)


def test_a_gradient_that_is_no_number_does_not_reach_the_masters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Poisoned(TunerStepper):
        steps = 0

        def gradients(self, rows: Sequence[Rendered], count: int) -> tuple[float, dict[str, Any]]:
            nats, grads = super().gradients(rows, count)
            type(self).steps += 1
            if self.steps == 2:
                next(iter(grads.values()))[0, 0] = math.inf
            return nats, grads

    monkeypatch.setattr(loop, "stepper_for", lambda model, *_: Poisoned(model))
    with pytest.raises(Diverged, match=r"not a number at step 1; lower train\.learning_rate") as e:
        run(tmp_path)
    # The loss was a number; what would have come of it was none.
    assert all(torch.isfinite(tensor).all() for tensor in e.value.outcome.state.values())
    assert e.value.outcome.position.step == 1
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert all(torch.isfinite(tensor).all() for tensor in found[1].values())


def test_a_loss_that_runs_away_stops_and_leaves_the_best_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rising(TunerStepper):
        steps = 0

        def gradients(self, rows: Sequence[Rendered], count: int) -> tuple[float, dict[str, Any]]:
            nats, grads = super().gradients(rows, count)
            type(self).steps += 1
            return nats * (1 + self.steps // 10), grads

    config = msgspec.structs.replace(CONFIG, epochs=40, patience=40)
    monkeypatch.setattr(loop, "stepper_for", lambda model, *_: Rising(model))
    with pytest.raises(Diverged, match="the loss runs away") as error:
        run(tmp_path, config)
    assert error.value.exit_code == 1
    outcome = error.value.outcome
    assert 10 < outcome.position.step < 20
    assert outcome.position.best_loss < outcome.position.history[0]["validation_loss"]
    # Asked again it does not train on.
    with pytest.raises(Diverged, match=f"step {outcome.position.step};"):
        run(tmp_path, config)


@given(st.lists(st.floats(0.01, 9), min_size=2 * WINDOW, max_size=40))
def test_law_a_loss_that_never_exceeds_its_beginning_by_half_does_not_run_away(
    losses: list[float],
) -> None:
    begun = sum(losses[:WINDOW]) / WINDOW
    assert not diverging([*losses[:WINDOW], *(min(x, 1.5 * begun) for x in losses[WINDOW:])])
    assert diverging([*losses[:WINDOW], *[1.51 * begun] * WINDOW])
    assert not diverging(losses[: 2 * WINDOW - 1])
