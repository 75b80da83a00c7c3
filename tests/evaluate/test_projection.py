from __future__ import annotations

import numpy as np
import pytest
import torch

from molting.core.config import Evaluate
from molting.evaluate.projection import permutation_p, projections, split_half
from molting.evaluate.systems import Speaker
from molting.models.mean_states import mean_states
from molting.models.render import Rendered
from molting.signals.stats import Array

OPTIONS = Evaluate(resamples=200)


def planted(strength: float, count: int = 40, width: int = 30, seed: int = 0) -> dict[str, Array]:
    """States whose persona direction is the first axis; tuned replies go three quarters of the way."""
    random = np.random.default_rng(seed)

    def noise() -> Array:
        return random.normal(size=(count, width))

    axis = np.eye(width)[0]
    prompt = noise()
    return {
        "base": prompt + 0.5 * noise(),
        "prompted": prompt + 0.5 * noise() + strength * axis,
        "tuned": prompt + 0.5 * noise() + 3.0 * axis,
        "own": prompt + 0.5 * noise() + 4.0 * axis,
    }


def test_a_planted_direction_is_found_and_measured_along() -> None:
    found = [projections(planted(3.0, seed=seed), Evaluate(resamples=100)) for seed in range(12)]
    assert all(one["measured"] and one["reliability"] > 0.8 for one in found)
    assert np.mean([one["tuned"]["value"] for one in found]) == pytest.approx(0.75, abs=0.03)


def test_a_prompt_that_moves_nothing_gives_no_measure() -> None:
    measured = [projections(planted(0.0, seed=seed), OPTIONS)["measured"] for seed in range(20)]
    assert sum(measured) == 0
    assert projections(planted(0.0), OPTIONS)["tuned"] is None


def test_p_is_right_by_chance_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    found = [permutation_p(random.normal(size=(20, 10)), seed) for seed in range(100)]
    assert 0.3 < float(np.mean(found)) < 0.7
    assert split_half(np.tile(np.arange(1.0, 5.0), (20, 1)), 0) == pytest.approx(1.0)


def test_states_are_those_of_the_scored_tokens_of_the_layer(speaker: Speaker) -> None:
    rows = [
        Rendered(tuple(b"hello there"), tuple(i >= 6 for i in range(11)), False),
        Rendered(tuple(b"sea"), (False, False, True), False),
        Rendered(tuple(b"none"), (False,) * 4, False),
    ]
    engine = speaker._engine(False)
    assert engine is not None
    found = mean_states(engine.below(1), rows, 0)
    with torch.inference_mode(), speaker.model.disable_adapter():
        for row, states in zip(rows[:2], found, strict=False):
            inner = speaker.model.get_base_model().model
            hidden = inner(input_ids=torch.tensor([row.ids]), output_hidden_states=True)
            layer = inner.norm(hidden.hidden_states[1][0])
            expected = layer[[i for i, scored in enumerate(row.trained) if scored]].mean(0)
            assert states == pytest.approx(expected.numpy(), abs=1e-4)
    assert np.isnan(found[2]).all()
