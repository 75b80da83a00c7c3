"""Two ways to the same gradients, and which one a model gets."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from molting.core.config import Train
from molting.models.fake import fake_model
from molting.models.lora import attach_lora
from molting.models.render import Rendered
from molting.train.steppers import PeftStepper, TunerStepper, stepper_for

PAD = 260


def row(length: int, first: int, step: int) -> Rendered:
    ids = tuple((7 + i * step) % 250 for i in range(length))
    return Rendered(ids, tuple(i >= first for i in range(length)), True)


ROWS = [row(9, 4, 1), row(14, 6, 3), row(30, 20, 5)]


def fresh(**changes: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    model = attach_lora(fake_model(), Train(rank=4, **changes), "x", 0)
    masters = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    torch.manual_seed(3)
    for name, master in masters.items():
        if "lora_B" in name:
            master.normal_(0, 0.1)
    return model, masters


def test_both_give_the_same_losses_and_gradients() -> None:
    found = []
    for kind in (TunerStepper, lambda model: PeftStepper(model, PAD)):
        model, masters = fresh()
        stepper = kind(model)
        stepper.load(masters)
        nats, grads = stepper.gradients(ROWS, 40)
        found.append((nats, grads, stepper.losses(ROWS)))
    (nats, grads, losses), (other_nats, other_grads, other_losses) = found
    assert nats == pytest.approx(other_nats, rel=1e-5)
    assert grads.keys() == other_grads.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, other_grads[name], rtol=1e-4, atol=1e-6)
    for one, other in zip(losses, other_losses, strict=True):
        assert one.tokens == other.tokens
        assert one.nats == pytest.approx(other.nats, rel=1e-5)


def test_rows_keep_their_order_whatever_their_length() -> None:
    model, masters = fresh()
    stepper = TunerStepper(model)
    stepper.load(masters)
    forward, backward = stepper.losses(ROWS), stepper.losses(ROWS[::-1])
    assert [x.tokens for x in forward] == [5, 8, 10]
    for one, other in zip(forward, backward[::-1], strict=True):
        assert one.nats == pytest.approx(other.nats, rel=1e-5)


def test_the_tuner_takes_plain_lora_and_peft_the_rest() -> None:
    assert isinstance(stepper_for(fresh()[0], PAD), TunerStepper)
    assert isinstance(stepper_for(fresh(dropout=0.1)[0], PAD), PeftStepper)


def test_loading_replaces_what_was_loaded_before() -> None:
    model, masters = fresh()
    stepper = TunerStepper(model)
    stepper.load({name: torch.zeros_like(master) for name, master in masters.items()})
    untouched = stepper.losses(ROWS)[0].nats
    stepper.load(masters)
    assert stepper.losses(ROWS)[0].nats != pytest.approx(untouched, rel=1e-4)
    stepper.load({name: torch.zeros_like(master) for name, master in masters.items()})
    assert stepper.losses(ROWS)[0].nats == untouched
