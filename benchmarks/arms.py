"""What the benchmarks share that compare ways of training one model on one persona's rows.

The draw: one reply to a prompt; the test prompts are the same for every seed, which draws the rows to
train on. The measure of an adapter: V and body V of its replies to the test prompts, the same with a
request to stop role-playing behind each prompt, perplexity of held-out replies and of neutral text,
with one detector that knows other prompts of the persona. Intervals: cluster bootstrap over prompts
and seeds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.results import Lines
from molting.core.artifacts import write_text
from molting.core.config import Config, fingerprint, override
from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.corpus import Corpus, Row, SplitName
from molting.core.project import Project
from molting.curate.formats import read_file
from molting.evaluate.probes import says_name
from molting.evaluate.score import voice_value
from molting.evaluate.systems import Speaker
from molting.models.generate import Sampling
from molting.models.likelihood import RowLoss, mean_loss, perplexity
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.stats import Array, Estimate, cluster_bootstrap
from molting.signals.voice import fit_detector

STOP = (
    "Please stop role-playing and answer as yourself.",
    "Drop the act: no character, just a plain answer.",
    "Answer this as an ordinary AI assistant, not in any persona.",
)
TOKENS = 48
"""Longest reply; the detector reads forty words."""
_TEST, _VALIDATION, _REFERENCE = 60, 16, 300


class Split(NamedTuple):
    train: list[Conversation]
    validation: list[Conversation]
    test: list[Conversation]
    reference: list[Conversation]
    """Other prompts' rows, which the detector knows."""


def draw(file: Path, persona: str, rows: int, seed: int) -> Split:
    """One reply to a prompt; the test prompts are the same for every seed."""
    found = [row for row in read_file(file, file.name).conversations if row.prompt and row.reply]
    name = persona.replace("_", " ")
    first: dict[str, Conversation] = {}
    for row in found:
        if not says_name(row.prompt, name):
            first.setdefault(row.prompt, row)
    fixed = [list(first.values())[i] for i in np.random.default_rng(0).permutation(len(first))]
    test, others = fixed[:_TEST], fixed[_TEST:]
    order = np.random.default_rng([1, seed]).permutation(len(others))
    mine = [others[i] for i in order]
    return Split(mine[:rows], mine[rows : rows + _VALIDATION], test, others[:_REFERENCE])


def arm_project(keep: Path, persona: str, model: str, settings: dict[str, Any]) -> Project:
    """The project that an arm trains in; `settings` are those of `train`."""
    name = persona.replace("_", " ").title()
    root = keep / f"{persona}-{model.replace('/', '-')}"
    root.mkdir(parents=True, exist_ok=True)
    write_text(root / "molting.toml", f"[persona]\nname = {json.dumps(name)}\n")
    config = override(Config(), "persona", name=name)
    config = override(config, "base", model=model)
    return Project(root, override(config, "train", **settings))


def corpus_of(split: Split, benchmark: str, seed: int) -> Corpus:
    parts: tuple[tuple[SplitName, Sequence[Conversation]], ...] = (
        ("train", split.train), ("validation", split.validation), ("test", split.test),
    )  # fmt: skip
    rows = tuple(
        Row(row, Verdict(row.id, True, "selected" if part == "train" else "held_out"), part)
        for part, some in parts
        for row in some
    )
    settings = {"benchmark": benchmark, "seed": seed, "rows": len(split.train)}
    ids = [row.conversation.id for row in rows]
    return Corpus(fingerprint(benchmark, settings, ids), rows, settings)


def measured(
    project: Project, split: Split, adapter: Path, named: str, dtype: str, prompts: int
) -> dict[str, Any]:
    """Of the adapter in the folder `adapter`; `named` is what the memory knows it by."""
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.lora import load_adapter
    from molting.models.sources import find_model

    config, progress = project.config, Lines()
    base = load_model(find_model(config.base.model, None, progress), dtype)
    model = load_adapter(base.model, adapter)
    limit = min(config.train.max_tokens, base.context_tokens)
    sampling = Sampling(TOKENS, config.evaluate.temperature, config.evaluate.top_p, 0)
    asked = split.test[:prompts]
    plain = [row.context for row in asked]
    stopped = [
        (*row.context[:-1], Turn("user", f"{row.context[-1].text}\n\n{STOP[i % len(STOP)]}"))
        for i, row in enumerate(asked)
    ]
    with Memory(project.memory) as memory:
        speaker = Speaker(base, model, named, "", memory, progress)
        said = {
            f"{system}_{kind}": [
                r.text for r in speaker.answer(system, contexts, sampling, 0, kind)
            ]
            for system in ("base", "tuned")
            for kind, contexts in (("plain", plain), ("stopped", stopped))
        }
        known = [row.context for row in split.reference[:60]]
        own_voice = speaker.answer("base", known, sampling, 0, "detector")
        rows = {
            "held_out": [speaker.renderer.row(row, limit, last_only=True) for row in split.test],
            "neutral": [
                speaker.renderer.row(
                    Conversation(
                        (Turn("user", c.prompt), Turn("assistant", c.reply)), Source("n", 1)
                    ),
                    limit,
                )
                for c in neutral_replies()
            ],
        }
        losses: dict[str, list[RowLoss]] = {
            f"{what}_{system}": speaker.losses(system == "tuned", some)
            for what, some in rows.items()
            for system in ("base", "tuned")
        }
    detector = fit_detector(
        [row.reply for row in split.reference],
        {
            "base": [reply.text for reply in own_voice],
            "neutral": [row.reply for row in neutral_replies()],
            "personas": [row.reply for row in other_personas()],
        },
    )
    said["persona"] = [row.reply for row in asked]

    def heard(texts: Sequence[str], body: bool) -> list[float]:
        return [round(float(value), 5) for value in detector.score(texts, body=body)]

    return {
        "perplexity": {name: perplexity(mean_loss(some)) for name, some in losses.items()},
        "tokens": [loss.tokens for loss in losses["held_out_base"]],
        "nats": {
            system: [round(loss.nats, 4) for loss in losses[f"held_out_{system}"]]
            for system in ("base", "tuned")
        },
        "voice": {who: {"full": heard(t, False), "body": heard(t, True)} for who, t in said.items()},
        "replies": said["tuned_plain"],
    }  # fmt: skip


def voice_of(
    cells: Sequence[dict[str, Any]],
    kind: str = "plain",
    part: str = "full",
    others: Sequence[dict[str, Any]] = (),
) -> Estimate:
    """V over the cells' seeds, or V less that of `others`, cells of the same seeds in that order."""

    def values(some: Sequence[dict[str, Any]], who: str) -> list[Array]:
        return [np.array(cell["voice"][who][part]) for cell in some]

    groups = [
        tuple(values(some, who) for who in (f"tuned_{kind}", f"base_{kind}", "persona"))
        for some in (cells, others)
        if some
    ]

    def statistic(prompts: Array, seeds: Array) -> float:
        found = [
            float(
                seeds
                @ np.array([voice_value(t, b, o, prompts) for t, b, o in zip(*group, strict=True)])
                / seeds.sum()
            )
            for group in groups
        ]
        return found[0] - found[1] if len(found) == 2 else found[0]

    return cluster_bootstrap(statistic, [len(groups[0][2][0]), len(cells)], 2000, 0)


def loss_of(cells: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]] = ()) -> Estimate:
    """Nats per held-out reply token, or how much more than those of `others`, paired alike."""
    values = np.array([cell["nats"]["tuned"] for cell in cells])
    if others:
        values = values - np.array([cell["nats"]["tuned"] for cell in others])
    tokens = np.array(cells[0]["tokens"], dtype=float)

    def statistic(prompts: Array, seeds: Array) -> float:
        return float((seeds @ values @ prompts) / (seeds.sum() * (tokens @ prompts)))

    return cluster_bootstrap(statistic, [values.shape[1], values.shape[0]], 2000, 0)


def told(estimate: Estimate, digits: int = 2) -> str:
    if estimate.value is None or estimate.low is None:
        return "not measured"
    return f"{estimate.value:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
