"""What of the training settings makes a run the run that it is."""

from __future__ import annotations

from typing import Any

import msgspec

from molting.core.config import Train
from molting.core.schedule import peak_rate

# fmt: off
_ALWAYS = frozenset({
    "method", "rank", "alpha", "dropout", "targets", "max_tokens", "learning_rate", "batch_rows",
    "epochs", "warmup_share", "weight_decay", "clip_norm", "patience", "checkpoint_seconds", "seed",
})
# fmt: on
"""Keys that count whatever their value; of the others those do that differ from their default,
so that a key that is new changes no run that does not use it."""
_NEVER = frozenset({"checkpoint_seconds", "trackers"})
"""These change how a run is kept and watched, and nothing of what comes out."""


def recipe(train: Train, width: int, layers: int = 0) -> dict[str, Any]:
    """Settings that are equal when and only when training would be the same, for a base model
    of `width` and `layers`: what a method does not look at is left out, and the learning rate is
    the real one."""
    values = msgspec.to_builtins(train)
    plain = msgspec.to_builtins(Train())
    values["learning_rate"] = peak_rate(train, width, layers).value
    # The default 32 and a configured 32.0 are the same alpha.
    values["alpha"] = int(train.alpha) if float(train.alpha).is_integer() else train.alpha
    idle = set(_NEVER)
    if train.method != "dpo":
        idle |= {name for name in values if name.startswith("dpo_")}
    if train.mode != "fast":
        idle.add("top_layers")
    if not train.voice_prompts:
        idle |= {"voice_every", "tolerance"}
    values |= {name: plain[name] for name in idle}
    return {
        name: value for name, value in values.items() if name in _ALWAYS or value != plain[name]
    }
