"""Fast mode adapts the top layers, and its files say so in PEFT's own words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from molting.core.config import Train
from molting.core.errors import ConfigError
from molting.models.fake import fake_model
from molting.models.lora import adapter_state, attach_lora, save_adapter
from molting.models.top import top_layers
from molting.models.tuner import lowest_adapted


@pytest.mark.parametrize(("layers", "expected"), [(1, 1), (2, 1), (3, 1), (30, 10), (31, 11)])
def test_the_rule_is_the_top_third_rounded_up(layers: int, expected: int) -> None:
    assert top_layers(Train(mode="fast"), layers) == expected


def test_more_layers_than_there_are_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match=r"train\.top_layers: the model has 2 layers"):
        attach_lora(fake_model(), Train(mode="fast", top_layers=3), "x", 0)


def test_a_target_outside_the_layers_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match="lm_head stands in none"):
        attach_lora(fake_model(), Train(mode="fast", targets=("q", "lm_head")), "x", 0)


def test_exact_mode_adapts_every_layer_whatever_top_layers_says() -> None:
    model = attach_lora(fake_model(), Train(top_layers=1), "x", 0)
    assert lowest_adapted(model) == 0


@pytest.mark.parametrize("targets", [("all-linear",), ("q", "down")])
def test_the_adapter_loads_in_peft_with_the_same_logits(
    tmp_path: Path, targets: tuple[str, ...]
) -> None:
    model = attach_lora(fake_model(), Train(mode="fast", rank=3, targets=targets), "x", 0)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    assert lowest_adapted(model) == 1
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained
    assert all(".layers.1." in name for name in trained)
    save_adapter(model.peft_config["default"], adapter_state(model), tmp_path)
    written = json.loads((tmp_path / "adapter_config.json").read_text())
    assert written["layers_to_transform"] == [1]
    ids = torch.tensor([[5, 6, 7, 8]])
    other = PeftModel.from_pretrained(fake_model(), tmp_path)
    torch.testing.assert_close(other(ids).logits, model(ids).logits, rtol=0, atol=0)
