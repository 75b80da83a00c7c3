"""Everything that replies are measured with, fitted once for a persona and certified first.

The detectors learn from every good row outside the test split and outside the prompts that are
to be scored. One like them, that knows half of the contrast texts, must show on the rest that it
can tell: AUC against each kind of other text, calibration, the persona's text measured against
itself, neutral text, and fakes made of the persona's own words. What fails is said, and the voice
is "not measurable".
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from molting.core.persona import Persona
from molting.evaluate.dimensions import (
    Copies,
    bigrams,
    clean,
    complete,
    echoes,
    in_form,
    relevance,
)
from molting.evaluate.probes import says_name
from molting.evaluate.score import LEAST_FLOOR, MOST_FLOOR, Measured
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.fakes import fakes
from molting.signals.mannerisms import Mannerism, mannerisms, thin
from molting.signals.order import WordOrder
from molting.signals.repetition import repetition
from molting.signals.stats import Array
from molting.signals.text import words
from molting.signals.voice import Certificate, VoiceDetector, certify, fit_detector, match_lengths

_TEXTS = 600
"""More of the persona's rows would only unbalance persona and base."""

_BETTER_FAKES = 0.12
_FEWEST_OF_A_SIDE, _MOST_OF_A_SIDE = 30, 200

Said = tuple[str, bool | None]
"""A reply, and whether the model ended it; None when only the text is known."""


@dataclass(frozen=True)
class Battery:
    """Detectors and references of one persona."""

    persona: Persona
    detectors: tuple[VoiceDetector, ...]
    """One, or two of which each learned from the base's replies to the other's prompts."""
    trial: VoiceDetector
    """The first one as it is certified: it knows only half of the texts that ship as contrast."""
    training: tuple[tuple[str, str], ...]
    """(prompt, reply) of the rows that taught them."""
    order: WordOrder
    copies: Copies

    def detector(self, prompt: str) -> int:
        """Which detector a prompt's replies are read by: never one that learned from them."""
        return fold_of(prompt, len(self.detectors))

    def heard(self, prompts: Sequence[str], texts: Sequence[str], *, body: bool) -> Array:
        """Both scores of every text, shape (2, len(texts))."""
        found = np.zeros((2, len(texts)))
        place = np.array([self.detector(prompt) for prompt in prompts], dtype=int)
        for k, detector in enumerate(self.detectors):
            inside = np.flatnonzero(place == k)
            found[:, inside] = detector.each([texts[int(i)] for i in inside], body=body)
        return found

    def voice(self, prompts: Sequence[str], texts: Sequence[str]) -> Array:
        """The mean of both scores of every text, shape (len(texts),)."""
        return np.asarray(self.heard(prompts, texts, body=False).mean(0), dtype=float)

    def mannerisms(
        self, prompts: Sequence[str], replies: Sequence[str], plain: Sequence[str] = ()
    ) -> list[Mannerism]:
        return mannerisms(replies, prompts, [reply for _, reply in self.training], plain)

    def measure(
        self,
        prompts: Sequence[str],
        replies: Sequence[Sequence[Said]],
        plain: Sequence[str] = (),
        identity: Sequence[float] = (),
        facts: Sequence[float] = (),
    ) -> Measured:
        """`replies[i]` are all replies to `prompts[i]`; `plain` are base replies to the prompts."""
        owner = np.array([i for i, some in enumerate(replies) for _ in some], dtype=int)
        texts = [text for some in replies for text, _ in some]
        ended = [stopped for some in replies for _, stopped in some]
        asked = [prompts[i] for i in owner]
        bare, gone = thin(texts, self.mannerisms(asked, texts, plain))
        counts = np.maximum(np.bincount(owner, minlength=len(prompts)), 1)

        def mean(values: Sequence[float] | Array) -> Array:
            known = np.asarray(values, dtype=float)
            total = np.bincount(owner, np.nan_to_num(known), minlength=len(prompts))
            number = np.bincount(owner, np.isfinite(known), minlength=len(prompts))
            return np.where(number > 0, total / np.maximum(number, 1), np.nan)

        tidy = [clean(text, self.persona) * in_form(text) for text in texts]
        answers = [
            1 - max(echoes(prompt, text), self.copies.copied(prompt, text))
            for prompt, text in zip(asked, texts, strict=True)
        ]
        close = np.full(len(texts), np.nan)
        for sample in range(int(counts.max(initial=1))):
            # One reply a prompt at a time: a prompt's other replies are no strangers.
            rows = _nth(owner, sample)
            close[rows] = relevance([asked[k] for k in rows], [texts[k] for k in rows])
        return Measured(
            bigrams([some[0][0] if some else "" for some in replies]),
            np.stack([mean(v) for v in self.heard(asked, texts, body=False)]),
            np.stack([mean(v) for v in self.heard(asked, bare, body=True)]),
            mean(tidy),
            mean([complete(text, stop) for text, stop in zip(texts, ended, strict=True)]),
            mean([repetition(text) for text in texts]),
            mean(close),
            mean(self.order.values(texts)),
            mean(answers),
            mean([float(share > 0) for share in gone]),
            np.array(identity, dtype=float),
            np.array(facts, dtype=float),
        )


def fold_of(prompt: str, folds: int) -> int:
    return zlib.crc32(" ".join(words(prompt)).encode()) % folds


def fit_battery(
    persona: Persona,
    rows: Sequence[tuple[str, str]],
    base: Sequence[Mapping[str, str]],
) -> Battery:
    """`rows` are (prompt, reply) of the persona outside what will be scored; `base` holds base
    replies by prompt, one set for each detector to learn from."""
    taken = list(rows[:: max(1, len(rows) // _TEXTS)])
    neutral = [row.reply for row in neutral_replies()]
    others = [row.reply for row in other_personas()]

    def fit(replies: Mapping[str, str], step: int) -> VoiceDetector:
        return fit_detector(
            [reply for _, reply in taken],
            {
                "base": list(replies.values()),
                "neutral": neutral[::step],
                "personas": others[::step],
            },
        )

    plain = [reply for replies in base for reply in replies.values()]
    order = WordOrder([reply for _, reply in taken] + plain + neutral + others)
    detectors = tuple(fit(replies, 1) for replies in base)
    return Battery(persona, detectors, fit(base[0], 2), tuple(rows), order, Copies(rows))


def certified(
    battery: Battery,
    own: Sequence[str],
    base_prompts: Sequence[str],
    base_replies: Sequence[str],
) -> Certificate:
    """What the detector that knows half of the shipped texts can tell on the other half, on the
    persona's held-out text and on base replies that it never saw; and what fakes reach."""
    trial = battery.trial
    unseen = [
        reply
        for prompt, reply in zip(base_prompts, base_replies, strict=True)
        if battery.detector(prompt) == 0
    ]
    neutral = [row.reply for row in neutral_replies()[1::2]]
    others = [row.reply for row in other_personas()[1::2]]
    kinds = {"base": unseen, "neutral": neutral, "personas": others}
    taught = [reply for _, reply in battery.training]
    made: dict[str, Sequence[str]] = {"neutral": match_lengths(neutral, own) if own else neutral}
    made |= fakes(unseen, taught)
    base, high = _levels(trial, unseen), _levels(trial, own)
    found = {
        kind: value
        for kind, texts in made.items()
        if (value := _least_voice(_levels(trial, texts), base, high)) is not None
    }
    return replace(
        certify(trial, own, kinds),
        calibration_error=_calibration(trial, own, kinds),
        transfer=_transfer(battery),
        gold=_mean_voice(_levels(trial, own[::2]), base, _levels(trial, own[1::2]))
        if len(own) >= 16
        else None,
        fakes=found,
    )


def _transfer(battery: Battery) -> dict[str, float]:
    """AUC on role questions of a detector that learned from everyday ones, and the reverse.

    A role question names the persona or asks about "you". Fewer than 30 of either: not measured.
    """
    neutral = [row.reply for row in neutral_replies()]
    others = [row.reply for row in other_personas()]
    name = battery.persona.name
    sides: dict[str, list[str]] = {"everyday": [], "role": []}
    for prompt, reply in battery.training:
        role = says_name(prompt, name) or not {"you", "your", "yours"}.isdisjoint(words(prompt))
        sides["role" if role else "everyday"].append(reply)
    if min(map(len, sides.values())) < _FEWEST_OF_A_SIDE:
        return {}
    few = {kind: some[:: max(1, len(some) // _MOST_OF_A_SIDE)] for kind, some in sides.items()}
    found = {}
    for learned, asked in (("everyday", "role"), ("role", "everyday")):
        detector = fit_detector(few[learned], {"neutral": neutral[::2], "personas": others[::2]})
        unseen = {"neutral": neutral[1::2], "personas": others[1::2]}
        auc = certify(detector, few[asked], unseen).auc
        if auc is not None:
            found[f"{learned}_to_{asked}"] = auc
    return found


def floor_of(certificate: Certificate) -> float:
    """Where the voice dimension begins: above what the best fake reaches, by what better ones may."""
    best = max(certificate.fakes.values(), default=LEAST_FLOOR)
    return float(np.clip(best + _BETTER_FAKES, LEAST_FLOOR, MOST_FLOOR))


def _levels(detector: VoiceDetector, texts: Sequence[str]) -> Array:
    """Mean scores of whole replies and of bodies, each by both detectors; shape (4,)."""
    if not texts:
        return np.full(4, np.nan)
    return np.concatenate([detector.each(texts, body=body).mean(1) for body in (False, True)])


def _least_voice(found: Array, low: Array, high: Array) -> float | None:
    """The least of V and V_body of both detectors, from the levels of three sets of texts."""
    wide = high - low > 0.05
    values = (found - low)[wide] / (high - low)[wide]
    return float(values.min()) if len(values) and np.isfinite(values).all() else None


def _mean_voice(found: Array, low: Array, high: Array) -> float | None:
    """V by the mean of the same four levels: what has no reason to differ is not picked at."""
    gap = float(high.mean() - low.mean())
    value = float(found.mean() - low.mean()) / gap if gap > 0.05 else float("nan")
    return value if np.isfinite(value) else None


def _calibration(
    detector: VoiceDetector, own: Sequence[str], kinds: Mapping[str, Sequence[str]]
) -> float | None:
    """Expected calibration error in ten bins; persona and other text weigh alike."""
    known = {kind: match_lengths(some, own) for kind, some in kinds.items() if some and own}
    if not known:
        return None
    sides = [(own, 1.0, 1.0), *((texts, 0.0, 1 / len(known)) for texts in known.values())]
    scores = np.concatenate([detector.score(texts) for texts, _, _ in sides])
    truth = np.concatenate([np.full(len(texts), label) for texts, label, _ in sides])
    weight = np.concatenate([np.full(len(t), w / max(len(t), 1)) for t, _, w in sides])
    place = np.minimum((scores * 10).astype(int), 9)
    error = sum(abs(float((weight * (scores - truth))[place == k].sum())) for k in range(10))
    return error / float(weight.sum())


def _nth(owner: Array, sample: int) -> list[int]:
    """Places of the reply number `sample` of every prompt that has as many."""
    seen: dict[int, int] = {}
    rows = []
    for k, i in enumerate(owner):
        if seen.get(int(i), 0) == sample:
            rows.append(k)
        seen[int(i)] = seen.get(int(i), 0) + 1
    return rows
