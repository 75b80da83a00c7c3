"""The engine against the general implementation: same hidden states, with or without a prefix."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from molting.core.config import Train
from molting.models.engine import Engine, common_prefix, supported
from molting.models.fake import fake_model
from molting.models.lora import attach_lora

SIZES = {
    "vocab_size": 64, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip


def tuned(model: Any, **changes: Any) -> Any:
    """A LoRA whose adapters do something."""
    wrapped = attach_lora(model, Train(rank=4, **changes), "x", 0)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.1)
    return wrapped.eval()


def qwen() -> Any:
    torch.manual_seed(3)
    model = Qwen2ForCausalLM(Qwen2Config(**SIZES)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    return model


def scaled_llama() -> Any:
    rope = {
        "rope_type": "llama3", "rope_theta": 10_000.0, "factor": 4.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 16,
    }  # fmt: skip
    torch.manual_seed(4)
    return LlamaForCausalLM(LlamaConfig(**SIZES, rope_parameters=rope)).eval()


MODELS = {"fake": fake_model, "qwen2": qwen, "llama3 rope": scaled_llama}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("adapter", [False, True])
@pytest.mark.parametrize("shared", [0, 3])
def test_reading_and_stepping_give_the_general_implementations_logits(
    name: str, adapter: bool, shared: int
) -> None:
    model = tuned(MODELS[name]())
    ids = torch.randint(0, 60, (3, 9), generator=torch.Generator().manual_seed(5))
    ids[:, :3] = ids[0, :3]
    with torch.inference_mode():
        if adapter:
            expected = model(input_ids=ids).logits
        else:
            with model.disable_adapter():
                expected = model(input_ids=ids).logits
    engine = Engine(model, adapter=adapter)
    prefix = engine.prefix(ids[0, :shared].tolist()) if shared else None
    cache = engine.new_cache(3, 12)
    hidden = engine.read(ids[:, shared:7], cache, prefix)
    torch.testing.assert_close(engine.logits(hidden), expected[:, shared:7], rtol=1e-4, atol=1e-4)
    for t in (7, 8):
        length = torch.full((3,), t - shared)
        step = engine.logits(engine.step(ids[:, t], length, cache, prefix))
        torch.testing.assert_close(step, expected[:, t], rtol=1e-4, atol=1e-4)


def test_rows_of_other_lengths_do_not_disturb_a_row() -> None:
    engine = Engine(fake_model(), adapter=False)
    ids = torch.randint(0, 200, (2, 8), generator=torch.Generator().manual_seed(6))
    both, alone = engine.new_cache(2, 16), engine.new_cache(1, 16)
    engine.read(ids, both, None)
    engine.read(ids[1:, :5], alone, None)
    token = torch.tensor([7, 9])
    together = engine.step(token, torch.tensor([8, 5]), both, None)[1]
    by_itself = engine.step(token[1:], torch.tensor([5]), alone, None)[0]
    torch.testing.assert_close(together, by_itself, rtol=1e-4, atol=1e-5)


def test_what_the_engine_cannot_run_is_left_to_the_general_implementation() -> None:
    assert supported(fake_model())
    other = GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=64,
            hidden_size=24,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=40,
        )
    )
    assert not supported(other)
    rope = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}
    assert not supported(LlamaForCausalLM(LlamaConfig(**SIZES, rope_parameters=rope)))
    assert not supported(attach_lora(fake_model(), Train(targets=("embed_tokens",)), "x", 0))
    assert supported(tuned(fake_model(), targets=("q", "lm_head")))


def test_an_adapted_head_is_merged() -> None:
    model = tuned(fake_model(), targets=("lm_head",))
    ids = torch.tensor([[1, 2, 3]])
    with torch.inference_mode():
        expected = model(input_ids=ids).logits
    engine = Engine(model, adapter=True)
    found = engine.logits(engine.read(ids, None, None))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 2), max_size=6),
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=5), min_size=2, max_size=5),
)
def test_law_the_common_prefix_is_common_and_leaves_every_row_a_token(
    head: list[int], tails: list[list[int]]
) -> None:
    rows = [tuple(head + tail) for tail in tails]
    shared = common_prefix(rows, 1)
    assert len(head) <= shared <= min(map(len, rows)) - 1
    assert len({row[:shared] for row in rows}) == 1
    longer = {row[: shared + 1] for row in rows}
    assert len(longer) > 1 or shared == min(map(len, rows)) - 1
    assert common_prefix(rows, shared + 1) == 0
