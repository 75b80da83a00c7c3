"""Does selection pay? 150 rows by our selectors against 150 random and the 150 longest.

    python -m benchmarks.selection --keep FOLDER                     all arms, three seeds
    python -m benchmarks.selection --keep FOLDER --arms quality random_raw longest_raw
    python -m benchmarks.selection --keep FOLDER --only-choose       which rows, without training
    python -m benchmarks.selection --keep FOLDER --model fake        that the code works, in seconds

A persona's rows with 40 % noise mixed in (recipe: benchmarks/noisy_mix.py). Arms: `quality`,
`facility`, `random`, `longest` choose after molting's filters and duplicates; `random_raw` and
`longest_raw` choose from the mix as it is. All are trained alike, stop early on the same clean
validation rows, and are measured on the same held-out prompts with the same detector, which knows
clean rows of other prompts. A seed draws the noise, the choice and the training.

Measured: the held-out likelihood gain (nats per reply token, base minus tuned) and V. Intervals:
cluster bootstrap over prompts and seeds, paired between the arms. Resumable: a finished cell is
a line in FOLDER/results.jsonl and is not run again; a killed one resumes where training was saved.
Needs ../shared/data, which does not ship.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.noisy_mix import Mix, noisy_mix
from benchmarks.results import Lines, add_line, read_lines
from molting.core.artifacts import write_text
from molting.core.config import Config, fingerprint, override
from molting.core.conversation import Conversation, Verdict
from molting.core.corpus import Corpus, Row, SplitName, save_corpus
from molting.core.persona import Persona
from molting.core.progress import Progress
from molting.core.project import Project
from molting.curate.pipeline import curate
from molting.evaluate.measure import voice_rows
from molting.evaluate.score import voice_value
from molting.evaluate.systems import Speaker
from molting.flow import trained
from molting.models.generate import Sampling
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.stats import Array, Estimate, cluster_bootstrap
from molting.signals.voice import fit_detector

ARMS = ("quality", "facility", "random", "longest", "random_raw", "longest_raw")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, required=True, help="folder for projects and results")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--persona", default="jack_sparrow")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=150)
    parser.add_argument("--clean", type=int, default=600)
    parser.add_argument("--noise", type=float, default=0.4)
    parser.add_argument("--prompts", type=int, default=100, help="held-out prompts to answer")
    parser.add_argument("--epochs", type=int, help="most, for every arm (default: the product's)")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--only-choose", action="store_true")
    options = parser.parse_args()
    if not (options.data / "personas" / f"{options.persona}.jsonl").exists():
        print(f"{options.data}: not here; this needs data that does not ship", file=sys.stderr)
        return 2
    options.keep.mkdir(parents=True, exist_ok=True)
    results = options.keep / "results.jsonl"
    for seed in options.seeds:
        mix = noisy_mix(options.data, options.persona, seed, options.clean, options.noise)
        for arm in options.arms:
            key = {
                "arm": arm, "seed": seed, "persona": options.persona, "rows": options.rows,
                "clean": options.clean, "noise": options.noise, "model": options.model,
                "prompts": options.prompts,
            }  # fmt: skip
            if options.epochs:
                key["epochs"] = options.epochs
            if any(cell["key"] == key for cell in read_lines(results)):
                continue
            begun = time.perf_counter()
            chosen = choose(arm, mix, options.rows, seed)
            kinds = dict(Counter(row.source.file for row in chosen))
            took = time.perf_counter() - begun
            print(f"{arm} seed {seed}: {len(chosen)} rows {kinds} in {took:.1f} s", flush=True)
            if options.only_choose:
                continue
            cell = _run(options, key, mix, chosen)
            cell |= {"kinds": kinds, "seconds": round(time.perf_counter() - begun, 1)}
            add_line(results, cell)
    if not options.only_choose:
        wanted = {(arm, seed) for arm in options.arms for seed in options.seeds}
        _table([c for c in read_lines(results) if (c["key"]["arm"], c["key"]["seed"]) in wanted
                and c["key"]["persona"] == options.persona and c["key"]["model"] == options.model
                and c["key"].get("epochs") == options.epochs])  # fmt: skip
    return 0


def choose(arm: str, mix: Mix, count: int, seed: int) -> list[Conversation]:
    """The rows that an arm trains on."""
    if arm == "random_raw":
        order = np.random.default_rng(seed).permutation(len(mix.rows))[:count]
        return [mix.rows[int(i)] for i in order]
    if arm == "longest_raw":
        return sorted(mix.rows, key=lambda row: -len(row.reply.split()))[:count]
    config = override(Config(), "curate", selector=arm, target=count, seed=seed)
    # Validation is our own for every arm; as few rows as may be are set aside here.
    config = override(config, "split", validation_rows=1)
    return list(curate(mix.rows, mix.test, config).split("train"))


def _run(
    options: argparse.Namespace, key: dict[str, Any], mix: Mix, chosen: Sequence[Conversation]
) -> dict[str, Any]:
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.likelihood import RowLoss
    from molting.models.lora import load_adapter
    from molting.models.sources import find_model

    name = options.persona.replace("_", " ").title()
    project = _project(options.keep / f"{options.persona}-{options.model.replace('/', '-')}", name)
    config = override(project.config, "base", model=options.model)
    config = override(config, "train", seed=key["seed"])
    if "epochs" in key:
        config = override(config, "train", epochs=key["epochs"])
    project = Project(project.root, config)
    corpus = _corpus(mix, chosen, key)
    save_corpus(corpus, project.corpora)
    progress: Progress = Lines()
    molt = trained(project, corpus, progress)
    manifest = project.manifest(molt.number) or {}
    source = find_model(options.model, None, progress)
    base = load_model(source, manifest["dtype"])
    model = load_adapter(base.model, project.molt_folder(molt.number) / "adapter")
    limit = min(config.train.max_tokens, base.context_tokens)
    evaluate = config.evaluate
    with Memory(project.memory) as memory:
        speaker = Speaker(base, model, manifest["adapter"], "", memory, progress)
        held = [speaker.renderer.row(row, limit, last_only=True) for row in mix.test]
        losses: dict[bool, list[RowLoss]] = {on: speaker.losses(on, held) for on in (False, True)}
        sampling = Sampling(
            evaluate.max_new_tokens, evaluate.temperature, evaluate.top_p, evaluate.seed
        )
        asked = voice_rows(mix.test, name, options.prompts)
        contexts = [row.context for row in asked]
        said = {
            system: [r.text for r in speaker.answer(system, contexts, sampling, 0, "held out")]
            for system in ("base", "tuned")
        }
        known = voice_rows(mix.reference, name, len(mix.reference))
        plain = speaker.answer(
            "base", [row.context for row in known[:150]], sampling, 0, "detector"
        )
    detector = fit_detector(
        [row.reply for row in known],
        {
            "base": [reply.text for reply in plain],
            "neutral": [row.reply for row in neutral_replies()],
            "personas": [row.reply for row in other_personas()],
        },
    )
    own = [row.reply for row in asked]

    def heard(texts: Sequence[str]) -> dict[str, list[float]]:
        return {
            part: [round(float(v), 5) for v in detector.score(texts, body=part == "body")]
            for part in ("full", "body")
        }

    return {
        "key": key,
        "train_rows": len(chosen),
        "epochs": manifest["train"]["epochs_run"],
        "best_epoch": manifest["train"]["best_epoch"],
        "tokens": [loss.tokens for loss in losses[True]],
        "nats": {name: [round(x.nats, 4) for x in losses[on]] for name, on in (("base", False), ("tuned", True))},
        "voice": {"base": heard(said["base"]), "tuned": heard(said["tuned"]), "own": heard(own)},
    }  # fmt: skip


def _project(root: Path, name: str) -> Project:
    root.mkdir(parents=True, exist_ok=True)
    write_text(root / "molting.toml", f"[persona]\nname = {json.dumps(name)}\n")
    config = override(Config(), "persona", name=name)
    assert isinstance(config.persona, Persona)
    return Project(root, config)


def _corpus(mix: Mix, chosen: Sequence[Conversation], key: dict[str, Any]) -> Corpus:
    parts: tuple[tuple[SplitName, Sequence[Conversation]], ...] = (
        ("train", chosen), ("validation", mix.validation), ("test", mix.test),
    )  # fmt: skip
    rows = tuple(
        Row(row, Verdict(row.id, True, "selected" if split == "train" else "held_out"), split)
        for split, some in parts
        for row in some
    )
    recipe = {"benchmark": "selection", **key}
    return Corpus(
        fingerprint("selection", key, [row.conversation.id for row in rows]), rows, recipe
    )


def _table(cells: Sequence[dict[str, Any]]) -> None:
    arms = [arm for arm in ARMS if any(cell["key"]["arm"] == arm for cell in cells)]
    by_arm = {arm: [cell for cell in cells if cell["key"]["arm"] == arm] for arm in arms}
    print(f"\n{'arm':12} {'seeds':>5}  {'gain, nats a token':28} {'V':24} {'V body':24} clean rows")
    for arm in arms:
        clean = [cell["kinds"].get("clean", 0) for cell in by_arm[arm]]
        print(
            f"{arm:12} {len(by_arm[arm]):5}  {_gain(by_arm[arm], None)!s:28} "
            f"{_voice(by_arm[arm], None, 'full')!s:24} {_voice(by_arm[arm], None, 'body')!s:24} {clean}"
        )
    for rival in arms[1:]:
        pair = _paired(by_arm[arms[0]], by_arm[rival])
        if pair:
            print(
                f"{arms[0]} − {rival}, {len(pair[0])} seeds: gain {_gain(*pair)}, "
                f"V {_voice(*pair, 'full')}, V body {_voice(*pair, 'body')}"
            )


def _paired(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]] | None:
    """The cells of the seeds that both have."""
    mine = {cell["key"]["seed"]: cell for cell in ours}
    other = {cell["key"]["seed"]: cell for cell in theirs}
    seeds = sorted(set(mine) & set(other))
    return ([mine[s] for s in seeds], [other[s] for s in seeds]) if seeds else None


def _gain(cells: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]] | None) -> Estimate:
    """Nats per token gained over base, minus the others' gain; over prompts and seeds."""

    def gained(some: Sequence[dict[str, Any]]) -> Array:
        return np.array([np.array(c["nats"]["base"]) - np.array(c["nats"]["tuned"]) for c in some])

    values = gained(cells) - (gained(others) if others else 0.0)
    tokens = np.array(cells[0]["tokens"], dtype=float)

    def statistic(prompts: Array, seeds: Array) -> float:
        return float((seeds @ values @ prompts) / (seeds.sum() * (tokens @ prompts)))

    return cluster_bootstrap(statistic, [values.shape[1], values.shape[0]], 2000, 0)


def _voice(
    cells: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]] | None, part: str
) -> Estimate:
    def values(some: Sequence[dict[str, Any]], who: str) -> list[Array]:
        return [np.array(cell["voice"][who][part]) for cell in some]

    def statistic(prompts: Array, seeds: Array) -> float:
        found = []
        for some in (cells, others):
            if some is None:
                continue
            tuned, base, own = (values(some, who) for who in ("tuned", "base", "own"))
            each = [voice_value(t, b, o, prompts) for t, b, o in zip(tuned, base, own, strict=True)]
            found.append(float(seeds @ np.array(each) / seeds.sum()))
        return found[0] - found[1] if len(found) == 2 else found[0]

    return cluster_bootstrap(statistic, [len(cells[0]["voice"]["own"][part]), len(cells)], 2000, 0)


if __name__ == "__main__":
    sys.exit(main())
