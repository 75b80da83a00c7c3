"""Two configurations are the same run when, and only when, training would be the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from molting.core.config import Train
from molting.core.recipe import recipe


def of(width: int = 576, **changes: Any) -> dict[str, Any]:
    return recipe(msgspec.convert(changes, Train), width)


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 5e-4},
        {"alpha": 32},
        {"dropout": 0},
        {"checkpoint_seconds": 1.0},
        {"trackers": ["tensorboard"]},
        {"dpo_beta": 0.5},
        {"dpo_after": 3},
        {"tolerance": 0.2},
        {"voice_every": 4},
    ],
)
def test_what_training_does_not_look_at_is_left_out(changes: dict[str, Any]) -> None:
    assert of(**changes) == of()


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 4e-4},
        {"method": "qlora"},
        {"method": "dpo"},
        {"rank": 8},
        {"dora": True},
        {"rslora": True},
        {"mix": 0.1},
        {"voice_prompts": 8},
        {"seed": 1},
        {"patience": 3},
    ],
)
def test_what_training_looks_at_counts(changes: dict[str, Any]) -> None:
    assert of(**changes) != of()


def test_a_key_counts_where_its_method_or_its_evaluation_is_used() -> None:
    assert of(method="dpo", dpo_beta=0.5) != of(method="dpo")
    assert of(voice_prompts=8, tolerance=0.2) != of(voice_prompts=8)


def test_a_rate_by_rule_is_that_of_the_base_models_width() -> None:
    assert of(2048) != of(576)
    assert of(2048, learning_rate=2.7e-4) == of(2048)


def test_keys_that_came_later_are_absent_at_their_defaults() -> None:
    # What the recipe of a run was before there were any of them.
    assert set(of()) == {
        "method", "rank", "alpha", "dropout", "targets", "max_tokens", "learning_rate",
        "batch_rows", "epochs", "warmup_share", "weight_decay", "clip_norm", "patience",
        "checkpoint_seconds", "seed",
    }  # fmt: skip
