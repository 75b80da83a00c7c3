"""LoRA through PEFT: attach, save, load, count. The files are PEFT's own format."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from molting.core.config import Train
from molting.core.errors import ConfigError, UsageError
from molting.core.project import shown_model
from molting.models.catalogue import CATALOGUE
from molting.models.fake import fake_model
from molting.models.likelihood import head_in_parts
from molting.models.quiet import quiet
from molting.models.sources import ModelSource
from molting.models.top import narrow
from molting.models.tuner import tunable

SHORT_TARGETS = {
    "q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj",
    "gate": "gate_proj", "up": "up_proj", "down": "down_proj",
}  # fmt: skip


def lora_config(train: Train, base_name: str) -> Any:
    """A `peft.LoraConfig`. Short target names (`q`, `k`, `v`, `o`, …) are spelled out."""
    from peft import LoraConfig, TaskType

    targets: Any = [SHORT_TARGETS.get(name, name) for name in train.targets]
    if "all-linear" in targets:
        targets = "all-linear"
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=train.rank,
        lora_alpha=train.alpha,
        lora_dropout=train.dropout,
        use_dora=train.dora,
        use_rslora=train.rslora,
        target_modules=targets,
        base_model_name_or_path=base_name,
    )


def attach_lora(model: Any, train: Train, base_name: str, seed: int) -> Any:
    """Wrap `model` in PEFT with fresh adapters in the model's dtype. B starts at zero."""
    import torch
    from peft import get_peft_model

    config = lora_config(train, base_name)
    if train.mode == "fast":
        narrow(config, model, train)
    if not isinstance(config.target_modules, str):
        _check_targets(model, config.target_modules)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(seed)
        try:
            tuned = get_peft_model(model, config, autocast_adapter_dtype=False)
        except ValueError as error:
            line = str(error).strip().splitlines()[0]
            raise ConfigError(f"{line[:200]}", key="train.targets") from None
    # PEFT has put the folder that the weights were loaded from there.
    config.base_model_name_or_path = base_name
    return tuned


def _check_targets(model: Any, targets: Iterable[str]) -> None:
    """Every target must name a layer of the model; PEFT is content when one of them does."""
    modules = dict(model.named_modules())
    for target in sorted(targets):
        if not any(name == target or name.endswith(f".{target}") for name in modules):
            layers = {
                name.rsplit(".", 1)[-1]
                for name, module in modules.items()
                if getattr(getattr(module, "weight", None), "ndim", 0) == 2
            }
            raise ConfigError(
                f"the model has no layer {target!r}; it has: " + ", ".join(sorted(layers)),
                key="train.targets",
            )


def load_adapter(model: Any, folder: Path) -> Any:
    """Wrap `model` with the adapter in `folder`; it can be switched off with `disable_adapter`."""
    from peft import PeftModel

    if not (folder / "adapter_config.json").is_file():
        raise UsageError(f"{folder}: no adapter there (adapter_config.json is missing)")
    with quiet():
        wrapped = PeftModel.from_pretrained(model, folder, autocast_adapter_dtype=False)
    wrapped.to(next(model.parameters()).dtype)
    return wrapped.eval()


def adapter_state(model: Any) -> dict[str, Any]:
    """PEFT's state dict (names as in `adapter_model.safetensors`), in float32 on the CPU."""
    from peft import get_peft_model_state_dict

    # The embeddings are never trained; asked to find that out itself, PEFT goes to the Hub.
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    return {name: tensor.detach().float().cpu().contiguous() for name, tensor in state.items()}


def save_adapter(config: Any, state: dict[str, Any], folder: Path) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`, without private paths."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config.inference_mode = True
    config.save_pretrained(folder)
    path = folder / "adapter_config.json"
    raw = json.loads(path.read_text())
    raw["base_model_name_or_path"] = shown_model(str(raw.get("base_model_name_or_path") or ""))
    path.write_text(json.dumps(raw, indent=2, sort_keys=True) + "\n")
    save_file(state, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def hub_name(spec: str) -> str:
    """The name other tools know a base model by."""
    return CATALOGUE[spec].hub_id if spec in CATALOGUE else spec


def count_parameters(model: Any) -> tuple[int, int]:
    """Trainable and total parameters; tied weights count once, packed ones for what they stand for."""
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trainable, sum(_values(p) for p in model.parameters())


def _values(parameter: Any) -> int:
    packed = getattr(parameter, "quant_state", None)
    return int(parameter.numel() if packed is None else math.prod(packed.shape))


def count_for_shape(shape: dict[str, Any], train: Train) -> tuple[int, int]:
    """Trainable and total parameters of a LoRA on a model of `shape`, on the meta device."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    values = dict(shape)
    config = AutoConfig.for_model(values.pop("model_type"), **values)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        return count_parameters(attach_lora(model, train, "shape", 0))


def shape_of(source: ModelSource, train: Train) -> dict[str, int]:
    """Parameters, trainable, layers, width, vocabulary and context of a base model, and whether its
    gradients are computed by hand and its head in parts; without its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    if source.folder is None:
        config = fake_model().config
    else:
        with quiet():
            config = AutoConfig.from_pretrained(source.folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        tuned = attach_lora(model, train, "shape", 0)
        trainable, total = count_parameters(tuned)
    return {
        "parameters": total,
        "trainable": trainable,
        "layers": int(config.num_hidden_layers),
        "width": int(config.hidden_size),
        "vocabulary": int(config.vocab_size),
        "context": int(getattr(config, "max_position_embeddings", 0) or 1 << 30),
        "by_hand": int(train.method != "qlora" and tunable(tuned)),
        "head_in_parts": int(head_in_parts(tuned)),
    }
