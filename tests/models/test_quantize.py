"""A base in 4 bits: near the full one, smaller, and its adapter is an ordinary one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from molting.core.config import Train
from molting.core.errors import UsageError
from molting.models.base import load_model
from molting.models.engine import supported
from molting.models.fake import fake_model
from molting.models.lora import (
    adapter_state,
    attach_lora,
    count_parameters,
    load_adapter,
    save_adapter,
)
from molting.models.quantize import quantize
from molting.models.sources import find_model
from molting.models.tuner import tunable
from molting.train.steppers import PeftStepper, stepper_for

IDS = torch.arange(24)[None]
needed = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="needs the extra qlora"
)


def test_without_the_package_it_is_one_line_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(UsageError, match=r"pip install 'molting-lm\[qlora\]'"):
        load_model(find_model("fake"), "float32", four_bit=True)


@pytest.fixture
def small() -> Any:
    return quantize(fake_model(), torch.float32).requires_grad_(False)


@needed
def test_every_linear_layer_but_the_head_is_in_four_bits(small: Any) -> None:
    kinds = {
        name.rsplit(".", 1)[-1]: type(module).__name__ for name, module in small.named_modules()
    }
    assert kinds["up_proj"] == kinds["q_proj"] == kinds["down_proj"] == "Linear4bit"
    assert kinds["lm_head"] == "Linear"
    state = small.model.layers[0].mlp.up_proj.weight.quant_state
    assert (state.quant_type, state.nested, state.dtype) == ("nf4", True, torch.float32)
    full = fake_model()(IDS).logits
    error = (small(IDS).logits - full).norm() / full.norm()
    assert 0 < error < 0.15
    assert count_parameters(small)[1] == count_parameters(fake_model())[1]


@needed
def test_it_is_trained_through_autograd_and_never_taken_for_the_full_base(small: Any) -> None:
    assert not supported(small)
    model = attach_lora(small, Train(rank=4), "fake", 0)
    assert not tunable(model)
    assert isinstance(stepper_for(model, 260), PeftStepper)
    base = load_model(find_model("fake"), "float32", four_bit=True)
    assert base.source.weights == "b2:fake-1:nf4"


@needed
def test_its_adapter_loads_on_the_unquantised_base(small: Any, tmp_path: Path) -> None:
    model = attach_lora(small, Train(rank=4), "fake", 0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    save_adapter(model.peft_config["default"], adapter_state(model), tmp_path)
    full = load_adapter(fake_model(), tmp_path)
    assert adapter_state(full).keys() == adapter_state(model).keys()
    for name, tensor in adapter_state(model).items():
        assert torch.equal(adapter_state(full)[name], tensor)
    change = full(IDS).logits - fake_model()(IDS).logits
    with torch.no_grad(), model.disable_adapter():
        plain = model(IDS).logits
    change_small = model(IDS).logits - plain
    assert torch.nn.functional.cosine_similarity(change.flatten(), change_small.flatten(), 0) > 0.9
