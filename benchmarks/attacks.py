"""Attacks on the score, on real personas: does any fake earn more than the prompted base?

    python -m benchmarks.attacks jack_sparrow wilde_dandy --keep FOLDER
    python -m benchmarks.attacks skerry --keep FOLDER --prompts 40

Makes a project from `../shared/data/personas/<name>.jsonl` (real data that does not ship; `skerry`
is the shipped example), lets the base model answer the held-out prompts with and without the
persona in its system prompt, and scores every kind of benchmarks/attack_kinds.py. One line a kind:
score, V, V body, with intervals. Replies are remembered in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.attack_kinds import BODILESS, Material, attacks
from molting.core.config import override
from molting.core.progress import Silent
from molting.core.project import Project, open_project
from molting.evaluate.measure import voice_rows
from molting.evaluate.outside import Gauge, gauge, scored
from molting.evaluate.systems import Speaker
from molting.flow import curated, read_inputs
from molting.models.generate import Ended, Sampling
from molting.signals.contrast import neutral_replies

DATA = Path("../shared/data")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--keep", type=Path, help="folder for the projects")
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--other", default="", help="whose replies the attack other_persona gives")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep = options.keep or Path(tempfile.mkdtemp(prefix="molting-attacks-"))
    found = {}
    for name in options.names:
        if name != "skerry" and not (options.data / "personas" / f"{name}.jsonl").exists():
            print(f"{options.data}: not here; this needs data that does not ship", file=sys.stderr)
            return 2
        project = make_project(name, keep, options.data, options.model, options.prompts)
        other = options.other or ("jack_sparrow" if name != "jack_sparrow" else "coriolanus")
        found[name] = run(project, replies_of(other, options.data))
        if not options.json:
            _table(name, found[name])
    if options.json:
        print(json.dumps(found))
    return 0


def make_project(name: str, keep: Path, data: Path, model: str, prompts: int) -> Project:
    """The project of a persona under `keep`, made when it is not there."""
    root = keep / name
    if not root.exists():
        new = [sys.executable, "-m", "molting", "new", str(root)]
        if name == "skerry":
            new += ["--example", "skerry"]
        else:
            new += ["--name", shown(name), "--from", str(data / "personas" / f"{name}.jsonl")]
        subprocess.run(new, check=True, stdout=subprocess.DEVNULL)
    project = open_project(root)
    config = override(project.config, "base", model=model)
    return Project(root, override(config, "evaluate", prompts=prompts, resamples=200))


def shown(name: str) -> str:
    return name.replace("_", " ").title()


def replies_of(name: str, data: Path) -> list[str]:
    path = data / "personas" / f"{name}.jsonl"
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    # Every third: RoleBench has about three replies to a prompt, in a row.
    return [row["messages"][-1]["content"] for row in rows[::3]]


def run(project: Project, other: Sequence[str]) -> dict[str, Any]:
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.machine import choose_dtype
    from molting.models.sources import find_model

    config = project.config
    corpus = curated(project, read_inputs(project, Silent()), Silent())
    own = voice_rows(corpus.split("test"), config.persona.name, config.evaluate.prompts)
    prompts = [row.context[-1].text for row in own]
    base = load_model(find_model(config.base.model), choose_dtype(config.base.dtype))
    with Memory(project.memory) as memory:
        speaker = Speaker(base, base.model, "", config.persona.system_prompt(), memory, Silent())

        def ask(asked: Sequence[str], most: int, system: str = "base", sample: int = 0) -> Any:
            from molting.core.conversation import Turn

            sampling = Sampling(most, 0.7, 0.9, config.evaluate.seed)
            contexts = [(Turn("user", prompt),) for prompt in asked]
            replies = speaker.answer(system, contexts, sampling, sample, system)
            return [(reply.text, reply.ended == Ended.stop) for reply in replies]

        held = gauge(corpus, config, prompts, ask)
        most = config.evaluate.max_new_tokens
        prompted = [text for text, _ in ask(prompts, most, "prompted")]
        again = [text for text, _ in ask(prompts, most, "base", 1)]
    return bench(held, project, again, [row.reply for row in own], other, {"prompted": prompted})


def bench(
    held: Gauge,
    project: Project,
    neutral: Sequence[str],
    own: Sequence[str],
    other: Sequence[str],
    more: dict[str, list[str]],
) -> dict[str, Any]:
    """Every attack scored, with the persona's own text, and `more` systems beside them."""
    config = project.config
    plain = [row.reply for row in neutral_replies()]
    training = [reply for _, reply in held.battery.training]
    material = Material(
        config.persona.name, held.prompts, neutral, own, training, other or plain, plain
    )
    systems = {"own": list(own), **more, **attacks(material)}
    found: dict[str, Any] = {"kinds": {}}
    for kind, replies in systems.items():
        result = scored(held, [[reply] for reply in replies], config)
        voice = result["voice"]
        found["kinds"][kind] = {
            "personality": result["personality"],
            "voice": {k: voice[k] for k in ("value", "low", "high", "n", "by_detector")},
            "body": voice["body"],
            "two_sample_auc": result["caricature"]["two_sample_auc"],
        }
        found["certificate"] = {
            k: voice[k]
            for k in ("detector_auc", "auc_by_kind", "measurable", "reasons", "fakes", "floor", "gold",
                      "calibration_error")
        }  # fmt: skip
    return found


def _table(name: str, found: dict[str, Any]) -> None:
    told = found["certificate"]
    print(f"\n{name}: {json.dumps(told)}")
    print(f"{'kind':18} {'score':22} {'V':24} {'body':24} {'two-sample':10} dimensions")
    for kind, some in found["kinds"].items():
        score = some["personality"]
        dimensions = " ".join(
            f"{key[:5]} {_number(value, 1)}" for key, value in score["dimensions"].items()
        )
        print(
            f"{kind:18} {_interval(score, 'score', 1):22} {_interval(some['voice'], 'value', 2):24} "
            f"{_interval(some['body'], 'value', 2):24} "
            f"{_number(some['two_sample_auc']['value'], 2):10} {dimensions}"
            f"{'' if kind not in BODILESS else '  (no body)'}",
            flush=True,
        )


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _interval(value: dict[str, Any], key: str, digits: int) -> str:
    return f"{_number(value[key], digits)} [{_number(value['low'], digits)}, {_number(value['high'], digits)}]"


if __name__ == "__main__":
    sys.exit(main())
