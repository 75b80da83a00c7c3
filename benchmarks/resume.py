"""Is a killed and resumed training equal to an uninterrupted one, on the real model?

    python -m benchmarks.resume                       SIGKILL at three random moments
    python -m benchmarks.resume --kills 5 --seed 1

Trains SmolLM2-135M on the example twice (rows and epochs cut down with `--set`), once left alone
and once killed and started again, and compares the adapters byte for byte.
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

EXAMPLE = Path("examples/skerry")
_SMALL = ["curate.target=48", "train.epochs=2", "train.checkpoint_seconds=3"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    settings = [*_SMALL, *options.settings]
    root = Path(tempfile.mkdtemp(prefix="molting-resume-"))
    for name in ("alone", "killed"):
        shutil.copytree(EXAMPLE, root / name, ignore=shutil.ignore_patterns(".molting"))

    begun = time.perf_counter()
    subprocess.run(_command(root / "alone", settings), check=True)
    whole = time.perf_counter() - begun

    moments = random.Random(options.seed)
    for number in range(options.kills):
        process = subprocess.Popen(_command(root / "killed", settings))
        # What is left to do shrinks with each kill; this far, all of them find it running.
        wait = moments.uniform(0.3, 0.9) * whole / options.kills
        try:
            process.wait(timeout=wait)
            print(f"kill {number + 1}: had finished before {wait:.1f} s")
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            print(f"kill {number + 1}: SIGKILL after {wait:.1f} s of {whole:.1f} s", flush=True)
    subprocess.run(_command(root / "killed", settings), check=True)

    difference = _difference(root / "alone", root / "killed")
    print(f"greatest difference between the adapters: {difference:g} (0 is bitwise equal)")
    shutil.rmtree(root)
    return 0 if difference == 0 else 1


def _command(project: Path, settings: list[str]) -> list[str]:
    flags = [flag for setting in settings for flag in ("--set", setting)]
    return [sys.executable, "-m", "molting", "train", str(project), *flags]


def _difference(left: Path, right: Path) -> float:
    from safetensors.numpy import load_file

    inside = ".molting/molts/1/adapter/adapter_model.safetensors"
    one, two = load_file(left / inside), load_file(right / inside)
    assert one.keys() == two.keys()
    return max(float(np.abs(one[name] - two[name]).max()) for name in one)


if __name__ == "__main__":
    sys.exit(main())
