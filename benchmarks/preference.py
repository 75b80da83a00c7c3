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
from typing import Any

import numpy as np

from benchmarks.arms import TOKENS, Split, arm_project, corpus_of, draw, measured, voice_of
from benchmarks.results import Lines, add_line, read_lines
from molting.core.corpus import save_corpus
from molting.flow import trained

ARMS: dict[str, dict[str, Any]] = {
    "sft": {"method": "lora"},
    "dpo": {"method": "dpo"},
    "dpo_fifth": {"method": "dpo", "learning_rate": 1e-4},
    "dpo_as_fast": {"method": "dpo", "learning_rate": 5e-4},
    "sft_then_dpo": {"method": "dpo", "dpo_after": 2},
    "sft_mix": {"method": "lora", "mix": 0.2},
}


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


def _cell(options: argparse.Namespace, key: dict[str, Any], split: Split) -> dict[str, Any]:
    settings = {"seed": key["seed"], "epochs": options.epochs, "dpo_reply_tokens": TOKENS}
    project = arm_project(options.keep, options.persona, options.model, settings | ARMS[key["arm"]])
    corpus = corpus_of(split, "preference", key["seed"])
    save_corpus(corpus, project.corpora)
    molt = trained(project, corpus, Lines())
    manifest = project.manifest(molt.number) or {}
    adapter = project.molt_folder(molt.number) / "adapter"
    return {
        "key": key,
        "train": {k: v for k, v in manifest["train"].items() if k != "history"},
        **measured(
            project, split, adapter, manifest["adapter"], manifest["dtype"], options.prompts
        ),
    }


def _row(cells: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    if not cells:
        return None

    def mean(group: str, name: str) -> float:
        return float(np.mean([cell[group][name] for cell in cells]))

    voices = {
        "voice": voice_of(cells),
        "body": voice_of(cells, part="body"),
        "stopped": voice_of(cells, "stopped"),
        "stopped_body": voice_of(cells, "stopped", "body"),
    }
    return {
        "seeds": [cell["key"]["seed"] for cell in cells],
        **{name: [e.value, e.low, e.high, e.n] for name, e in voices.items()},
        "held_out_perplexity": [mean("perplexity", f"held_out_{s}") for s in ("base", "tuned")],
        "neutral_perplexity": [mean("perplexity", f"neutral_{s}") for s in ("base", "tuned")],
        "train_seconds": mean("train", "seconds"),
        "best_epochs": [cell["train"]["best_epoch"] for cell in cells],
    }


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
