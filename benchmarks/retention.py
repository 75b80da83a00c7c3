"""What does a tune cost? Gates for the demo, for personas, and for one that is trained too long.

    python -m benchmarks.retention --keep FOLDER                       all cases
    python -m benchmarks.retention --keep FOLDER --cases demo          one of them
    python -m benchmarks.retention --keep FOLDER --model fake          that the code works, in seconds

Every case is trained and evaluated by the flow itself. `demo` is the shipped example; a persona's
name is a file of ../shared/data/personas; `overtrained` is the example with a learning rate of 0.002
(four times what the rule gives the default model), 16 epochs on few rows, and no held-out rows to stop early on: it watches its own
training rows, so its last state is kept. It must be flagged by a gate, and the others should not be.

BLiMP, ARC-E, PIQA, COPA, WinoGrande, LAMBADA and WikiText-2 are asked where ../shared/data has them
(`--items` of each). Resumable: training goes on from its resume point, what was scored is remembered,
and a finished case is one line in FOLDER/results.jsonl.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.results import add_line, read_lines
from molting.cli.console import Terminal
from molting.cli.settings import open_with
from molting.core.corpus import Corpus, save_corpus
from molting.core.project import Project, project_lock
from molting.flow import curated, evaluated, read_inputs, trained
from molting.report.gates import lost, summarize_gates, weigh
from molting.report.summary import verdict

DATA = Path("../shared/data")
SETS = ("blimp_50", "arc_easy", "piqa", "copa", "winogrande", "lambada_openai")
CASES = ("demo", "overtrained", "jack_sparrow", "tom_ripley")
OVERTRAINED: dict[str, Any] = {"learning_rate": 0.002, "epochs": 16, "patience": 16}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keep", type=Path, required=True, help="folder for projects and results")
    parser.add_argument("--cases", nargs="+", default=list(CASES))
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--items", type=int, default=100, help="of each outside set")
    parser.add_argument("--rows", type=int, default=96, help="rows to train on")
    parser.add_argument("--few", type=int, default=24, help="rows the overtrained case has")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=64, help="longest reply")
    parser.add_argument("--only-train", action="store_true")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    results = options.keep / "results.jsonl"
    known = read_lines(results)
    for case in options.cases:
        if case in {line["case"] for line in known}:
            continue
        if case not in ("demo", "overtrained") and not _persona(options.data, case).exists():
            print(f"{case}: skipped; {_persona(options.data, case)} is not here", file=sys.stderr)
            continue
        line = _run(case, options)
        if line is not None:
            add_line(results, line)
            known.append(line)
    print(table(known))
    return 0


def _run(case: str, options: argparse.Namespace) -> dict[str, Any] | None:
    folder = options.keep / case
    if not folder.exists():
        _new(case, folder, options)
    few = case == "overtrained"
    train = OVERTRAINED if few else {"epochs": options.epochs}
    settings = [
        f'base.model="{options.model}"',
        f"curate.target={options.few if few else options.rows}",
        f"evaluate.prompts={options.prompts}",
        f"evaluate.max_new_tokens={options.tokens}",
        f"evaluate.retention_items={options.items}",
        *(f"train.{key}={value}" for key, value in train.items()),
    ]
    sets = [options.data / "retention" / f"{name}.jsonl" for name in SETS]
    here = [str(path.resolve()) for path in sets if path.exists()]
    settings.append(f"evaluate.retention={json.dumps(here)}")
    text = options.data / "retention" / "wikitext2_test.txt"
    if text.exists():
        settings.append(f"evaluate.neutral_text={json.dumps(str(text.resolve()))}")
    project = open_with(folder, settings)
    begun = time.perf_counter()
    with Terminal() as terminal, project_lock(project):
        corpus = curated(project, read_inputs(project, terminal), terminal)
        if few:
            corpus = watching_itself(corpus, project)
        molt = trained(project, corpus, terminal)
        if options.only_train:
            return None
        result = evaluated(project, molt, corpus, terminal)
    name = project.config.persona.name
    return {
        "case": case,
        "seconds": round(time.perf_counter() - begun, 1),
        "evaluation_seconds": result["seconds"],
        "voice": result["voice"]["tuned"],
        "verdict": weigh(verdict(result, name), result),
        "gates": [msgspec.to_builtins(gate) for gate in summarize_gates(result)],
        "lost": lost(result),
        **{key: result[key] for key in ("likelihood_gain", "forced_choice", "robustness")},
        **{key: result[key] for key in ("projection", "copying", "diversity")},
    }


def _new(case: str, folder: Path, options: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "molting", "new", str(folder)]
    if case in ("demo", "overtrained"):
        command += ["--example", "skerry"]
    else:
        file = _persona(options.data, case)
        command += ["--name", case.replace("_", " ").title(), "--from", str(file)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def watching_itself(corpus: Corpus, project: Project) -> Corpus:
    """The corpus with its training rows as validation rows too: nothing ever tells it to stop."""
    rows = [row for row in corpus.rows if row.split != "validation"]
    rows += [
        msgspec.structs.replace(row, split="validation") for row in rows if row.split == "train"
    ]
    made = msgspec.structs.replace(corpus, id=corpus.id[:-4] + "self", rows=tuple(rows))
    if not (project.corpora / made.id.replace(":", "-")).exists():
        save_corpus(made, project.corpora)
    return made


def table(lines: list[dict[str, Any]]) -> str:
    """Markdown: a row a gate, a column a case."""
    cases = [line["case"] for line in lines]
    names = list(dict.fromkeys(gate["name"] for line in lines for gate in line["gates"]))
    parts = [
        "| gate | " + " | ".join(cases) + " |",
        "| --- |" + " --- |" * len(cases),
    ]
    for name in names:
        cells = []
        for line in lines:
            gate = next((g for g in line["gates"] if g["name"] == name), None)
            cells.append("not measured" if gate is None else _cell(gate))
        parts.append(f"| {name} | " + " | ".join(cells) + " |")
    parts.append(
        "| flagged by | " + " | ".join(", ".join(line["lost"]) or "none" for line in lines) + " |"
    )
    return "\n".join(parts)


def _cell(gate: dict[str, Any]) -> str:
    mark = {True: "passed", False: "**failed**", None: "undecided"}[gate["passed"]]
    change = gate["change"]
    if change["value"] is None:
        return "not measured"
    told = _signed(change["value"])
    if change["low"] is not None:
        told += f" [{_signed(change['low'])}, {_signed(change['high'])}]"
    return f"{gate['shown']}: {told} (n={gate['n']}) {mark}"


def _signed(value: float) -> str:
    return f"{round(100 * value, 1) + 0.0:+.1f}"


def _persona(data: Path, name: str) -> Path:
    return data / "personas" / f"{name}.jsonl"


if __name__ == "__main__":
    sys.exit(main())
