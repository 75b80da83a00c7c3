"""DPO: its value by the formula, its gradient by autograd, on either stepper."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from molting.core.config import Train
from molting.models.fake import fake_model
from molting.models.likelihood import RowLoss, collate, row_losses, token_losses
from molting.models.lora import attach_lora
from molting.models.render import Rendered
from molting.train.objectives import NextToken, Pair, Preference
from molting.train.steppers import PeftStepper, TunerStepper

PAD = 260


def row(first: int, length: int, step: int) -> Rendered:
    """The same prompt of `first` tokens, and a reply of its own."""
    ids = tuple(range(9, 9 + first)) + tuple((5 + i * step) % 250 for i in range(length - first))
    return Rendered(ids, tuple(i >= first for i in range(length)), True)


def pairs() -> list[Pair]:
    made = [(row(4, 9, 3), row(4, 14, 7)), (row(6, 20, 5), row(6, 11, 11))]
    flat = [r for pair in made for r in pair]
    nats = [loss.nats for loss in row_losses(fake_model(), flat, PAD)]
    return [Pair(c, c, r, nats[2 * i], nats[2 * i + 1]) for i, (c, r) in enumerate(made)]


def stirred(**changes: Any) -> Any:
    model = attach_lora(fake_model(), Train(rank=4, **changes), "x", 0)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1, generator=generator)
    return model


def reference(model: Any, made: list[Pair], config: Train) -> tuple[float, dict[str, Any]]:
    """The formula as it stands in the papers, through autograd."""
    flat = [r for pair in made for r in (pair.chosen, pair.rejected)]
    batch = collate(flat, PAD)
    losses = token_losses(model, batch)
    total = torch.zeros(())
    for i, pair in enumerate(made):
        policy = [-losses[batch.row_N == b].sum() for b in (2 * i, 2 * i + 1)]
        base = (-pair.chosen_nats, -pair.rejected_nats)
        sizes = [1, 1]
        if config.dpo_per_token:
            sizes = [pair.chosen.trained_tokens, pair.rejected.trained_tokens]
        margin = (policy[0] - base[0]) / sizes[0] - (policy[1] - base[1]) / sizes[1]
        nll = -policy[0] / pair.chosen.trained_tokens
        total = total - torch.nn.functional.logsigmoid(config.dpo_beta * margin)
        total = total + config.dpo_nll * nll
    (total / len(made)).backward()
    grads = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    return float(total.detach()), grads


@pytest.mark.parametrize("per_token", [False, True])
@pytest.mark.parametrize("kind", [TunerStepper, PeftStepper])
def test_value_and_gradient_are_those_of_the_formula(kind: Any, per_token: bool) -> None:
    config, made = Train(method="dpo", dpo_per_token=per_token, dpo_beta=0.3), pairs()
    total, wanted = reference(stirred(), made, config)
    model = stirred()
    stepper = kind(model) if kind is TunerStepper else kind(model, PAD)
    stepper.load({n: p.detach() for n, p in model.named_parameters() if p.requires_grad})
    objective = Preference(made, config)
    found, grads = objective.gradients(stepper, [0, 1], objective.count([0, 1]))
    assert found == pytest.approx(total, rel=1e-5)
    assert grads.keys() == wanted.keys()
    for name, grad in wanted.items():
        assert (grads[name] - grad).norm() <= 1e-4 * grad.norm()


def test_the_untouched_model_has_no_preference() -> None:
    made = pairs()
    objective = Preference(made, Train(method="dpo", dpo_nll=0.0))
    losses = row_losses(fake_model(), objective.rows(), PAD)
    measured = objective.measured(losses)
    assert measured["preference_loss"] == pytest.approx(math.log(2), rel=1e-5)
    better = [RowLoss(x.nats - (1 if i % 2 == 0 else -1), x.tokens) for i, x in enumerate(losses)]
    assert objective.measured(better)["preferred"] == 1.0
    assert objective.measured(better)["preference_loss"] < math.log(2)


@given(st.floats(0, 4000), st.floats(0, 4000), st.floats(0.01, 5.0), st.floats(0, 1), st.booleans())
def test_law_the_derivatives_are_those_of_the_loss(
    chosen: float, rejected: float, beta: float, nll: float, per_token: bool
) -> None:
    pair = pairs_once()[0]
    config = Train(method="dpo", dpo_beta=beta, dpo_nll=nll, dpo_per_token=per_token)
    objective = Preference([pair], config)
    value, at_chosen, at_rejected = objective.loss(pair, chosen, rejected)
    assert math.isfinite(value)
    assert at_chosen >= 0 >= at_rejected
    h = 1e-4
    by_chosen = objective.loss(pair, chosen + h, rejected)[0] - value
    by_rejected = objective.loss(pair, chosen, rejected + h)[0] - value
    assert by_chosen / h == pytest.approx(at_chosen, abs=2e-3)
    assert by_rejected / h == pytest.approx(at_rejected, abs=2e-3)


_ONCE: list[Pair] = []


def pairs_once() -> list[Pair]:
    if not _ONCE:
        _ONCE.extend(pairs())
    return _ONCE


def test_the_parts_of_a_batch_add_up() -> None:
    made = pairs()
    model = stirred()
    stepper = TunerStepper(model)
    stepper.load({n: p.detach() for n, p in model.named_parameters() if p.requires_grad})
    for objective in (
        Preference(made, Train(method="dpo")),
        NextToken([pair.chosen for pair in made]),
    ):
        count = objective.count([0, 1])
        whole, grads = objective.gradients(stepper, [0, 1], count)
        parts = [objective.gradients(stepper, [i], count) for i in (0, 1)]
        assert sum(value for value, _ in parts) == pytest.approx(whole, rel=1e-5)
        for name, grad in grads.items():
            both = parts[0][1][name] + parts[1][1][name]
            torch.testing.assert_close(both, grad, rtol=1e-4, atol=1e-6)
