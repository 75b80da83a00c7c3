"""Evaluation of a molt, top to bottom: replies, detector, voice, score, perplexity, overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from molting.core.config import Config
from molting.core.conversation import Conversation, Turn
from molting.core.corpus import Corpus
from molting.core.progress import Progress
from molting.evaluate.battery import Battery, certified, fit_battery, floor_of
from molting.evaluate.beside import beside_the_score
from molting.evaluate.caricature import caricature
from molting.evaluate.heard import Heard
from molting.evaluate.items import NOTHING, Asked
from molting.evaluate.overlap import train_eval_overlap
from molting.evaluate.paired import perplexity_ratio
from molting.evaluate.probes import answers_right, probes, says_name
from molting.evaluate.score import Measured, Scale, score
from molting.evaluate.systems import SYSTEMS, Speaker, Transcript
from molting.evaluate.verdicts import certificate_shown, voice_shown, withheld
from molting.models.generate import Ended, Generated, Sampling
from molting.models.likelihood import RowLoss, perplexity
from molting.signals.text import fold
from molting.signals.voice import Certificate

DETECTOR_PROMPTS, DETECTOR_TOKENS = 120, 48
"""The base answers this many prompts outside the test split, this long, to teach the detectors."""
_LEAST_ROWS = 40
_PROBE_SAMPLES = 2


class Evaluation(NamedTuple):
    """What evaluation.json and transcripts.jsonl hold."""

    result: dict[str, Any]
    transcripts: list[Transcript]


def evaluate(
    corpus: Corpus,
    config: Config,
    speaker: Speaker,
    progress: Progress,
    asked: Asked = NOTHING,
) -> Evaluation:
    """Measure base, prompted base, tuned and tuned + prompt on the corpus's test split.

    `asked` is what molting.toml names to see what was lost, beside what ships.
    """
    options = config.evaluate
    sampling = Sampling(options.max_new_tokens, options.temperature, options.top_p, options.seed)
    test = list(corpus.split("test"))
    voiced = voice_rows(test, config.persona.name, options.prompts)
    contexts = [row.context for row in voiced]

    replies: dict[str, list[list[Generated]]] = {
        system: [
            speaker.answer(system, contexts, sampling, sample, "held-out prompts")
            for sample in range(options.samples)
        ]
        for system in SYSTEMS
    }
    transcripts = [
        Transcript("held_out", system, context, s, reply.text, reply.ended.value)
        for system, samples in replies.items()
        for s, sample in enumerate(samples)
        for context, reply in zip(contexts, sample, strict=True)
    ]
    prompts = [context[-1].text for context in contexts]
    own_rows = [(prompt, row.reply) for prompt, row in zip(prompts, voiced, strict=True)]
    plain = [
        [(r.text, r.ended == Ended.stop) for r in some]
        for some in zip(*replies["base"], strict=True)
    ]
    battery = taught(corpus, config, speaker, sampling, {row.prompt for row in voiced})
    base_texts = [some[0][0] for some in plain]
    own = battery.measure(prompts, [[(reply, True)] for _, reply in own_rows])

    questions = probes(config.persona)
    measured: dict[str, Measured] = {}
    for system, samples in replies.items():
        identity, facts, told = _probe(system, config, speaker, sampling)
        transcripts += told
        said = [
            [(r.text, r.ended == Ended.stop) for r in some] for some in zip(*samples, strict=True)
        ]
        measured[system] = battery.measure(prompts, said, base_texts, identity, facts)
    scale = Scale(measured["base"], own, paired=True)
    certificate = certified(battery, [reply for _, reply in own_rows], prompts, base_texts)
    scale = scale._replace(floor=floor_of(certificate))

    progress.say("perplexity of held-out replies …")
    result = {
        "perplexity": _perplexity(test, config, speaker),
        "voice": _voice(measured, scale, certificate, config),
        "personality": {
            system: withheld(
                score(some, scale, options.resamples, options.seed), certificate.measurable
            )
            for system, some in (measured | {"held_out_text": own}).items()
        },
        "caricature": {
            system: caricature(
                battery,
                [
                    (prompt, reply.text)
                    for sample in samples
                    for prompt, reply in zip(prompts, sample, strict=True)
                ],
                own_rows,
                base_texts,
                options.resamples,
                options.seed,
            )
            for system, samples in replies.items()
        },
        "overlap": train_eval_overlap(corpus.split("train"), test, questions),
        "prompts": {
            "held_out": len(test),
            "voice": len(voiced),
            "naming_the_persona": sum(says_name(row.prompt, config.persona.name) for row in test),
            "identity": len(measured["base"].identity),
            "facts": len(measured["base"].facts),
        },
    }
    heard = Heard(voiced, replies, battery.voice, list(corpus.split("train")))
    return Evaluation(result | beside_the_score(heard, config, speaker, asked), transcripts)


def voice_rows(test: Sequence[Conversation], name: str, most: int) -> list[Conversation]:
    """Held-out rows whose prompt does not name the persona.

    "Captain, what was your first adventure?" tells any model whom to play, so the base's reply
    is no longer its own. Where nearly every prompt does so, all are used.
    """
    unnamed = [row for row in test if not any(says_name(turn.text, name) for turn in row.context)]
    return (unnamed if len(unnamed) >= max(8, len(test) // 4) else list(test))[:most]


def taught(
    corpus: Corpus, config: Config, speaker: Speaker, sampling: Sampling, scored: set[str]
) -> Battery:
    """A battery that learned from every good row outside the test split and the scored prompts."""
    good = teaching_rows(corpus, scored)
    asked = good[:: max(1, len(good) // DETECTOR_PROMPTS)][:DETECTOR_PROMPTS]
    most = min(DETECTOR_TOKENS, sampling.max_new_tokens)
    short = msgspec.structs.replace(sampling, max_new_tokens=most)
    base = speaker.answer("base", [row.context for row in asked], short, 0, "detector")
    by_prompt = {row.prompt: reply.text for row, reply in zip(asked, base, strict=True)}
    return fit_battery(config.persona, [(row.prompt, row.reply) for row in good], [by_prompt])


def teaching_rows(corpus: Corpus, scored: set[str]) -> list[Conversation]:
    """Good rows outside the test split; without the scored prompts, while enough others remain."""
    good = [
        row.conversation
        for row in corpus.rows
        if row.split in ("train", "validation") or row.verdict.reason == "not_selected"
    ]
    keys = {fold(prompt) for prompt in scored}
    unseen = [row for row in good if fold(row.prompt) not in keys]
    return unseen if len(unseen) >= min(_LEAST_ROWS, len(good)) else good


def _probe(
    system: str, config: Config, speaker: Speaker, sampling: Sampling
) -> tuple[list[float], list[float], list[Transcript]]:
    asked = probes(config.persona)
    contexts = [(Turn("user", probe.question),) for probe in asked]
    right = np.zeros(len(asked))
    told = []
    for sample in range(_PROBE_SAMPLES):
        replies = speaker.answer(
            system, contexts, sampling, 1000 + sample, "questions about itself"
        )
        for i, (probe, reply) in enumerate(zip(asked, replies, strict=True)):
            correct = answers_right(probe, reply.text, config.persona)
            right[i] += correct / _PROBE_SAMPLES
            kind = "identity" if probe.fact is None else "fact"
            told.append(
                Transcript(
                    kind, system, contexts[i], sample, reply.text, reply.ended.value, correct
                )
            )
    identity = [float(r) for r, p in zip(right, asked, strict=True) if p.fact is None]
    facts = [float(r) for r, p in zip(right, asked, strict=True) if p.fact is not None]
    return identity, facts, told


def _voice(
    measured: dict[str, Measured], scale: Scale, certificate: Certificate, config: Config
) -> dict[str, Any]:
    options = config.evaluate
    found = certificate_shown(certificate, scale)
    for system in SYSTEMS:
        shown = voice_shown(
            measured[system], scale, certificate.measurable, options.resamples, options.seed
        )
        found[system] = {key: value for key, value in shown.items() if key != "body"}
        found[f"{system}_body"] = shown["body"]
    return found


def _perplexity(test: Sequence[Conversation], config: Config, speaker: Speaker) -> dict[str, Any]:
    limit = min(config.train.max_tokens, speaker.base.context_tokens)
    plain = [speaker.renderer.row(row, limit, last_only=True) for row in test]
    prompt = speaker.persona_prompt
    # The same reply tokens are measured behind a longer context.
    longer = min(limit + len(speaker.renderer.prompt((), prompt)), speaker.base.context_tokens)
    prompted = [speaker.renderer.row(row, longer, prompt, last_only=True) for row in test]
    losses: dict[str, list[RowLoss]] = {}
    for system in SYSTEMS:
        rows = prompted if system.endswith("prompted") else plain
        losses[system] = speaker.losses(system.startswith("tuned"), rows)
    found: dict[str, Any] = {system: perplexity(_nats(losses[system])) for system in SYSTEMS}
    ratio = perplexity_ratio(losses["base"], losses["tuned"], config.evaluate)
    return found | {"n": len(test), "tuned_over_base": msgspec.to_builtins(ratio)}


def _nats(losses: Sequence[RowLoss]) -> float:
    tokens = sum(loss.tokens for loss in losses)
    return sum(loss.nats for loss in losses) / tokens if tokens else float("nan")
