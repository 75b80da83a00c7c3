"""What stands beside the score: likelihood, forced choice, robustness, projection, and the gates."""

from __future__ import annotations

from typing import Any

from molting.core.config import Config
from molting.evaluate.copying import copying, diversity
from molting.evaluate.forced_choice import choice_rows, forced_choice
from molting.evaluate.heard import Heard
from molting.evaluate.items import Asked
from molting.evaluate.likelihood_gain import likelihood_gain
from molting.evaluate.projection import projection
from molting.evaluate.retention import retention, retention_rows
from molting.evaluate.robustness import robustness
from molting.evaluate.systems import Speaker


def beside_the_score(
    heard: Heard, config: Config, speaker: Speaker, asked: Asked
) -> dict[str, Any]:
    """The keys that evaluation.json has beside voice and personality; None is not measured."""
    options = config.evaluate
    robust = robustness(heard, speaker, options)
    # All losses of the tuned model, then all of the base: each is a copy of the weights to merge, and
    # only one is kept. What is asked below is remembered from here.
    rows = [choice_rows(heard, speaker, options), *retention_rows(speaker, asked)]
    for tuned in (True, False):
        for part in rows:
            speaker.losses(tuned, part, "what was lost and kept")
    return {
        "likelihood_gain": likelihood_gain(heard, speaker, options),
        "forced_choice": forced_choice(heard, speaker, options),
        "robustness": robust,
        "projection": projection(heard, speaker, options),
        "retention": retention(config, speaker, asked),
        "copying": copying(heard, options),
        "diversity": diversity(heard, options),
    }
