"""Replies made elsewhere, by any model, API or person, scored with the same battery.

A file has one JSON object a line, `{"prompt": …, "reply": …}`. Prompts need not be the corpus's;
several replies to one prompt are samples of it. Rows that ask a question about the persona itself
(evaluate/probes.py) are judged as such; rows whose prompt names the persona are left out of the
voice where enough others remain. V is 0 for the base's replies to the same prompts, generated and
remembered or given, and 1 for the persona's held-out text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from molting.core.config import Config, read_text_input
from molting.core.conversation import Conversation, Source, Turn
from molting.core.corpus import Corpus
from molting.core.errors import CheckFailed, InputError
from molting.evaluate.battery import Battery, Said, certified, fit_battery, floor_of, fold_of
from molting.evaluate.caricature import caricature
from molting.evaluate.measure import (
    DETECTOR_PROMPTS,
    DETECTOR_TOKENS,
    teaching_rows,
    voice_rows,
)
from molting.evaluate.overlap import train_eval_overlap
from molting.evaluate.probes import Probe, answers_right, probes, says_name
from molting.evaluate.score import Scale, score
from molting.evaluate.verdicts import certificate_shown, voice_shown, withheld
from molting.signals.text import fold
from molting.signals.voice import Certificate

FEWEST_PROMPTS = 8
_WIDE = 50
_LEAST_OWN = 40

Answer = Callable[[Sequence[str], int], list[Said]]
"""Base replies to prompts, in order, of so many tokens at most."""


class Given(msgspec.Struct, frozen=True):
    """One row of a replies file."""

    line: int
    prompt: str
    reply: str


def read_replies(path: Path) -> list[Given]:
    """The rows of a replies file; the first bad line is an error that says what to do."""
    rows = []
    for line, text in enumerate(read_text_input(path).splitlines(), 1):
        if not text.strip():
            continue
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise InputError(
                f'not JSON ({error}); write one {{"prompt": "…", "reply": "…"}} a line',
                file=path,
                line=line,
            ) from None
        if not isinstance(value, dict):
            raise InputError(
                'must be an object {"prompt": "…", "reply": "…"}', file=path, line=line
            )
        for key in ("prompt", "reply"):
            if not isinstance(value.get(key), str):
                what = "is missing" if key not in value else "must be a text"
                raise InputError(
                    f'"{key}" {what}; write one {{"prompt": "…", "reply": "…"}} a line',
                    file=path,
                    line=line,
                )
        if not value["prompt"].strip():
            raise InputError('"prompt" is empty; say what was asked', file=path, line=line)
        rows.append(Given(line, value["prompt"], value["reply"]))
    if not rows:
        raise InputError('holds no rows; write one {"prompt": "…", "reply": "…"} a line', file=path)
    return rows


def given_base(path: Path, prompts: Sequence[str]) -> dict[str, str]:
    """Base replies from a file, by folded prompt; every prompt that is scored must be there."""
    known: dict[str, str] = {}
    for row in read_replies(path):
        known.setdefault(fold(row.prompt), row.reply)
    missing = [prompt for prompt in prompts if fold(prompt) not in known]
    if missing:
        raise InputError(
            f"has no base reply to {len(missing)} of the {len(prompts)} prompts, first "
            f'"{missing[0][:60]}"; add them, or leave --base-replies out and the base model answers',
            file=path,
        )
    return known


def prompts_to_answer(corpus: Corpus, config: Config) -> list[str]:
    """What another model should be asked: the held-out prompts, then the questions about itself."""
    own = voice_rows(corpus.split("test"), config.persona.name, config.evaluate.prompts)
    asked = [row.context[-1].text for row in own] + [p.question for p in probes(config.persona)]
    return list(dict.fromkeys(asked))


def voice_prompts(given: Sequence[Given], config: Config) -> list[str]:
    """The different prompts that V is measured on, in order."""
    asked = {fold(probe.question) for probe in probes(config.persona)}
    every = {fold(row.prompt): row.prompt for row in reversed(given)}
    rest = [prompt for key, prompt in reversed(every.items()) if key not in asked]
    unnamed = [prompt for prompt in rest if not says_name(prompt, config.persona.name)]
    return unnamed if len(unnamed) >= max(FEWEST_PROMPTS, len(rest) // 4) else rest


class Gauge(NamedTuple):
    """What replies to these prompts are held against."""

    prompts: list[str]
    plain: list[str]
    """The base's reply to each prompt."""
    own_rows: list[tuple[str, str]]
    battery: Battery
    certificate: Certificate
    scale: Scale


def gauge(
    corpus: Corpus, config: Config, prompts: list[str], base: Mapping[str, str] | Answer
) -> Gauge:
    """Fit and certify. `base` are base replies by folded prompt, or a model that gives them; it is
    asked for those that teach the detectors as well."""
    rows = teaching_rows(corpus, set(prompts))
    taught = [(row.prompt, row.reply) for row in rows]
    if isinstance(base, Mapping):
        every: list[Said] = [(base[fold(prompt)], None) for prompt in prompts]
        # Each detector learns from the replies to the other's prompts.
        halves = [
            {p: said for p, (said, _) in zip(prompts, every, strict=True) if fold_of(p, 2) != k}
            for k in (0, 1)
        ]
        battery = fit_battery(config.persona, taught, halves)
    else:
        every = base(prompts, config.evaluate.max_new_tokens)
        asked = rows[:: max(1, len(rows) // DETECTOR_PROMPTS)][:DETECTOR_PROMPTS]
        most = min(DETECTOR_TOKENS, config.evaluate.max_new_tokens)
        learned = base([row.prompt for row in asked], most)
        texts = {row.prompt: said for row, (said, _) in zip(asked, learned, strict=True)}
        battery = fit_battery(config.persona, taught, [texts])
    plain = [said for said, _ in every]
    own_rows = _own(corpus, config)
    of_base = battery.measure(prompts, [[said] for said in every], plain)
    of_own = battery.measure([p for p, _ in own_rows], [[(reply, None)] for _, reply in own_rows])
    scale = Scale(of_base, of_own, paired=[p for p, _ in own_rows] == prompts)
    certificate = certified(battery, [reply for _, reply in own_rows], prompts, plain)
    scale = scale._replace(floor=floor_of(certificate))
    return Gauge(prompts, plain, own_rows, battery, certificate, scale)


def evaluate_replies(
    corpus: Corpus, config: Config, given: Sequence[Given], base: Mapping[str, str] | Answer
) -> dict[str, Any]:
    """Score the rows of a file."""
    prompts = voice_prompts(given, config)
    if len(prompts) < FEWEST_PROMPTS:
        raise CheckFailed(
            f"different prompts to measure the voice on: {len(prompts)}; a score needs at least "
            f"{FEWEST_PROMPTS}, and 100 give an interval of about ±0.1 of V"
        )
    held = gauge(corpus, config, prompts, base)
    by_prompt: dict[str, list[str]] = {fold(prompt): [] for prompt in prompts}
    for row in given:
        if fold(row.prompt) in by_prompt:
            by_prompt[fold(row.prompt)].append(row.reply)
    right = _right(given, config)
    found = scored(held, [by_prompt[fold(prompt)] for prompt in prompts], config, right)
    return found | {
        "overlap": _overlap(corpus, prompts),
        "prompts": {
            "rows": len(given),
            "voice": len(prompts),
            "held_out_text": len(held.own_rows),
            "identity": len(right[0]),
            "facts": len(right[1]),
        },
        "notes": _notes(prompts, right, config),
    }


def scored(
    held: Gauge,
    replies: Sequence[Sequence[str]],
    config: Config,
    right: tuple[Sequence[float], Sequence[float]] = ((), ()),
) -> dict[str, Any]:
    """Personality, voice and caricature of `replies[i]`, all replies to the gauge's prompt i."""
    options = config.evaluate
    said: list[list[Said]] = [[(reply, None) for reply in some] for some in replies]
    measured = held.battery.measure(held.prompts, said, held.plain, *right)
    able, (resamples, seed) = held.certificate.measurable, (options.resamples, options.seed)
    rows = [(p, reply) for p, some in zip(held.prompts, replies, strict=True) for reply in some]
    return {
        "personality": withheld(score(measured, held.scale, resamples, seed), able),
        "voice": voice_shown(measured, held.scale, able, resamples, seed)
        | certificate_shown(held.certificate, held.scale),
        "caricature": caricature(held.battery, rows, held.own_rows, held.plain, resamples, seed),
    }


def _own(corpus: Corpus, config: Config) -> list[tuple[str, str]]:
    """The persona's held-out text: the test split, with the validation rows where that is small."""
    rows = voice_rows(corpus.split("test"), config.persona.name, config.evaluate.prompts)
    if len(rows) < _LEAST_OWN:
        rows = [*rows, *voice_rows(corpus.split("validation"), config.persona.name, _LEAST_OWN)]
    return [(row.context[-1].text, row.reply) for row in rows]


def _right(given: Sequence[Given], config: Config) -> tuple[list[float], list[float]]:
    """Share of right answers to each question about the persona that the file answers."""
    found: tuple[list[float], list[float]] = ([], [])
    for probe in probes(config.persona):
        key = fold(probe.question)
        judged = [
            float(answers_right(probe, row.reply, config.persona))
            for row in given
            if fold(row.prompt) == key
        ]
        if judged:
            found[probe.fact is not None].append(sum(judged) / len(judged))
    return found


def _overlap(corpus: Corpus, prompts: Sequence[str]) -> dict[str, int]:
    test = [
        Conversation((Turn("user", prompt), Turn("assistant", ".")), Source("replies", i))
        for i, prompt in enumerate(prompts, 1)
    ]
    nothing: Sequence[Probe] = ()
    found = train_eval_overlap(corpus.split("train"), test, nothing)
    return {key: found[key] for key in ("train_eval_exact", "train_eval_near")}


def _notes(
    prompts: Sequence[str], right: tuple[list[float], list[float]], config: Config
) -> list[str]:
    notes = []
    if len(prompts) < _WIDE:
        notes.append(
            f"{len(prompts)} prompts make wide intervals; 100 give about ±0.1 of V, 400 half of that"
        )
    if not right[0]:
        notes.append(
            "identity and facts are not measured: the file has no answers to the questions about "
            f"{config.persona.name}; `molting evaluate --write-prompts FILE` writes them out"
        )
    return notes
