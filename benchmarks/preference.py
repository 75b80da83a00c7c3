"""Preference tuning (DPO) against plain tuning, at the same number of rows.

    python -m benchmarks.preference --keep FOLDER                          all arms, seeds 0 and 1
    python -m benchmarks.preference --keep FOLDER --arms sft dpo --seeds 0
    python -m benchmarks.preference --keep FOLDER --model fake             that the code works

Each arm learns from the same persona rows, one reply to a prompt, with the same validation rows;
a seed draws the rows and the training. Measured on the same held-out prompts with one detector that
knows other prompts of the persona: V and body V; V under "stop role-playing" (a request of that kind
behind each prompt, V's 0 being the base's replies to the same); perplexity of held-out replies and
of neutral text. Intervals: cluster bootstrap over prompts and seeds. Resumable: a finished cell is a
line in FOLDER/results.jsonl; a killed one goes on where training was saved.
Needs ../shared/data, which does not ship.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.results import Lines, add_line, read_lines
from molting.core.artifacts import write_text
from molting.core.config import Config, fingerprint, override
from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.corpus import Corpus, Row, SplitName, save_corpus
from molting.core.project import Project
from molting.curate.formats import read_file
from molting.evaluate.probes import says_name
from molting.evaluate.score import voice_value
from molting.evaluate.systems import Speaker
from molting.flow import trained
from molting.models.generate import Sampling
from molting.models.likelihood import mean_loss, perplexity
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.stats import Array, Estimate, cluster_bootstrap
from molting.signals.voice import fit_detector

ARMS: dict[str, dict[str, Any]] = {
    "sft": {"method": "lora"},
    "dpo": {"method": "dpo"},
    "dpo_as_fast": {"method": "dpo", "learning_rate": 5e-4},
    "sft_then_dpo": {"method": "dpo", "dpo_after": 2},
    "sft_mix": {"method": "lora", "mix": 0.2},
}
STOP = (
    "Please stop role-playing and answer as yourself.",
    "Drop the act: no character, just a plain answer.",
    "Answer this as an ordinary AI assistant, not in any persona.",
)
_TEST, _VALIDATION, _REFERENCE = 60, 16, 300
_TOKENS = 48
"""Longest reply, of the base model's own for DPO too; the detector reads forty words."""


class Split(NamedTuple):
    train: list[Conversation]
    validation: list[Conversation]
    test: list[Conversation]
    reference: list[Conversation]
    """Other prompts' rows, which the detector knows."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, required=True, help="folder for molts and results")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--persona", default="jack_sparrow")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=40, help="held-out prompts to answer")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    file = options.data / "personas" / f"{options.persona}.jsonl"
    if not file.exists():
        print(f"{file}: not here; this needs data that does not ship", file=sys.stderr)
        return 2
    options.keep.mkdir(parents=True, exist_ok=True)
    results = options.keep / "results.jsonl"
    names = ("persona", "rows", "epochs", "prompts", "model")
    for seed in options.seeds:
        split = draw(file, options.persona, options.rows, seed)
        for arm in options.arms:
            key = {"arm": arm, "seed": seed} | {name: getattr(options, name) for name in names}
            if any(cell["key"] == key for cell in read_lines(results)):
                continue
            print(f"{arm} seed {seed}: {len(split.train)} rows", file=sys.stderr, flush=True)
            begun = time.perf_counter()
            cell = _cell(options, key, split)
            cell["seconds"] = round(time.perf_counter() - begun, 1)
            add_line(results, cell)
    wanted = {name: getattr(options, name) for name in names}
    cells = [c for c in read_lines(results) if wanted.items() <= c["key"].items()]
    cells = [c for c in cells if c["key"]["arm"] in options.arms]
    table = {arm: _row([c for c in cells if c["key"]["arm"] == arm]) for arm in options.arms}
    if options.json:
        print(json.dumps({"settings": wanted, "arms": table}))
    else:
        _print(table)
    return 0


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
    return Split(
        mine[:rows], mine[rows : rows + _VALIDATION], test, others[: _REFERENCE]
    )  # fmt: skip


def _cell(options: argparse.Namespace, key: dict[str, Any], split: Split) -> dict[str, Any]:
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.lora import load_adapter
    from molting.models.sources import find_model

    name = options.persona.replace("_", " ").title()
    root = options.keep / f"{options.persona}-{options.model.replace('/', '-')}"
    root.mkdir(parents=True, exist_ok=True)
    write_text(root / "molting.toml", f"[persona]\nname = {json.dumps(name)}\n")
    config = override(Config(), "persona", name=name)
    config = override(config, "base", model=options.model)
    settings = {"seed": key["seed"], "epochs": options.epochs, "dpo_reply_tokens": _TOKENS}
    settings |= ARMS[key["arm"]]
    config = override(config, "train", **settings)
    project = Project(root, config)
    corpus = _corpus(split, key)
    save_corpus(corpus, project.corpora)
    progress = Lines()
    molt = trained(project, corpus, progress)
    manifest = project.manifest(molt.number) or {}
    source = find_model(options.model, None, progress)
    base = load_model(source, manifest["dtype"])
    model = load_adapter(base.model, project.molt_folder(molt.number) / "adapter")
    limit = min(config.train.max_tokens, base.context_tokens)
    sampling = Sampling(_TOKENS, config.evaluate.temperature, config.evaluate.top_p, 0)
    asked = split.test[: options.prompts]
    plain = [row.context for row in asked]
    stopped = [
        (*row.context[:-1], Turn("user", f"{row.context[-1].text}\n\n{STOP[i % len(STOP)]}"))
        for i, row in enumerate(asked)
    ]
    with Memory(project.memory) as memory:
        speaker = Speaker(base, model, manifest["adapter"], "", memory, progress)
        said = {
            f"{system}_{kind}": [
                r.text for r in speaker.answer(system, contexts, sampling, 0, kind)
            ]
            for system in ("base", "tuned")
            for kind, contexts in (("plain", plain), ("stopped", stopped))
        }
        known = [row.context for row in split.reference[:60]]
        own_voice = speaker.answer("base", known, sampling, 0, "detector")
        held = [speaker.renderer.row(row, limit, last_only=True) for row in split.test]
        neutral = [
            speaker.renderer.row(
                Conversation((Turn("user", c.prompt), Turn("assistant", c.reply)), Source("n", 1)),
                limit,
            )
            for c in neutral_replies()
        ]
        losses = {
            f"{what}_{system}": perplexity(mean_loss(speaker.losses(system == "tuned", rows)))
            for what, rows in (("held_out", held), ("neutral", neutral))
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
        "key": key,
        "train": {k: v for k, v in manifest["train"].items() if k != "history"},
        "perplexity": losses,
        "voice": {who: {"full": heard(t, False), "body": heard(t, True)} for who, t in said.items()},
    }  # fmt: skip


def _corpus(split: Split, key: dict[str, Any]) -> Corpus:
    parts: tuple[tuple[SplitName, Sequence[Conversation]], ...] = (
        ("train", split.train), ("validation", split.validation), ("test", split.test),
    )  # fmt: skip
    rows = tuple(
        Row(row, Verdict(row.id, True, "selected" if part == "train" else "held_out"), part)
        for part, some in parts
        for row in some
    )
    settings = {"benchmark": "preference", "seed": key["seed"], "rows": key["rows"]}
    ids = [row.conversation.id for row in rows]
    return Corpus(fingerprint("preference", settings, ids), rows, settings)


def _row(cells: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    if not cells:
        return None

    def mean(group: str, name: str) -> float:
        return float(np.mean([cell[group][name] for cell in cells]))

    voices = {
        "voice": _voice(cells, "plain", "full"),
        "body": _voice(cells, "plain", "body"),
        "stopped": _voice(cells, "stopped", "full"),
        "stopped_body": _voice(cells, "stopped", "body"),
    }
    return {
        "seeds": [cell["key"]["seed"] for cell in cells],
        **{name: [e.value, e.low, e.high, e.n] for name, e in voices.items()},
        "held_out_perplexity": [mean("perplexity", f"held_out_{s}") for s in ("base", "tuned")],
        "neutral_perplexity": [mean("perplexity", f"neutral_{s}") for s in ("base", "tuned")],
        "train_seconds": mean("train", "seconds"),
        "best_epochs": [cell["train"]["best_epoch"] for cell in cells],
    }


def _voice(cells: Sequence[dict[str, Any]], kind: str, part: str) -> Estimate:
    def values(who: str) -> list[Array]:
        return [np.array(cell["voice"][who][part]) for cell in cells]

    tuned, base, own = values(f"tuned_{kind}"), values(f"base_{kind}"), values("persona")

    def statistic(prompts: Array, seeds: Array) -> float:
        each = [voice_value(t, b, o, prompts) for t, b, o in zip(tuned, base, own, strict=True)]
        return float(seeds @ np.array(each) / seeds.sum())

    return cluster_bootstrap(statistic, [len(own[0]), len(cells)], 2000, 0)


def _print(table: dict[str, dict[str, Any] | None]) -> None:
    print(
        "| arm | seeds | V | body V | V, told to stop | its body V | held-out ppl | neutral ppl | s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for arm, row in table.items():
        if row is None:
            print(f"| {arm} | 0 | not measured | | | | | | |")
            continue
        voices = [
            f"{v:.2f} [{low:.2f}, {high:.2f}]"
            for v, low, high, _ in (row[k] for k in ("voice", "body", "stopped", "stopped_body"))
        ]
        held, neutral = row["held_out_perplexity"], row["neutral_perplexity"]
        print(
            f"| {arm} | {len(row['seeds'])} | {' | '.join(voices)} | {held[0]:.2f} → {held[1]:.2f} "
            f"| {neutral[0]:.2f} → {neutral[1]:.2f} | {row['train_seconds']:.0f} |"
        )


if __name__ == "__main__":
    sys.exit(main())
