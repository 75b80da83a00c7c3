"""Is what fast mode trains as good? Fast against exact against TRL: held-out loss and V, paired.

    python -m benchmarks.modes --keep FOLDER --trl-python OTHER/bin/python
    python -m benchmarks.modes --keep FOLDER --personas jack_sparrow --arms exact fast
    python -m benchmarks.modes --keep FOLDER --arms exact fast --model fake     that the code works

All arms learn from the same rows with the same seed and keep the epoch with the lowest loss on the
same validation rows. `exact` and `trl` (SFTTrainer, float32, given the tokens, masks, batches,
initial weights and rates that Molting has) take `--epochs`; `fast` twice as many, which is about the
same time. Measures and intervals: benchmarks/arms.py. Resumable: a finished cell is a line in
FOLDER/results.jsonl. Needs ../shared/data, which does not ship; `trl` needs the extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.arms import Split, arm_project, corpus_of, draw, loss_of, measured, told, voice_of
from benchmarks.results import Lines, add_line, read_lines
from benchmarks.training_gate import Peer
from benchmarks.training_rows import to_json
from molting.core.config import override
from molting.core.corpus import save_corpus
from molting.core.project import Project
from molting.core.schedule import steps_per_epoch
from molting.flow import trained
from molting.models.base import load_tokenizer
from molting.models.render import Renderer
from molting.models.sources import find_model

ARMS = ("exact", "fast", "trl")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, required=True, help="folder for molts and results")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--personas", nargs="+", default=["jack_sparrow", "wilde_dandy"])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--rows", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--prompts", type=int, default=60, help="held-out prompts to answer")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--trl-python", default=sys.executable, help="an interpreter that has TRL")
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    results = options.keep / "results.jsonl"
    common = {name: getattr(options, name) for name in ("rows", "epochs", "prompts", "model")}
    for seed in options.seeds if not options.only_table else ():
        for persona in options.personas:
            file = options.data / "personas" / f"{persona}.jsonl"
            if not file.exists():
                print(f"{file}: not here; this needs data that does not ship", file=sys.stderr)
                return 2
            split = draw(file, persona, options.rows, seed)
            if len(split.train) % 8:
                # Batches would straddle epochs in TRL, and the two would train on other batches.
                print(f"{len(split.train)} rows; a multiple of 8 is needed", file=sys.stderr)
                return 2
            for arm in options.arms:
                key = {"persona": persona, "arm": arm, "seed": seed} | common
                if any(cell["key"] == key for cell in read_lines(results)):
                    continue
                print(f"{persona} seed {seed} {arm}", file=sys.stderr, flush=True)
                begun = time.perf_counter()
                cell = _cell(options, key, split)
                add_line(results, cell | {"seconds": round(time.perf_counter() - begun, 1)})
    cells = [cell for cell in read_lines(results) if common.items() <= cell["key"].items()]
    for persona in options.personas:
        _print(persona, [cell for cell in cells if cell["key"]["persona"] == persona])
    return 0


def _cell(options: argparse.Namespace, key: dict[str, Any], split: Split) -> dict[str, Any]:
    more = {"mode": "fast", "epochs": 2 * options.epochs} if key["arm"] == "fast" else {}
    settings = {"seed": key["seed"], "epochs": options.epochs} | more
    project = arm_project(options.keep, key["persona"], options.model, settings)
    # Adapters of a dtype of their own would be another training.
    project = Project(project.root, override(project.config, "base", dtype="float32"))
    if key["arm"] == "trl":
        with tempfile.TemporaryDirectory() as folder:
            curve = _with_trl(options, project, split, Path(folder))
            best = Path(folder) / str(curve.index(min(curve)))
            return {"key": key, "curve": curve} | measured(
                project, split, best, f"trl-{key['seed']}-{time.time_ns()}",
                "float32", options.prompts,
            )  # fmt: skip
    corpus = corpus_of(split, "modes", key["seed"])
    save_corpus(corpus, project.corpora)
    molt = trained(project, corpus, Lines())
    manifest = project.manifest(molt.number) or {}
    adapter = project.molt_folder(molt.number) / "adapter"
    curve = [record["validation_loss"] for record in manifest["train"]["history"]]
    return {"key": key, "curve": curve, "train_seconds": manifest["train"]["seconds"]} | measured(
        project, split, adapter, manifest["adapter"], manifest["dtype"], options.prompts
    )


def _with_trl(
    options: argparse.Namespace, project: Project, split: Split, folder: Path
) -> list[float]:
    """Validation loss after each epoch; the adapters lie in folders named by its place."""
    config = project.config.train
    renderer = Renderer(load_tokenizer(find_model(options.model)))
    train, validation = (
        [renderer.row(row, config.max_tokens) for row in rows]
        for rows in (split.train, split.validation)
    )
    wanted = {
        "model": options.model,
        "train": {"rank": config.rank, "batch_rows": config.batch_rows, "epochs": config.epochs,
                  "seed": config.seed},
        "dtype": "float32",
        "padding_free": False,
        "rows": to_json(train),
        "held_out": to_json(validation),
    }  # fmt: skip
    file = folder / "wanted.json"
    file.write_text(json.dumps(wanted))
    peer = Peer(options.trl_python, "benchmarks.trl_peer", file)
    curve = []
    try:
        for epoch in range(config.epochs):
            peer.steps(steps_per_epoch(len(train), config.batch_rows))
            curve.append(peer.held_out())
            peer.save(folder / str(epoch))
    finally:
        peer.end()
    return curve


def _print(persona: str, cells: list[dict[str, Any]]) -> None:
    by_arm = {
        arm: {cell["key"]["seed"]: cell for cell in cells if cell["key"]["arm"] == arm}
        for arm in ARMS
    }
    print(
        f"\n{persona}\n| arm | seeds | held-out loss | V | body V |\n| --- | --- | --- | --- | --- |"
    )
    for arm, found in by_arm.items():
        if not found:
            print(f"| {arm} | 0 | not measured | | |")
            continue
        some = list(found.values())
        print(
            f"| {arm} | {len(some)} | {told(loss_of(some), 3)} | {told(voice_of(some))} "
            f"| {told(voice_of(some, part='body'))} |"
        )
    for arm in ("fast", "trl"):
        seeds = sorted(set(by_arm["exact"]) & set(by_arm[arm]))
        if seeds:
            mine, other = ([by_arm[name][seed] for seed in seeds] for name in (arm, "exact"))
            print(
                f"{arm} − exact, {len(seeds)} seeds: loss {told(loss_of(mine, other), 3)}, "
                f"V {told(voice_of(mine, others=other))}, "
                f"body {told(voice_of(mine, part='body', others=other))}"
            )


if __name__ == "__main__":
    sys.exit(main())
