"""Does the model repeat its training rows, or itself? Counted in words, without any model.

Copying: the share of replies that have a run of eight words or more from a training reply. Real
people repeat themselves too, so the persona's own held-out text gives the rate that is natural.
Distinct-n: different n-grams over all n-grams of the replies' first forty words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.config import Evaluate
from molting.evaluate.heard import Heard
from molting.evaluate.paired import kept, paired_shares
from molting.signals.stats import Array, cluster_bootstrap
from molting.signals.text import words

RUN_WORDS = 8
_READ_WORDS = 40
_NARROWER = 0.2
"""Distinct-2 may be this share below that of the persona's own text."""


class Runs:
    """The word runs of training replies."""

    def __init__(self, replies: Sequence[str]) -> None:
        self.rows = [words(reply) for reply in replies]
        self._at: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        for number, row in enumerate(self.rows):
            for start in range(len(row) - RUN_WORDS + 1):
                self._at.setdefault(tuple(row[start : start + RUN_WORDS]), []).append(
                    (number, start)
                )

    def longest(self, reply: str) -> int:
        """Words of the longest run that `reply` shares with a training reply; 0 below eight."""
        said = words(reply)
        best = 0
        for i in range(len(said) - RUN_WORDS + 1):
            for number, start in self._at.get(tuple(said[i : i + RUN_WORDS]), ()):
                row = self.rows[number]
                size = RUN_WORDS
                while (
                    i + size < len(said)
                    and start + size < len(row)
                    and said[i + size] == row[start + size]
                ):
                    size += 1
                best = max(best, size)
        return best


def copying(heard: Heard, options: Evaluate) -> dict[str, Any]:
    """Rates of copied replies: tuned, base and the persona's own text, with the gate."""
    runs = Runs(
        [turn.text for row in heard.training for turn in row.turns if turn.role == "assistant"]
    )
    own = np.array([float(runs.longest(row.reply) > 0) for row in heard.voiced])
    lengths = {
        system: [[runs.longest(reply.text) for reply in sample] for sample in heard.replies[system]]
        for system in ("base", "tuned")
        if system in heard.replies
    }
    rates = {
        system: np.mean(np.array(found, dtype=float) > 0, axis=0)
        for system, found in lengths.items()
    }
    margin = options.copying_margin / 100
    excess = paired_shares(own, rates["tuned"], options.resamples, options.seed)
    low, value, high = (
        None if some is None else -some for some in (excess.high, excess.value, excess.low)
    )
    return {
        "run_words": RUN_WORDS,
        "base": float(rates["base"].mean()) if "base" in rates else None,
        "tuned": float(rates["tuned"].mean()),
        "held_out_text": float(own.mean()),
        "longest_run_words": max((max(sample) for sample in lengths["tuned"]), default=0),
        "excess": msgspec.to_builtins(excess),
        "n": len(heard.voiced),
        "margin": margin,
        "passed": kept(low, value, high, margin),
    }


def diversity(heard: Heard, options: Evaluate) -> dict[str, Any]:
    """Distinct-1, -2 and -3 of every system and of the persona's own text, with the gate."""
    texts: Mapping[str, list[str]] = {
        system: [reply.text for reply in samples[0]] for system, samples in heard.replies.items()
    } | {"held_out_text": [row.reply for row in heard.voiced]}
    found: dict[str, Any] = {}
    for size in (1, 2, 3):
        values = {system: _distinct(_Grams(said, size), None) for system, said in texts.items()}
        found[f"distinct_{size}"] = {
            system: value if np.isfinite(value) else None for system, value in values.items()
        }
    tuned, own = _Grams(texts["tuned"], 2), _Grams(texts["held_out_text"], 2)

    def ratio(w: Array) -> float:
        whole = _distinct(own, w)
        return _distinct(tuned, w) / whole if whole else float("nan")

    estimate = cluster_bootstrap(ratio, len(heard.voiced), options.resamples, options.seed)
    low, value, high = (
        None if some is None else some - 1 for some in (estimate.low, estimate.value, estimate.high)
    )
    return found | {
        "tuned_over_own": msgspec.to_builtins(estimate),
        "n": len(heard.voiced),
        "margin": _NARROWER,
        "passed": kept(low, value, high, _NARROWER),
    }


class _Grams:
    """Which n-grams each reply has, counted once: a bootstrap asks thousands of times."""

    def __init__(self, replies: Sequence[str], size: int) -> None:
        said = []
        for reply in replies:
            spoken = words(reply)[:_READ_WORDS]
            said.append([tuple(spoken[i : i + size]) for i in range(len(spoken) - size + 1)])
        place = {gram: k for k, gram in enumerate(dict.fromkeys(g for row in said for g in row))}
        self.has = np.zeros((len(said), len(place)), dtype=bool)
        for i, grams in enumerate(said):
            self.has[i, [place[gram] for gram in grams]] = True
        self.sizes = np.array([len(grams) for grams in said], dtype=float)


def _distinct(grams: _Grams, weights: Array | None) -> float:
    """A reply drawn twice by the bootstrap is there once: its double is no repetition of its own."""
    inside = np.ones(len(grams.sizes), dtype=bool) if weights is None else weights > 0
    total = grams.sizes[inside].sum()
    return float(grams.has[inside].any(0).sum() / total) if total else float("nan")
