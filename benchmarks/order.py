"""Does V order nine models of one persona as the likelihood of its held-out text does?

    python -m benchmarks.order jack_sparrow --keep FOLDER
    python -m benchmarks.order jack_sparrow --keep FOLDER --model fake      that the code works
    python -m benchmarks.order jack_sparrow --keep FOLDER --only-table      from what is finished

Nine models: the base, the base with the persona in its system prompt, three doses of training (an
eighth of the rows for one epoch, all for one, all for two), tunes of two other personas, preference
tuning (DPO on a third of the rows), and one trained too long (24 rows, 16 epochs at four times the
rule's learning rate, watching its own training rows). All answer the same held-out prompts and are scored
against the same gauge. The gain is in nats per token of the persona's held-out replies, base minus
model. Spearman's ρ of the two orders, with an interval by prompt, and beside each model what tells a
caricature: V beyond 1, the two-sample AUC, over-used phrases, the score.

Resumable: a finished model is a line in FOLDER/results.jsonl. Needs ../shared/data, which does not ship.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from scipy.stats import rankdata

from benchmarks.attacks import make_project
from benchmarks.results import Lines, add_line, read_lines
from benchmarks.retention import OVERTRAINED, watching_itself
from molting.core.config import override
from molting.core.conversation import Turn
from molting.core.corpus import Corpus, save_corpus
from molting.core.progress import Silent
from molting.core.project import Project
from molting.evaluate.battery import Said
from molting.evaluate.measure import voice_rows
from molting.evaluate.outside import Gauge, gauge, scored
from molting.evaluate.systems import Speaker
from molting.flow import curated, read_inputs, trained
from molting.models.generate import Ended, Sampling
from molting.signals.stats import Array, cluster_bootstrap


class Tune(NamedTuple):
    """How one of the models is trained."""

    settings: dict[str, Any]
    one_in: int = 1
    """One in so many of the training rows."""
    most: int | None = None
    persona: int | None = None
    """Which of the other personas' rows it learns from; None: its own."""
    itself: bool = False
    """Watches its own training rows, so that nothing stops it."""


TUNES = {
    "eighth": Tune({"epochs": 1}, one_in=8),
    "one_epoch": Tune({"epochs": 1}),
    "two_epochs": Tune({"epochs": 2}),
    "other_1": Tune({"epochs": 1}, persona=0),
    "other_2": Tune({"epochs": 1}, persona=1),
    "dpo": Tune({"method": "dpo", "epochs": 2, "dpo_reply_tokens": 48}, one_in=3),
    "overtrained": Tune(OVERTRAINED, most=24, itself=True),
}
MODELS = ("base", "prompted", *TUNES)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name")
    parser.add_argument("--others", nargs=2, default=["wilde_dandy", "walt_kowalski"])
    parser.add_argument("--keep", type=Path, required=True, help="folder for projects and results")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rows", type=int, default=152)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--tokens", type=int, default=48, help="longest reply")
    parser.add_argument("--only-table", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for name in (options.name, *options.others):
        if not (options.data / "personas" / f"{name}.jsonl").exists():
            print(f"{name}: not here; this needs data that does not ship", file=sys.stderr)
            return 2
    options.keep.mkdir(parents=True, exist_ok=True)
    file = options.keep / "results.jsonl"
    if not options.only_table:
        _measure(options, file)
    found = _found(read_lines(file))
    print(json.dumps(found) if options.json else _table(found))
    return 0


def _measure(options: argparse.Namespace, file: Path) -> None:
    mine, *others = [
        make_project(name, options.keep, options.data, options.model, options.prompts)
        for name in (options.name, *options.others)
    ]
    corpora = []
    for project in (mine, *others):
        wanted = Project(project.root, override(project.config, "curate", target=options.rows))
        corpora.append(curated(wanted, read_inputs(wanted, Silent()), Silent()))
    held: Gauge | None = None
    for name in MODELS:
        if any(line["model"] == name for line in read_lines(file)):
            continue
        begun = time.perf_counter()
        tune = TUNES.get(name)
        project, adapter = mine, None
        if tune is not None:
            which = 0 if tune.persona is None else tune.persona + 1
            project = (mine, *others)[which]
            adapter = _tuned(project, corpora[which], tune)
        print(
            f"{name}: {'' if tune is None else 'trained, '}answering", file=sys.stderr, flush=True
        )
        held, line = _heard(options, mine, corpora[0], name, adapter, held)
        line = {"model": name, "seconds": round(time.perf_counter() - begun, 1), **line}
        add_line(file, line)


def _tuned(project: Project, corpus: Corpus, tune: Tune) -> Path:
    """The folder of the adapter."""
    rows = [row for row in corpus.rows if row.split == "train"]
    count = min(max(1, round(len(rows) / tune.one_in)), tune.most or len(rows))
    kept = {row.conversation.id for row in rows[:count]}
    part = [r for r in corpus.rows if r.split != "train" or r.conversation.id in kept]
    if count < len(rows):
        corpus = msgspec.structs.replace(
            corpus, id=f"{corpus.id[:-4]}{count:04d}", rows=tuple(part)
        )
        if not (project.corpora / corpus.id.replace(":", "-")).exists():
            save_corpus(corpus, project.corpora)
    if tune.itself:
        corpus = watching_itself(corpus, project)
    config = override(project.config, "train", **tune.settings)
    trainer = Project(project.root, config)
    return trainer.molt_folder(trained(trainer, corpus, Lines()).number)


def _heard(
    options: argparse.Namespace,
    project: Project,
    corpus: Corpus,
    name: str,
    folder: Path | None,
    held: Gauge | None,
) -> tuple[Gauge, dict[str, Any]]:
    from molting.core.artifacts import MANIFEST, read_json
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.lora import load_adapter
    from molting.models.machine import choose_dtype
    from molting.models.sources import find_model

    config = override(project.config, "evaluate", max_new_tokens=options.tokens)
    own = voice_rows(corpus.split("test"), config.persona.name, options.prompts)
    prompts = [row.context[-1].text for row in own]
    base = load_model(find_model(options.model), choose_dtype(config.base.dtype))
    model, adapter = base.model, ""
    if folder is not None:
        adapter = str(read_json(folder / MANIFEST)["adapter"])
        model = load_adapter(base.model, folder / "adapter")
    system = name if name in ("base", "prompted") else "tuned"
    persona = config.persona.system_prompt()
    with Memory(project.memory) as memory:
        speaker = Speaker(base, model, adapter, persona, memory, Silent())

        def ask(asked: Sequence[str], most: int, who: str = "base", sample: int = 0) -> list[Said]:
            contexts = [(Turn("user", prompt),) for prompt in asked]
            said = speaker.answer(
                who, contexts, Sampling(most, 0.7, 0.9, config.evaluate.seed), sample, who
            )
            return [(reply.text, reply.ended == Ended.stop) for reply in said]

        held = held or gauge(corpus, config, prompts, ask)
        # The gauge's base replies are one draw; the base as a model under test is another.
        sample = int(system == "base")
        replies = [text for text, _ in ask(prompts, options.tokens, system, sample)]
        limit = min(config.train.max_tokens, base.context_tokens)
        nats = {}
        for which in ("base", system):
            said_before = persona if which == "prompted" else None
            rows = [speaker.renderer.row(r, limit, said_before, last_only=True) for r in own]
            nats[which] = speaker.losses(which == "tuned", rows)
    result = scored(held, [[reply] for reply in replies], config)
    measured = held.battery.measure(prompts, [[(reply, None)] for reply in replies], held.plain)
    return held, {
        "replies": replies,
        "voice": {k: result["voice"][k] for k in ("value", "low", "high", "n", "measurable")},
        "body": result["voice"]["body"],
        "score": {k: result["personality"][k] for k in ("score", "low", "high")},
        "caricature": result["caricature"],
        "by_prompt": [round(float(v), 5) for v in np.asarray(measured.voice).mean(0)],
        "tokens": [loss.tokens for loss in nats["base"]],
        "gain_nats": [
            round(b.nats - t.nats, 4) for b, t in zip(nats["base"], nats[system], strict=True)
        ],
    }


def _found(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Both orders and how alike they are; prompts are drawn again for both at once."""
    lines = sorted(lines, key=lambda line: MODELS.index(line["model"]))
    heard = np.array([line["by_prompt"] for line in lines])
    nats = np.array([line["gain_nats"] for line in lines])
    tokens = np.array(lines[0]["tokens"], dtype=float)

    def rho(rows: Sequence[int]) -> Callable[[Array], float]:
        def statistic(weights: Array) -> float:
            voice = rankdata(heard[rows] @ weights)
            gain = rankdata(nats[rows] @ weights / (tokens @ weights))
            return float(np.corrcoef(voice, gain)[0, 1])

        return statistic

    every = list(range(len(lines)))
    sane = [i for i in every if lines[i]["model"] != "overtrained"]
    count = heard.shape[1]
    return {
        "models": [
            {k: line[k] for k in ("model", "voice", "body", "score", "caricature", "seconds")}
            | {
                "gain": msgspec.to_builtins(
                    cluster_bootstrap(
                        lambda w, i=i: float(nats[i] @ w / (tokens @ w)), count, 2000, 0
                    )
                )
            }
            for i, line in enumerate(lines)
        ],
        "spearman": msgspec.to_builtins(cluster_bootstrap(rho(every), count, 2000, 0)),
        "spearman_without_overtrained": msgspec.to_builtins(
            cluster_bootstrap(rho(sane), count, 2000, 0)
        ),
    }


def _table(found: dict[str, Any]) -> str:
    lines = ["| model | gain, nats a token | V | body | score | two-sample AUC | over-used |"]
    lines.append("| --- |" + " --- |" * 6)
    for some in found["models"]:
        over = some["caricature"]["over_used"]
        shown = ", ".join(f"{o['phrase']} ({o['share']:.0%})" for o in over[:2]) or "none"
        lines.append(
            f"| {some['model']} | {_interval(some['gain'])} | {_interval(some['voice'])} "
            f"| {_interval(some['body'])} | {_interval(some['score'], 'score', 1)} "
            f"| {_interval(some['caricature']['two_sample_auc'])} | {shown} |"
        )
    lines += [
        f"{key.replace('_', ' ')}: {_interval(found[key])} (n={found[key]['n']} prompts)"
        for key in ("spearman", "spearman_without_overtrained")
    ]
    return "\n".join(lines)


def _interval(value: dict[str, Any], key: str = "value", digits: int = 2) -> str:
    if value[key] is None:
        return "not measured"
    if value["low"] is None:
        return f"{value[key]:.{digits}f}"
    return f"{value[key]:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"


if __name__ == "__main__":
    sys.exit(main())
