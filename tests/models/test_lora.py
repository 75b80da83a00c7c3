"""Adapters are PEFT's own: counted, saved and loaded as PEFT would."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from molting.core.config import Train
from molting.core.errors import ConfigError, UsageError
from molting.models.base import load_model
from molting.models.catalogue import CATALOGUE
from molting.models.fake import fake_model, fake_tokenizer
from molting.models.likelihood import row_losses
from molting.models.lora import (
    adapter_state,
    attach_lora,
    count_for_shape,
    count_parameters,
    hub_name,
    load_adapter,
    save_adapter,
    shape_of,
)
from molting.models.quiet import quiet
from molting.models.render import Rendered
from molting.models.sources import find_model
from molting.models.tuner import tunable
from molting.train.steppers import PeftStepper, TunerStepper, stepper_for

IDS = torch.arange(3, 40).view(1, -1)
SMALL = Train(rank=4, alpha=8, targets=("q", "v"))


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found = model(IDS).logits
    assert isinstance(found, torch.Tensor)
    return found


def tuned(train: Train = SMALL, model: Any = None, base_name: str = "fake") -> Any:
    """An adapter that does something: a fresh one has B = 0."""
    found = attach_lora(model or fake_model(), train, base_name, 0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in found.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3, generator=generator)
    return found


def saved(model: Any, folder: Path) -> Path:
    save_adapter(model.peft_config["default"], adapter_state(model), folder)
    return folder


def test_tinyllamas_shape_has_the_published_number_of_trainable_parameters() -> None:
    shape = CATALOGUE["tinyllama-1.1b"].shape
    assert shape is not None
    train = Train(rank=16, targets=("q", "k", "v", "o"))
    assert count_for_shape(shape, train) == (4_505_600, 1_104_553_984)


def test_the_shape_of_a_model_is_counted_without_its_weights() -> None:
    trainable, total = count_parameters(attach_lora(fake_model(), SMALL, "fake", 0))
    shape = shape_of(find_model("fake"), SMALL)
    assert (shape["trainable"], shape["parameters"]) == (trainable, total)
    # r · (inputs + outputs) for each of q and v in two layers.
    assert trainable == 2 * 4 * ((48 + 48) + (48 + 24))
    assert (shape["layers"], shape["width"], shape["vocabulary"]) == (2, 48, 264)
    assert shape["by_hand"]
    assert not shape_of(find_model("fake"), msgspec.structs.replace(SMALL, dropout=0.1))["by_hand"]


def test_an_adapter_adds_alpha_over_r_times_b_a() -> None:
    model, merged = tuned(), fake_model()
    state = adapter_state(model)
    with torch.no_grad():
        for name, weight in merged.named_parameters():
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            if f"{stem}.lora_A.weight" in state:
                weight += 8 / 4 * state[f"{stem}.lora_B.weight"] @ state[f"{stem}.lora_A.weight"]
    assert torch.allclose(logits(model), logits(merged), atol=1e-5)
    assert not torch.allclose(logits(model), logits(fake_model()), atol=1e-2)


def test_a_fresh_adapter_changes_nothing() -> None:
    assert torch.equal(logits(attach_lora(fake_model(), SMALL, "fake", 0)), logits(fake_model()))


def test_fresh_adapters_come_from_the_seed_alone() -> None:
    torch.manual_seed(5)
    first = adapter_state(attach_lora(fake_model(), SMALL, "fake", 3))
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)
    again = adapter_state(attach_lora(fake_model(), SMALL, "fake", 3))
    other = adapter_state(attach_lora(fake_model(), SMALL, "fake", 4))
    assert all(torch.equal(again[name], tensor) for name, tensor in first.items())
    assert any(not torch.equal(other[name], tensor) for name, tensor in first.items())


@pytest.mark.parametrize("targets", [("q", "v"), ("q_proj", "v_proj")])
def test_only_the_layers_asked_for_are_adapted(targets: tuple[str, ...]) -> None:
    state = adapter_state(attach_lora(fake_model(), Train(targets=targets), "fake", 0))
    assert {name.split(".")[-3] for name in state} == {"q_proj", "v_proj"}


def test_all_linear_is_every_layer_but_the_head() -> None:
    state = adapter_state(attach_lora(fake_model(), Train(targets=("all-linear",)), "fake", 0))
    layers = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert {name.split(".")[-3] for name in state} == layers


@pytest.mark.parametrize("targets", [("nonsense",), ("q", "nonsense")])
def test_a_wrong_target_is_one_line_that_names_the_right_ones(targets: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"^train\.targets: .*'nonsense'.*q_proj") as caught:
        attach_lora(fake_model(), Train(targets=targets), "fake", 0)
    assert "\n" not in str(caught.value)


def test_a_layer_that_cannot_be_adapted_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^train\.targets: ") as caught:
        attach_lora(fake_model(), Train(targets=("input_layernorm",)), "fake", 0)
    assert "\n" not in str(caught.value)


def test_a_saved_adapter_loads_in_plain_peft_with_the_same_logits(tmp_path: Path) -> None:
    from peft import PeftModel

    model = tuned()
    folder = saved(model, tmp_path / "adapter")
    assert sorted(path.name for path in folder.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    plain = PeftModel.from_pretrained(fake_model(), folder).eval()
    assert torch.equal(logits(plain), logits(model))
    assert not torch.allclose(logits(plain), logits(fake_model()), atol=1e-2)


def test_a_loaded_adapter_can_be_switched_off(tmp_path: Path) -> None:
    model = tuned()
    loaded = load_adapter(fake_model(), saved(model, tmp_path / "adapter"))
    assert torch.equal(logits(loaded), logits(model))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with loaded.disable_adapter():
        assert torch.equal(logits(loaded), logits(fake_model()))


def test_a_loaded_adapter_takes_the_models_dtype(tmp_path: Path) -> None:
    folder = saved(tuned(), tmp_path / "adapter")
    loaded = load_adapter(fake_model().to(torch.bfloat16), folder)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}


def test_the_state_is_float32_and_under_pefts_names() -> None:
    from peft import get_peft_model_state_dict

    model = tuned(model=fake_model().to(torch.bfloat16))
    state = adapter_state(model)
    assert set(state) == set(get_peft_model_state_dict(model, save_embedding_layers=False))
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}


def _no_network(*_: object, **__: object) -> None:
    raise OSError("no network in tests")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "private" / "my-base"
    with quiet():
        fake_model().save_pretrained(path)
        fake_tokenizer().save_pretrained(path)
    return path


@pytest.mark.parametrize("base_name", ["owner/name", "PATH", "~/bases/my-base", "./my-base"])
def test_the_adapter_names_its_base_model_and_no_folder_of_this_machine(
    base_name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base_name = base_name.replace("PATH", str(folder))
    # PEFT would ask the Hub about the base model, and warn that it cannot be reached.
    monkeypatch.setattr(socket, "getaddrinfo", _no_network)
    base = load_model(find_model(str(folder)), "float32")
    adapter = saved(tuned(model=base.model, base_name=base_name), tmp_path / "adapter")
    text = (adapter / "adapter_config.json").read_text()
    assert "private" not in text
    assert str(tmp_path) not in text
    expected = "owner/name" if base_name == "owner/name" else "my-base"
    assert json.loads(text)["base_model_name_or_path"] == expected
    assert json.loads(text)["inference_mode"] is True


def test_a_short_name_is_written_as_the_hub_id_that_other_tools_know() -> None:
    assert hub_name("tinyllama-1.1b") == "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
    assert hub_name("owner/name") == "owner/name"


def test_a_folder_without_an_adapter_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no adapter there"):
        load_adapter(fake_model(), tmp_path)


# Switches.


def row(length: int) -> Rendered:
    return Rendered(tuple(range(5, 5 + length)), tuple(i > 3 for i in range(length)), True)


def test_rslora_scales_by_the_root_of_the_rank_and_the_tuner_knows() -> None:
    train = Train(rank=4, alpha=8, rslora=True)
    model = tuned(train)
    module = model.get_base_model().model.layers[0].self_attn.q_proj
    assert module.scaling["default"] == 8 / 2
    assert tunable(model)
    stepper = TunerStepper(model)
    stepper.load({n: p.detach() for n, p in model.named_parameters() if p.requires_grad})
    ours = stepper.losses([row(12), row(20)])
    theirs = row_losses(model, [row(12), row(20)], 260)
    assert [x.nats for x in ours] == pytest.approx([x.nats for x in theirs], rel=1e-5)


def test_dora_is_left_to_peft_saved_and_loaded(tmp_path: Path) -> None:
    model = tuned(Train(rank=4, alpha=8, dora=True))
    assert not tunable(model)
    stepper = stepper_for(model, 260)
    assert isinstance(stepper, PeftStepper)
    _, grads = stepper.gradients([row(12), row(20)], 20)
    assert any("lora_magnitude_vector" in name and grad.any() for name, grad in grads.items())
    again = load_adapter(fake_model(), saved(model, tmp_path))
    assert torch.allclose(logits(again), logits(model), atol=1e-5)
