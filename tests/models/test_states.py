"""Pooled states against transformers' own hidden states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

from molting.models.base import LoadedModel, load_model
from molting.models.engine import Engine
from molting.models.fake import fake_tokenizer
from molting.models.sources import ModelSource, find_model
from molting.models.states import POOLINGS, StateReader, model_shape, token_rows

ROWS = [(5, 9, 200, 31), (7,), (40, 41, 42, 43, 44, 45, 46), (9, 5)]


def neox() -> LoadedModel:
    torch.manual_seed(2)
    config = GPTNeoXConfig(
        vocab_size=264, hidden_size=24, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    source = ModelSource("neox", None, "b2:neox", "made here")
    model = GPTNeoXForCausalLM(config).eval()
    return LoadedModel(source, model, fake_tokenizer(), frozenset(), "float32")


def expected(base: LoadedModel, row: tuple[int, ...], layer: int) -> Any:
    with torch.inference_mode():
        states = base.model(input_ids=torch.tensor([row]), output_hidden_states=True).hidden_states[
            layer
        ][0]
    rest = states[1:] if len(row) > 1 else states
    return np.stack([rest.mean(0).numpy(), states[-1].numpy(), rest.amax(0).numpy()])


@pytest.mark.parametrize("make", [lambda: load_model(find_model("fake"), "float32"), neox])
@pytest.mark.parametrize("layers", [(0,), (1,), (2,), (0, 2), (1, 2)])
def test_padding_and_batches_change_no_pooled_state(make: Any, layers: tuple[int, ...]) -> None:
    base = make()
    reader = StateReader(base)
    found: dict[int, Any] = {}
    reader.read(ROWS, layers, lambda places, pooled: found.update(zip(places, pooled, strict=True)))
    assert reader.passes == len(ROWS)
    for i, row in enumerate(ROWS):
        assert found[i].shape == (len(layers), len(POOLINGS), base.model.config.hidden_size)
        for k, layer in enumerate(layers):
            np.testing.assert_allclose(found[i][k], expected(base, row, layer), atol=2e-5)


def test_no_layer_above_the_highest_is_run() -> None:
    engine = Engine(load_model(find_model("fake"), "float32").model, adapter=False)
    engine.layers[1] = None  # type: ignore[call-overload]
    assert len(engine.states(torch.tensor([[1, 2, 3]]), (0, 1))) == 2
    with pytest.raises(AttributeError):
        engine.states(torch.tensor([[1, 2, 3]]), (2,))


def test_the_shape_is_known_without_the_weights() -> None:
    base = load_model(find_model("fake"), "float32")
    shape = model_shape(base.source)
    config = base.model.config
    assert shape == (config.num_hidden_layers, config.hidden_size, base.context_tokens)


def test_every_text_has_a_token_and_none_has_too_many() -> None:
    source = find_model("fake")
    rows = token_rows(source, ["hello", "", "\ud800 x", "long " * 100], 50)
    assert [len(row) for row in rows[:2]] == [5, 1]
    assert rows[0] == tuple(load_model(source, "float32").tokenizer("hello").input_ids)
    assert len(rows[3]) == 50
