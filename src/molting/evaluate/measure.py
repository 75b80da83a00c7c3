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
from molting.evaluate.battery import beside_the_score
from molting.evaluate.heard import Heard
from molting.evaluate.items import NOTHING, Asked
from molting.evaluate.overlap import train_eval_overlap
from molting.evaluate.paired import perplexity_ratio
from molting.evaluate.probes import answers_right, probes, says_name
from molting.evaluate.score import Measured, measure, score, voice_estimate
from molting.evaluate.systems import SYSTEMS, Speaker, Transcript
from molting.models.generate import Ended, Generated, Sampling
from molting.models.likelihood import RowLoss, perplexity
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.voice import Certificate, VoiceDetector, certify, fit_detector

_DETECTOR_PROMPTS = 200
"""The base answers this many prompts outside the test split to teach the detector."""
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
    detector, certificate = _detector(corpus, config, speaker, sampling, voiced, replies["base"][0])

    questions = probes(config.persona)
    right: dict[str, tuple[list[float], list[float]]] = {}
    for system in SYSTEMS:
        identity, facts, told = _probe(system, config, speaker, sampling)
        right[system] = (identity, facts)
        transcripts += told

    prompts = [context[-1].text for context in contexts]
    measured = {
        system: measure(
            detector,
            config.persona,
            prompts,
            [[(r.text, r.ended == Ended.stop) for r in sample] for sample in samples],
            *right[system],
        )
        for system, samples in replies.items()
    }
    persona = measure(detector, config.persona, prompts, [[(row.reply, True) for row in voiced]])

    progress.say("perplexity of held-out replies …")
    result = {
        "perplexity": _perplexity(test, config, speaker),
        "voice": _voice(measured, persona, certificate, config),
        "personality": {
            system: score(
                measured[system], measured["base"], persona, options.resamples, options.seed
            )
            for system in SYSTEMS
        }
        | {
            "held_out_text": score(
                persona, measured["base"], persona, options.resamples, options.seed
            )
        },
        "overlap": train_eval_overlap(corpus.split("train"), test, questions),
        "prompts": {
            "held_out": len(test),
            "voice": len(voiced),
            "naming_the_persona": sum(says_name(row.prompt, config.persona.name) for row in test),
            "identity": len(right["base"][0]),
            "facts": len(right["base"][1]),
        },
    }
    heard = Heard(voiced, replies, detector, corpus.split("train"))
    return Evaluation(result | beside_the_score(heard, config, speaker, asked), transcripts)


def voice_rows(test: Sequence[Conversation], name: str, most: int) -> list[Conversation]:
    """Held-out rows whose prompt does not name the persona.

    "Captain, what was your first adventure?" tells any model whom to play, so the base's reply
    is no longer its own. Where nearly every prompt does so, all are used.
    """
    unnamed = [row for row in test if not any(says_name(turn.text, name) for turn in row.context)]
    return (unnamed if len(unnamed) >= max(8, len(test) // 4) else list(test))[:most]


def _detector(
    corpus: Corpus,
    config: Config,
    speaker: Speaker,
    sampling: Sampling,
    test: Sequence[Conversation],
    base_test: Sequence[Generated],
) -> tuple[VoiceDetector, Certificate]:
    """Fit on every good row outside the test split, certify on the test split."""
    good = [
        row.conversation
        for row in corpus.rows
        if row.split in ("train", "validation") or row.verdict.reason == "not_selected"
    ]
    unnamed = [row for row in good if not says_name(row.prompt, config.persona.name)]
    if len(unnamed) >= len(good) // 4:
        good = unnamed
    asked = good[:: max(1, len(good) // _DETECTOR_PROMPTS)][:_DETECTOR_PROMPTS]
    # The detector reads forty words of each.
    short = msgspec.structs.replace(sampling, max_new_tokens=min(64, sampling.max_new_tokens))
    base = speaker.answer("base", [row.context for row in asked], short, 0, "detector")
    # More rows than this would only unbalance persona and base.
    texts = [row.reply for row in good[:: max(1, len(good) // (3 * _DETECTOR_PROMPTS))]]
    neutral, others = neutral_replies(), other_personas()
    detector = fit_detector(
        texts,
        {
            "base": [reply.text for reply in base],
            "neutral": [row.reply for row in neutral[::2]],
            "personas": [row.reply for row in others[::2]],
        },
    )
    certificate = certify(
        detector,
        [row.reply for row in test],
        {
            "base": [reply.text for reply in base_test],
            "neutral": [row.reply for row in neutral[1::2]],
            "personas": [row.reply for row in others[1::2]],
        },
    )
    return detector, certificate


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
    measured: dict[str, Measured], persona: Measured, certificate: Certificate, config: Config
) -> dict[str, Any]:
    options = config.evaluate
    found: dict[str, Any] = {
        "detector_auc": certificate.auc,
        "auc_by_kind": certificate.auc_by_kind,
        "measurable": certificate.measurable,
    }
    for system in SYSTEMS:
        for body in (False, True):
            estimate = voice_estimate(
                measured[system],
                measured["base"],
                persona,
                options.resamples,
                options.seed,
                body=body,
            )
            found[f"{system}_body" if body else system] = msgspec.to_builtins(estimate)
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
