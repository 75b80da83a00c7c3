"""Other people's personas through the whole job: `molting new`, then `molting run`.

    python -m benchmarks.personas jack_sparrow --target 152
    python -m benchmarks.personas wilde_dandy tom_ripley

Reads `../shared/data/personas/<name>.jsonl` (real data that does not ship with the project) and
prints one line a persona: V with its interval, body V, the prompted base, the detector's AUC.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DATA = Path("../shared/data/personas")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--target", type=int)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--keep", type=Path, help="folder for the projects (default: a temporary one)"
    )
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    for name in options.names:
        file = options.data / f"{name}.jsonl"
        if not file.exists():
            print(
                f"{file}: not here; this benchmark needs data that does not ship", file=sys.stderr
            )
            return 2
        root = options.keep or Path(tempfile.mkdtemp(prefix="molting-benchmark-"))
        _one(name, file, root / name, options.target, options.settings)
    return 0


def _one(name: str, file: Path, project: Path, target: int | None, settings: list[str]) -> None:
    molting = [sys.executable, "-m", "molting"]
    shown = name.replace("_", " ").title()
    extra = [] if target is None else ["--target", str(target)]
    if not project.exists():
        new = [*molting, "new", str(project), "--name", shown, "--from", str(file), *extra]
        subprocess.run(new, check=True, stdout=subprocess.DEVNULL)
    begun = time.perf_counter()
    flags = [flag for setting in settings for flag in ("--set", setting)]
    done = subprocess.run(
        [*molting, "run", str(project), "--json", *flags], check=True, stdout=subprocess.PIPE
    )
    seconds = time.perf_counter() - begun
    found: dict[str, Any] = json.loads(done.stdout)
    voice, perplexity = found["voice"], found["perplexity"]
    print(
        f"{name}: measurable {voice['measurable']} (AUC {_number(voice['detector_auc'])}: "
        + ", ".join(f"{kind} {_number(value)}" for kind, value in voice["auc_by_kind"].items())
        + f") · V tuned {_estimate(voice['tuned'])} body {_estimate(voice['tuned_body'])} "
        f"prompted {_estimate(voice['prompted'])} · perplexity {_number(perplexity['base'])} → "
        f"{_number(perplexity['tuned'])} · score {_number(found['personality']['tuned']['score'])} · "
        f"train rows {found['corpus']['splits']['train']} · best epoch {found['train']['best_epoch']} "
        f"· {seconds / 60:.1f} min\n  {found['verdict']['sentence']}",
        flush=True,
    )


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"


def _estimate(value: dict[str, Any]) -> str:
    return f"{_number(value['value'])} [{_number(value['low'])}, {_number(value['high'])}]"


if __name__ == "__main__":
    sys.exit(main())
