"""Pairs of replies to one prompt, from the transcripts of an evaluation: what judge and people see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from molting.core.conversation import Turn
from molting.core.errors import CheckFailed, UsageError
from molting.evaluate.systems import Transcript
from molting.signals.stats import Array, Estimate, cluster_bootstrap

RIVALS = ("base", "prompted")
"""What the tuned model is set against."""


class Pair(msgspec.Struct, frozen=True):
    """The tuned model's reply and a rival's to the same prompt."""

    prompt: tuple[Turn, ...]
    rival: str
    tuned: str
    other: str


def read_pairs(file: Path, prompts: int, seed: int) -> list[Pair]:
    """Pairs of `prompts` held-out prompts (all, if fewer), drawn by the seed; first samples only."""
    if not file.exists():
        raise UsageError(f"{file}: no transcripts; `molting evaluate` makes them")
    replies: dict[tuple[Turn, ...], dict[str, str]] = {}
    for line in file.read_bytes().splitlines():
        try:
            told = msgspec.json.decode(line, type=Transcript)
        except msgspec.MsgspecError as error:
            raise CheckFailed(f"{file}: cannot be read: {error}; evaluate again") from None
        if told.kind == "held_out" and told.sample == 0:
            replies.setdefault(told.prompt, {})[told.system] = told.reply
    whole = [(p, r) for p, r in replies.items() if {"tuned", *RIVALS} <= r.keys()]
    if not whole:
        raise CheckFailed(f"{file}: holds no prompt that base, prompt and tune all answered")
    chosen = np.random.default_rng(seed).permutation(len(whole))[:prompts]
    return [
        Pair(prompt, rival, told["tuned"], told[rival])
        for prompt, told in (whole[i] for i in sorted(chosen))
        for rival in RIVALS
    ]


def shown_prompt(prompt: Sequence[Turn]) -> str:
    """The prompt as a judge reads it; speakers named where there is more than one turn."""
    if len(prompt) == 1:
        return prompt[0].text
    return "\n".join(f"{turn.role}: {turn.text}" for turn in prompt)


def win_rate(wins: Sequence[float], clusters: Sequence[str], resamples: int, seed: int) -> Estimate:
    """Mean of wins (1, tie 0.5, 0) with the prompt as the unit."""
    names = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    place = np.array([names[name] for name in clusters], dtype=int)
    value = np.array(wins, dtype=float)

    def statistic(weights: Array) -> float:
        weight = weights[place]
        return float(weight @ value / weight.sum()) if weight.sum() else float("nan")

    return cluster_bootstrap(statistic, len(names), resamples, seed)


def kappa(first: Sequence[object], second: Sequence[object], resamples: int, seed: int) -> Estimate:
    """Cohen's κ (1960) of two lists of labels; unknown where both always say the same one thing."""
    labels = {label: i for i, label in enumerate(dict.fromkeys([*first, *second]))}
    one = np.eye(len(labels))[[labels[label] for label in first]] if first else np.zeros((0, 0))
    other = np.eye(len(labels))[[labels[label] for label in second]] if first else one
    agreed = (one * other).sum(1)

    def statistic(weights: Array) -> float:
        total = weights.sum()
        chance = float((weights @ one) @ (weights @ other)) / total**2
        observed = float(weights @ agreed) / total
        return (observed - chance) / (1 - chance) if chance < 1 - 1e-12 else float("nan")

    return cluster_bootstrap(statistic, len(first), resamples, seed)


def voice_preference(
    pairs: Sequence[Pair], score: Callable[[Sequence[str]], Array], margin: float = 0.0
) -> list[int]:
    """Which reply the voice detector takes for the persona's: 1 the tuned one, −1 the other, 0 neither."""
    tuned, other = (score([getattr(pair, side) for pair in pairs]) for side in ("tuned", "other"))
    return [int(np.sign(d)) if abs(d) > margin else 0 for d in tuned - other]
