"""Projection P: do the replies lie where the base model itself places the persona?

Persona vectors (arXiv 2507.21509): the base answers the held-out prompts with the persona in the
system prompt and without; the difference of the mean states of the two sets of replies, at the
middle layer, is the persona's direction. Replies of a system are then read by the untouched base,
behind their prompts and without any system prompt, and projected on it:

    P = (projection(system) − projection(base)) / (projection(own text) − projection(base))

A direction is only worth that much if it is found again: the cosine between the directions of the
two halves of the prompts (mean over random halves) must reach 0.5, and a permutation test (signs of
the prompts' differences flipped) must find it longer than chance makes it, p ≤ 0.05. Otherwise P is
not measured. Below a billion parameters a prompt moves little, and that is the usual outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.config import Evaluate
from molting.core.conversation import Turn
from molting.evaluate.heard import Heard, reply_row
from molting.evaluate.systems import Speaker
from molting.models.generate import Ended
from molting.signals.stats import Array, cluster_bootstrap, weighted_mean

LEAST_RELIABILITY = 0.5
LARGEST_P = 0.05
_HALVES = 50
_FLIPS = 1000


def projection(heard: Heard, speaker: Speaker, options: Evaluate) -> dict[str, Any] | None:
    """P of the tuned and the prompted replies; None when switched off or the model has no engine."""
    count = min(options.projection, len(heard.voiced))
    if count < 8:
        return None
    rows = heard.voiced[:count]
    contexts = [row.context for row in rows]
    said = {
        system: [(reply.text, Ended(reply.ended)) for reply in heard.replies[system][0][:count]]
        for system in ("base", "prompted", "tuned")
    }
    said["own"] = [(row.reply, Ended.stop) for row in rows]
    states: dict[str, Array] = {}
    for system, replies in said.items():
        found = _states(speaker, contexts, replies)
        if found is None:
            return None
        states[system] = found
    return projections(states, options)


def projections(states: dict[str, Array], options: Evaluate) -> dict[str, Any]:
    """From mean states by prompt, each (prompts, width); keys base, prompted, tuned, own."""
    differences = states["prompted"] - states["base"]
    reliability, p = split_half(differences, options.seed), permutation_p(differences, options.seed)
    found: dict[str, Any] = {
        "reliability": reliability,
        "p": p,
        "measured": bool(reliability >= LEAST_RELIABILITY and p <= LARGEST_P),
        "n": len(differences),
        "tuned": None,
    }
    if not found["measured"]:
        return found
    # Each half of the prompts is projected on the direction of the other: a prompt's own noise
    # would lie along a direction that it helped to make.
    even = np.arange(len(differences)) % 2 == 0
    directions = np.where(
        even[:, None], _unit(differences[~even].mean(0)), _unit(differences[even].mean(0))
    )
    along = {system: (values * directions).sum(1) for system, values in states.items()}

    def value(w: Array) -> float:
        low, high = weighted_mean(along["base"], w), weighted_mean(along["own"], w)
        gap = high - low
        # The persona's own text must lie that way at all.
        return (weighted_mean(along["tuned"], w) - low) / gap if gap > 1e-6 else float("nan")

    estimate = cluster_bootstrap(value, len(differences), options.resamples, options.seed)
    found["tuned"] = msgspec.to_builtins(estimate)
    return found


def _unit(direction: Array) -> Array:
    size = float(np.linalg.norm(direction))
    return direction / size if size else direction


def split_half(differences: Array, seed: int) -> float:
    """Mean cosine between the mean differences of two random halves of the prompts."""
    random = np.random.default_rng(seed)
    count = len(differences)
    cosines = []
    for _ in range(_HALVES):
        order = random.permutation(count)
        one, other = (
            differences[half].mean(0) for half in (order[: count // 2], order[count // 2 :])
        )
        size = float(np.linalg.norm(one) * np.linalg.norm(other))
        cosines.append(float(one @ other) / size if size else 0.0)
    return float(np.mean(cosines))


def permutation_p(differences: Array, seed: int) -> float:
    """Chance of a mean difference this long if prompted and plain replies were exchangeable."""
    random = np.random.default_rng(seed)
    signs = random.choice([-1.0, 1.0], (_FLIPS, len(differences)))
    lengths = np.linalg.norm(signs @ differences, axis=1)
    observed = float(np.linalg.norm(differences.sum(0)))
    return float((1 + np.sum(lengths >= observed * (1 - 1e-9))) / (1 + _FLIPS))


def _states(
    speaker: Speaker,
    contexts: Sequence[Sequence[Turn]],
    replies: Sequence[tuple[str, Ended]],
) -> Array | None:
    """Mean state of each reply's tokens at the base's middle layer; None without an engine."""
    rows = [
        reply_row(speaker, context, text, ended)
        for context, (text, ended) in zip(contexts, replies, strict=True)
    ]
    return speaker.middle_states(rows)
