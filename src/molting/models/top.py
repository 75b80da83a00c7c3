"""Fast mode: adapters on the top layers only, so that what lies below never changes."""

from __future__ import annotations

from typing import Any

from molting.core.config import Train
from molting.core.errors import ConfigError


def top_layers(train: Train, layers: int) -> int:
    """How many layers fast mode adapts. The rule, where nothing is set: the top third, rounded up.

    `molting study layers` measures whether another number is better on the data at hand.
    """
    wanted = -(-layers // 3) if train.top_layers is None else train.top_layers
    if wanted > layers:
        raise ConfigError(
            f"the model has {layers} layers; {wanted} cannot be adapted", key="train.top_layers"
        )
    return wanted


def narrow(config: Any, model: Any, train: Train) -> None:
    """Restrict a `peft.LoraConfig` to the top layers, in words that PEFT itself reads back."""
    layers = int(model.config.num_hidden_layers)
    kept = list(range(layers - top_layers(train, layers), layers))
    inside = _linears_inside(model)
    if isinstance(config.target_modules, str):
        config.target_modules = set(inside)
    outside = sorted(set(config.target_modules) - inside)
    if outside:
        raise ConfigError(
            f"fast mode adapts layers, and {', '.join(outside)} stands in none; "
            'leave it out or set train.mode = "exact"',
            key="train.targets",
        )
    config.layers_to_transform = kept


def _linears_inside(model: Any) -> set[str]:
    """Last parts of the names of the linear modules that stand in a numbered layer."""
    from torch.nn import Linear

    return {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, Linear) and any(part.isdigit() for part in name.split("."))
    }
