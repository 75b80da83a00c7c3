"""The head on trained tokens alone must give what the whole model gives."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.config import Train
from molting.models import likelihood
from molting.models.engine import Engine
from molting.models.fake import fake_model
from molting.models.likelihood import (
    RowLoss,
    by_length,
    collate,
    mean_loss,
    perplexity,
    row_losses,
    token_losses,
)
from molting.models.lora import attach_lora
from molting.models.render import Rendered

STOP, PAD = 256, 260
SMALL: dict[str, Any] = {
    "vocab_size": 264,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 256,
}


@functools.cache
def model_of(kind: str) -> Any:
    """Models whose heads do more than one product: caps and scales that must not be skipped."""
    import transformers as tf

    build: dict[str, Callable[[], Any]] = {
        "llama": fake_model,
        "gemma2": lambda: tf.Gemma2ForCausalLM(
            tf.Gemma2Config(
                **SMALL, head_dim=16, final_logit_softcapping=0.5, attn_implementation="eager"
            )
        ),
        "granite": lambda: tf.GraniteForCausalLM(tf.GraniteConfig(**SMALL, logits_scaling=0.1)),
        "cohere": lambda: tf.CohereForCausalLM(tf.CohereConfig(**SMALL, logit_scale=7.0)),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return build[kind]().eval()


def reference(model: Any, row: Rendered) -> float:
    """The plain way: one row, no padding, all logits."""
    if not row.trained_tokens:
        return 0.0
    with torch.no_grad():
        logits_TV = model(input_ids=torch.tensor([row.ids]), use_cache=False).logits[0].double()
    log_TV = logits_TV.log_softmax(-1)
    return -sum(float(log_TV[t - 1, row.ids[t]]) for t in range(1, len(row.ids)) if row.trained[t])


@st.composite
def rows(draw: st.DrawFn) -> Rendered:
    ids = draw(st.lists(st.integers(0, 263) | st.just(STOP), min_size=2, max_size=24))
    trained = [False, *(draw(st.booleans()) for _ in ids[1:])]
    return Rendered(tuple(ids), tuple(trained), trained[-1])


@pytest.mark.parametrize("kind", ["llama", "gemma2", "granite", "cohere"])
@settings(max_examples=15, deadline=None)
@given(batch=st.lists(rows(), min_size=1, max_size=5))
def test_law_each_row_costs_what_it_costs_alone_with_all_logits(
    kind: str, batch: list[Rendered]
) -> None:
    model = model_of(kind)
    found = row_losses(model, batch, PAD)
    assert [loss.tokens for loss in found] == [row.trained_tokens for row in batch]
    for loss, row in zip(found, batch, strict=True):
        assert loss.nats == pytest.approx(reference(model, row), rel=1e-5, abs=1e-5)


@settings(max_examples=15, deadline=None)
@given(batch=st.lists(rows(), min_size=2, max_size=5), pad=st.sampled_from([STOP, 0, 97]))
def test_law_the_padding_id_does_not_matter_even_when_it_is_the_stop(
    batch: list[Rendered], pad: int
) -> None:
    model = fake_cached()
    usual, other = row_losses(model, batch, PAD), row_losses(model, batch, pad)
    for a, b in zip(usual, other, strict=True):
        assert b.tokens == a.tokens
        assert b.nats == pytest.approx(a.nats, rel=1e-6)


@functools.cache
def fake_cached() -> Any:
    return fake_model()


def test_token_losses_are_one_a_trained_token_in_the_rows_order() -> None:
    long = Rendered((5, 6, 7, STOP), (False, False, True, True), True)
    short = Rendered((8, 9), (False, True), False)
    batch = collate([long, short], STOP)
    losses = token_losses(fake_cached(), batch)
    assert losses.shape == (3,)
    assert losses.dtype == torch.float32
    assert batch.targets_N.tolist() == [7, STOP, 9]
    assert batch.row_N.tolist() == [0, 0, 1]
    assert batch.attention_BT.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert float(losses[2].detach()) == pytest.approx(reference(fake_cached(), short), rel=1e-5)


def test_a_tuned_model_is_measured_with_its_adapter() -> None:
    model = attach_lora(fake_model(), Train(rank=4), "fake", 0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(3), std=0.3)
    row = Rendered((5, 6, 7, STOP), (False, True, True, True), True)
    (tuned,) = row_losses(model, [row], PAD)
    assert tuned.nats == pytest.approx(reference(model.eval(), row), rel=1e-5)
    with model.disable_adapter():
        (base,) = row_losses(model, [row], PAD)
    assert base.nats == pytest.approx(reference(fake_cached(), row), rel=1e-5)
    assert abs(tuned.nats - base.nats) > 0.01


@pytest.mark.parametrize("head_rows", [1, 3, 256])
@pytest.mark.parametrize("targets", [("q", "v"), ("q", "lm_head"), None])
def test_gradients_are_those_of_all_logits_whether_the_head_is_tuned_or_not(
    head_rows: int, targets: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihood, "HEAD_ROWS", head_rows)
    batch = [
        Rendered((5, 6, 7, STOP, 9), (False, True, False, True, True), False),
        Rendered((8, 9, 10), (False, True, True), False),
    ]
    # Each token weighs differently, so that no gradient can go to another one's place.
    weights = torch.tensor([1.0, -2.0, 3.0, 0.5, 7.0])
    gradients: list[dict[str, torch.Tensor]] = []
    for plain in (False, True):
        # Without targets every weight is tuned, the head itself among them.
        model = fake_model()
        if targets:
            model = attach_lora(model, Train(rank=2, targets=targets), "fake", 0)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(generator=generator, std=0.3)
        if plain:
            losses = []
            for row in batch:
                log_TV = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
                losses += [
                    -log_TV[t - 1, row.ids[t]] for t in range(1, len(row.ids)) if row.trained[t]
                ]
            losses_N = torch.stack(losses)
        else:
            losses_N = token_losses(model, collate(batch, STOP))
        (losses_N * weights).sum().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.requires_grad})
    for name, wanted in gradients[1].items():
        assert wanted.abs().max() > 1e-6, name
        assert torch.allclose(gradients[0][name], wanted, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_the_models_mode_and_keeps_no_gradient(training: bool) -> None:
    model = fake_model().train(training)
    row_losses(model, [Rendered((5, 6), (False, True), False)], PAD)
    assert model.training is training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_measuring_reports_every_row_once() -> None:
    seen: list[tuple[int, int]] = []
    batch = [Rendered((5,) * n, (False,) + (True,) * (n - 1), False) for n in range(2, 80)]
    row_losses(fake_cached(), batch, PAD, lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (78, 78)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), max_size=60),
    most_tokens=st.integers(1, 300),
    most_rows=st.integers(1, 9),
)
def test_law_batches_by_length_hold_every_row_once_within_the_bounds(
    lengths: list[int], most_tokens: int, most_rows: int
) -> None:
    batch = [Rendered((0,) * n, (False,) * n, False) for n in lengths]
    found = by_length(batch, most_tokens, most_rows)
    assert sorted(i for part in found for i in part) == list(range(len(lengths)))
    for part in found:
        assert len(part) <= most_rows
        assert len(part) == 1 or len(part) * max(lengths[i] for i in part) <= most_tokens


def test_the_mean_is_over_tokens_not_over_rows() -> None:
    assert mean_loss([RowLoss(3.0, 1), RowLoss(3.0, 2)]) == pytest.approx(2.0)


def test_no_token_is_an_unknown_loss_and_never_zero() -> None:
    assert math.isnan(mean_loss([]))
    assert math.isnan(mean_loss([RowLoss(0.0, 0)]))
    assert math.isnan(perplexity(math.nan))


def test_perplexity_is_finite_for_any_finite_loss() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(math.log(50.0)) == pytest.approx(50.0)
    assert math.isfinite(perplexity(1e9))


# The engine's losses are those of the general implementation.


@pytest.mark.parametrize("shared", [0, 5, 90])
def test_the_engine_gives_the_same_losses_with_and_without_a_shared_prefix(shared: int) -> None:
    head = [(3 * i) % 250 for i in range(shared)]
    rows = []
    for k in range(1, 6):
        ids = (*head, *((k * i) % 250 for i in range(6 + 3 * k)))
        rows.append(Rendered(ids, tuple(i > shared + k for i in range(len(ids))), True))
    model = fake_model()
    plain = row_losses(model, rows, PAD)
    seen: list[tuple[int, int]] = []
    engine = Engine(model, adapter=False)
    fast = row_losses(model, rows, PAD, lambda done, total: seen.append((done, total)), engine)
    assert seen[-1] == (5, 5)
    for one, other in zip(plain, fast, strict=True):
        assert one.tokens == other.tokens
        assert one.nats == pytest.approx(other.nats, rel=1e-4)


def test_the_engine_says_nothing_of_rows_without_a_trained_token() -> None:
    rows = [Rendered((1, 2, 3), (False, False, False), False)] * 2
    engine = Engine(fake_model(), adapter=False)
    assert row_losses(fake_model(), rows, PAD, engine=engine) == [RowLoss(0.0, 0)] * 2
