"""Does V read the dose? Mixtures of a persona's held-out replies and neutral ones.

    python -m benchmarks.dose jack_sparrow walt_kowalski coriolanus john_keating wilde_dandy
    python -m benchmarks.dose jack_sparrow --plain            no model is run

A detector is fitted as the product does (rows of other prompts). Then many evaluations are simulated:
each draws prompts for a made-up model whose replies are the persona's own with probability `dose`
and neutral otherwise, and other prompts for the persona's anchor. Printed: mean V at each dose with
its error, and how often the 95 % interval covers the dose. Neutral replies are the base model's
other sample for the same prompts; with --plain both are drawn from half of
`../shared/data/retention/prompts_252.jsonl`, which nobody on this project wrote, and the other half
teaches the detector.
Needs ../shared/data, which does not ship.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.attacks import DATA, shown
from molting.core.persona import Persona
from molting.evaluate.battery import Battery, fit_battery
from molting.evaluate.probes import says_name
from molting.evaluate.score import voice_value
from molting.signals.stats import Array, cluster_bootstrap

DOSES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


class Pool(NamedTuple):
    """Detector scores of a persona's held-out prompts, one column a prompt, both detectors' mean."""

    own: Array
    base: Array
    neutral: Array


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--memory", type=Path, default=Path(".molting-dose"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--held-out", type=int, default=200, help="prompts in the pool")
    parser.add_argument("--prompts", type=int, default=100, help="prompts of one evaluation")
    parser.add_argument("--simulations", type=int, default=25, help="for each dose and persona")
    parser.add_argument("--resamples", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not (options.data / "personas").is_dir():
        print(f"{options.data}: not here; this needs data that does not ship", file=sys.stderr)
        return 2
    found: dict[str, Any] = {"personas": {}}
    for name in options.names:
        found["personas"][name] = _persona(pool_of(name, options), options)
        if not options.json:
            told = " ".join(
                f"{row['dose']:.2f}→{row['mean']:+.3f}" for row in found["personas"][name]
            )
            print(f"{name:16} {told}", flush=True)
    rows = [row for some in found["personas"].values() for row in some]
    errors = [abs(row["mean"] - row["dose"]) for row in rows]
    covered, total = sum(row["covered"] for row in rows), sum(row["simulations"] for row in rows)
    half = 1.96 * float(np.sqrt(covered / total * (1 - covered / total) / total))
    found |= {
        "mean_absolute_error": float(np.mean(errors)),
        "largest_error": float(np.max(errors)),
        "coverage": covered / total,
        "coverage_half_width": half,
        "simulations": total,
    }
    if options.json:
        print(json.dumps(found))
    else:
        print(
            f"|V − dose| {found['mean_absolute_error']:.3f} in the mean, {found['largest_error']:.3f} "
            f"at most; intervals cover the dose in {100 * covered / total:.1f} ± {100 * half:.1f} % "
            f"of {total} simulated evaluations"
        )
    return 0


def pool_of(name: str, options: argparse.Namespace) -> Pool:
    """A detector fitted on other prompts, and what it hears of the held-out ones."""
    by_prompt: dict[str, list[str]] = {}
    path = options.data / "personas" / f"{name}.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        turns = json.loads(line)["messages"]
        by_prompt.setdefault(turns[-2]["content"], []).append(turns[-1]["content"])
    prompts = sorted(by_prompt)
    random.Random(0).shuffle(prompts)
    unnamed = [p for p in prompts if not says_name(p, shown(name)) and len(p) < 800]
    test = unnamed[: options.held_out]
    rest = [prompt for prompt in prompts if prompt not in set(test)]
    rows = [(prompt, reply) for prompt in rest for reply in by_prompt[prompt]]
    random.Random(1).shuffle(rows)
    if options.plain:
        texts = _neutral(options.data)
        base = neutral = texts[::2]
        learned = {f"{key}": text for key, text in enumerate(texts[1::2])}
    else:
        asked = [prompt for prompt, _ in rows[:120]]
        base, neutral, learned = _answered(options, test, asked)
    battery = fit_battery(Persona(name=shown(name)), rows, [learned])
    own = [by_prompt[prompt][0] for prompt in test]
    return Pool(*(_heard(battery, texts) for texts in (own, base, neutral)))


def _heard(battery: Battery, texts: Sequence[str]) -> Array:
    return battery.detectors[0].score(texts)


def _neutral(data: Path) -> list[str]:
    rows = (data / "retention" / "prompts_252.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(row)["reply"] for row in rows]
    return [text for text in texts if len(text.split()) >= 4]


def _answered(
    options: argparse.Namespace, test: Sequence[str], asked: Sequence[str]
) -> tuple[list[str], list[str], dict[str, str]]:
    from molting.core.conversation import Turn
    from molting.core.progress import Silent
    from molting.evaluate.systems import Speaker
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.generate import Sampling
    from molting.models.machine import choose_dtype
    from molting.models.sources import find_model

    base = load_model(find_model(options.model), choose_dtype("auto"))
    with Memory(options.memory) as memory:
        speaker = Speaker(base, base.model, "", "", memory, Silent())

        def answer(prompts: Sequence[str], most: int, sample: int) -> list[str]:
            contexts = [(Turn("user", prompt),) for prompt in prompts]
            replies = speaker.answer("base", contexts, Sampling(most, 0.7, 0.9, 0), sample, "base")
            return [reply.text for reply in replies]

        first, second = answer(test, 48, 0), answer(test, 48, 1)
        return first, second, dict(zip(asked, answer(asked, 48, 0), strict=True))


def _persona(pool: Pool, options: argparse.Namespace) -> list[dict[str, Any]]:
    draw = np.random.default_rng(0)
    count = min(options.prompts, len(pool.own))
    rows = []
    for dose in DOSES:
        values, covered = [], 0
        for simulation in range(options.simulations):
            # With replacement: the pool is the population, and its means are the truth.
            here = draw.integers(0, len(pool.own), count)
            own = pool.own[draw.integers(0, len(pool.own), count)]
            persona = draw.random(count) < dose
            plain = draw.integers(0, len(pool.base), count)
            # Base and neutral answer the same prompts; of plain texts each is another draw.
            other = draw.integers(0, len(pool.base), count) if options.plain else plain
            model = np.where(persona, pool.own[here], pool.neutral[other])
            base = pool.base[plain]

            def value(
                w: Array, w_own: Array, model: Array = model, base: Array = base, own: Array = own
            ) -> float:
                return voice_value(model, base, own, w, w_own)

            estimate = cluster_bootstrap(value, [count, count], options.resamples, simulation)
            if estimate.value is None or estimate.low is None or estimate.high is None:
                continue
            values.append(estimate.value)
            covered += estimate.low <= dose <= estimate.high
        rows.append(
            {
                "dose": dose,
                "mean": float(np.mean(values)),
                "covered": covered,
                "simulations": len(values),
            }
        )
    return rows


if __name__ == "__main__":
    sys.exit(main())
