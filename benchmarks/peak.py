"""Peak resident memory of the demo's training, in a process of its own.

    python -m benchmarks.peak                      one epoch of the example (the peak is reached in it)
    python -m benchmarks.peak --set train.epochs=6 --set train.method=dpo

Exit 1 when it is above the limit (2.5 GiB).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLE = Path("examples/skerry")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=float, default=2.5, help="GiB")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    settings = ["train.epochs=1", *options.settings]
    flags = [flag for setting in settings for flag in ("--set", setting)]
    with tempfile.TemporaryDirectory(prefix="molting-peak-") as name:
        project = Path(name) / "project"
        shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns(".molting"))
        command = [sys.executable, "-m", "molting", "train", str(project), "--json", *flags]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    train = json.loads(done.stdout)["train"]
    # Of all children there have been, the largest: there was one.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    found = {
        "peak_gib": round(peak, 3),
        "limit_gib": options.limit,
        "steps": train["steps"],
        "tokens_per_second": train["tokens_per_second"],
        "settings": settings,
    }
    print(json.dumps(found))
    return 0 if peak <= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
