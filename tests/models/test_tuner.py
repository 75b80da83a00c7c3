"""The hand-written gradients against PEFT and autograd, adapter by adapter."""

from __future__ import annotations

import copy
import math
import statistics
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Qwen2Config, Qwen2ForCausalLM

from molting.core.config import Train
from molting.models.fake import fake_model
from molting.models.likelihood import collate, token_losses
from molting.models.lora import attach_lora
from molting.models.render import Rendered
from molting.models.tuner import Tuner, tunable


def adapted(model: Any, targets: tuple[str, ...], rank: int = 4, seed: int = 2) -> Any:
    wrapped = attach_lora(model, Train(rank=rank, targets=targets), "x", 0)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return wrapped


def masters_of(model: Any) -> dict[str, torch.Tensor]:
    return {n: p.detach().float().clone() for n, p in model.named_parameters() if p.requires_grad}


def reference(model: Any, rows: list[Rendered], weights: torch.Tensor) -> tuple[Any, Any]:
    batch = collate(rows, 260)
    losses = token_losses(model, batch)
    (losses * weights).sum().backward()
    grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    for parameter in model.parameters():
        parameter.grad = None
    return losses.detach(), grads


def assert_close(model: Any, rows: list[Rendered], tolerance: float) -> None:
    count = sum(sum(row.trained[1:]) for row in rows)
    weights = torch.linspace(0.2, 1.0, max(count, 1))[:count]
    tuner = Tuner(model)
    tuner.load(masters_of(model))
    # In float64 the reference has no rounding of its own.
    expected, grads = reference(copy.deepcopy(model).double(), rows, weights)
    losses = tuner.losses(rows, gradients=True)
    torch.testing.assert_close(losses.nats_N, expected.float(), rtol=tolerance, atol=tolerance)
    found: dict[str, torch.Tensor] = {}
    tuner.back(losses, weights, found)
    assert set(found) == set(grads)
    assert all(grad.is_contiguous() for grad in found.values()), "the fused optimizer needs that"
    # Where terms cancel, as at the keys of very short rows, float32 itself leaves more than 1e-5:
    # PEFT's own rounding says how much. A wrong gradient is off by thousands of times that.
    _, rough = reference(model, rows, weights)
    largest = max(float(grad.norm()) for grad in grads.values())
    for name, grad in grads.items():
        rounding = float((rough[name] - grad).norm())
        allowed = 1e-5 * float(grad.norm()) + 10 * rounding + 1e-6 * largest
        assert float((found[name] - grad).norm()) <= allowed, name


def row(ids: list[int], first: int) -> Rendered:
    return Rendered(tuple(ids), tuple(i >= first for i in range(len(ids))), True)


ROWS = st.lists(
    st.tuples(st.lists(st.integers(0, 255), min_size=2, max_size=24), st.integers(1, 12)),
    min_size=1,
    max_size=5,
)
TARGETS = [("all-linear",), ("q", "v"), ("down",), ("k", "gate", "o")]


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, shared=st.integers(0, 30), targets=st.sampled_from(TARGETS))
def test_law_gradients_are_pefts_with_and_without_a_shared_prefix(
    rows: list[tuple[list[int], int]], shared: int, targets: tuple[str, ...]
) -> None:
    head = [(7 * i) % 250 for i in range(shared)]
    made = [row(head + tail, shared + min(first, len(tail) - 1)) for tail, first in rows]
    assert_close(adapted(fake_model(), targets), made, 1e-5)


def test_replies_in_the_middle_of_a_row_are_trained_too() -> None:
    middle = Rendered(tuple(range(20)), tuple(i in (4, 5, 6, 13, 14) for i in range(20)), True)
    other = Rendered(tuple(range(12)), tuple(i > 7 for i in range(12)), True)
    assert_close(adapted(fake_model(), ("all-linear",)), [middle, other], 1e-5)


def test_a_model_with_biases_is_tuned_exactly() -> None:
    torch.manual_seed(1)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=300,
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
    ).requires_grad_(False)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    assert_close(adapted(model, ("all-linear",)), [row(list(range(15)), 6)], 1e-5)


def test_parts_add_up_to_the_whole() -> None:
    rows = [row([(i * k) % 250 for i in range(8 + k)], 4) for k in range(1, 5)]
    model = adapted(fake_model(), ("all-linear",))
    tuner = Tuner(model)
    tuner.load(masters_of(model))
    whole: dict[str, torch.Tensor] = {}
    losses = tuner.losses(rows, gradients=True)
    tuner.back(losses, torch.ones(len(losses.nats_N)), whole)
    parts: dict[str, torch.Tensor] = {}
    for part in (rows[:1], rows[1:]):
        losses = tuner.losses(part, gradients=True)
        tuner.back(losses, torch.ones(len(losses.nats_N)), parts)
    for name, grad in whole.items():
        torch.testing.assert_close(parts[name], grad, rtol=1e-4, atol=1e-6)


def test_in_bfloat16_gradients_are_as_near_as_pefts_own() -> None:
    """One draw of one adapter says nothing: errors of the two differ by a factor of 2 either way,
    and another processor rounds otherwise. So all adapters, over several draws of weights."""
    ratios = [errors_in_bfloat16(seed) for seed in range(10)]
    assert statistics.geometric_mean(ours / pefts for ours, pefts in ratios) < 1.2


def errors_in_bfloat16(seed: int) -> tuple[float, float]:
    """Relative error of the gradients, root mean square over all adapters: the tuner's and PEFT's."""
    rows = [row([(i * k) % 250 for i in range(14 + k)], 6) for k in range(1, 5)]
    exact = adapted(fake_model().bfloat16().float(), ("all-linear",), seed=seed)
    with torch.no_grad():
        for parameter in exact.parameters():
            parameter.copy_(parameter.bfloat16().float())
    count = sum(sum(r.trained[1:]) for r in rows)
    weights = torch.full((count,), 1 / count)
    _, grads = reference(exact, rows, weights)
    masters = masters_of(exact)
    half = exact.bfloat16()
    _, rough = reference(half, rows, weights)
    tuner = Tuner(half)
    tuner.load(masters)
    found: dict[str, torch.Tensor] = {}
    losses = tuner.losses(rows, gradients=True)
    tuner.back(losses, weights, found)

    def error(gradients: dict[str, torch.Tensor]) -> float:
        squares = [float(((gradients[n] - g).norm() / g.norm()) ** 2) for n, g in grads.items()]
        return math.sqrt(statistics.fmean(squares))

    return error(found), error(rough)


def test_losses_alone_keep_nothing_for_the_way_back() -> None:
    model = adapted(fake_model(), ("all-linear",))
    tuner = Tuner(model)
    tuner.load(masters_of(model))
    losses = tuner.losses([row(list(range(9)), 3)], gradients=False)
    grads: dict[str, torch.Tensor] = {}
    tuner.back(losses, torch.ones(len(losses.nats_N)), grads)
    assert losses.kept is None
    assert grads == {}


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        (Train(), True),
        (Train(targets=("q", "lm_head")), False),
        (Train(dropout=0.1), False),
    ],
)
def test_what_the_tuner_does_not_know_is_left_to_peft(train: Train, expected: bool) -> None:
    assert tunable(attach_lora(fake_model(), train, "x", 0)) is expected


def test_what_stands_behind_the_last_trained_token_is_not_computed() -> None:
    """Not even a token that the model does not know disturbs it."""
    short = row(list(range(12)), 5)
    unknown = 10**6
    longer = Rendered((*short.ids, unknown, unknown), (*short.trained, False, False), True)
    model = adapted(fake_model(), ("all-linear",))
    tuner = Tuner(model)
    tuner.load(masters_of(model))
    found = []
    for rows in ([short, short], [longer, short]):
        grads: dict[str, torch.Tensor] = {}
        losses = tuner.losses(rows, gradients=True)
        tuner.back(losses, torch.ones(len(losses.nats_N)), grads)
        found.append((losses.nats_N, grads))
    assert torch.equal(found[0][0], found[1][0])
    for name, grad in found[0][1].items():
        assert torch.equal(found[1][1][name], grad), name


def test_a_row_with_nothing_to_train_on_changes_nothing() -> None:
    trained = row(list(range(40)), 20)
    nothing = row([*range(15), 99, 98], 17)
    model = adapted(fake_model(), ("all-linear",))
    tuner = Tuner(model)
    tuner.load(masters_of(model))
    alone: dict[str, torch.Tensor] = {}
    beside: dict[str, torch.Tensor] = {}
    for rows, grads in (([trained], alone), ([trained, nothing], beside)):
        losses = tuner.losses(rows, gradients=True)
        tuner.back(losses, torch.ones(len(losses.nats_N)), grads)
    for name, grad in alone.items():
        assert float((beside[name] - grad).norm()) <= 1e-4 * float(grad.norm()), name
