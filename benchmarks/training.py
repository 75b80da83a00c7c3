"""How much faster than TRL's SFTTrainer does Molting train, to the same held-out loss?

    pip install 'molting-lm[bench]'
    python -m benchmarks.training --json                     time shares of a run, in turn (~25 min)
    python -m benchmarks.training --parts exact --rounds 5
    python -m benchmarks.training --parts fast --trl-python OTHER/bin/python     TRL from elsewhere

SmolLM2-135M, 152 rows of a persona (`../shared/data`, which does not ship), five epochs, LoRA r 16
on all linear layers, batches of 8. Each system runs in a child process and waits between steps, so
that a round is N steps of TRL and then the same N batches in Molting, minutes apart at most.

- `exact`: with the same batches, initial weights, learning rates and arithmetic, both take the same
  steps: their losses are compared step by step, and their held-out losses at the end. The time to
  any held-out loss is then in the ratio of the time per step.
- `prefix`: as `exact`, with a persona's system prompt of 300 tokens in every row.
- `fast`: adapters on the top layers only, so the losses differ; the first epoch (which fills the
  memory) and later steps are timed apart, and the time to the same held-out loss needs the curves
  of both modes; with `--no-curves` only the time for the same number of steps is told.

Model loading and evaluation are in no figure. Ratios above 1: Molting is faster. On a machine that is
busy with other things `--threads 1` and the ratios of processor seconds are what can be trusted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.training_figures import fast_figures, limit, ratio, same_steps, speed
from benchmarks.training_gate import Peer
from benchmarks.training_rows import DATA, Rows, draw, render, to_json
from molting.core.schedule import steps_per_epoch
from molting.models.base import load_tokenizer
from molting.models.machine import measure_machine
from molting.models.sources import find_model
from molting.train.batches import epoch_batches

TRL, MOLTING = "benchmarks.trl_peer", "benchmarks.molting_peer"
Found = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--persona", default="jack_sparrow")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rows", type=int, default=152)
    parser.add_argument("--held-out", type=int, default=60)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="optimizer steps in a round")
    parser.add_argument(
        "--full", action="store_true", help="the rounds make up the whole training, both systems"
    )
    parser.add_argument(
        "--no-curves", action="store_true", help="do not train both modes to the end for `fast`"
    )
    parser.add_argument("--trl-python", default=sys.executable, help="an interpreter that has TRL")
    parser.add_argument("--no-trial", action="store_true", help="TRL padded, in Molting's dtype")
    parser.add_argument("--threads", type=int, help="of each system (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    options = parser.parse_args()
    file = options.data / f"{options.persona}.jsonl"
    if not file.exists():
        _say(f"{file}: not here; this benchmark needs data that does not ship (--data FOLDER)")
        return 2
    try:
        found = _measure(options, file)
    except RuntimeError as error:
        _say(f"{error}")
        _say(
            "TRL comes with: pip install 'molting-lm[bench]' (or name its interpreter: --trl-python)"
        )
        return 1
    print(json.dumps(found, indent=2) if options.json else _table(found))
    return 0


def _measure(options: argparse.Namespace, file: Path) -> Found:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    machine = measure_machine()
    train = {"rank": 16, "batch_rows": 8, "epochs": options.epochs, "seed": options.seed}
    per_epoch = steps_per_epoch(options.rows, 8)
    if options.full:
        options.steps = (per_epoch * options.epochs - 1) // options.rounds
    chosen = draw(file, options.rows, options.held_out, options.seed)
    tokenizer = load_tokenizer(find_model(options.model))
    found: Found = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": machine.threads,
            "device": machine.device,
            "matrix_gflops": {k: round(v, 1) for k, v in machine.gflops.items()},
            "molting_dtype": machine.dtype,
        },
        "run": {
            "model": options.model, "persona": options.persona, "rows": options.rows,
            "held_out_rows": options.held_out, "epochs": options.epochs, "batch_rows": 8,
            "rank": 16, "steps_of_a_run": per_epoch * options.epochs, "rounds": options.rounds,
            "steps_a_round": options.steps, "seed": options.seed,
            "threads": options.threads or machine.threads,
        },
        "exact_over_trl": None, "prefix_over_trl": None, "fast_over_trl": None,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        bench = _Bench(
            options, train, machine.dtype, Path(temporary), machine.gflops[machine.dtype]
        )
        for part in options.parts:
            rows = render(tokenizer, *chosen, 300 if part == "prefix" else 0)
            bench.rows(rows)
            found[part] = PARTS[part](bench) | {"tokens": _tokens(rows)}
            found[f"{part}_over_trl"] = found[part].get("over_trl")
            _say(f"{part}: {json.dumps(found[part])}")
        found["trl"] = bench.trl
    return found


class _Bench:
    """What the parts have in common: the rows, the peers, how many tokens each step has."""

    def __init__(
        self, options: argparse.Namespace, train: Found, dtype: str, folder: Path, gflops: float
    ) -> None:
        self.options, self.train, self.dtype, self.folder = options, train, dtype, folder
        self.gflops = gflops
        self.trl: Found = {"dtype": "float32", "padding_free": False, "trial": "not run"}
        self._tried = False

    def rows(self, rows: Rows) -> None:
        self.trained_share = sum(r.trained_tokens for r in rows.train) / sum(
            len(r.ids) for r in rows.train
        )
        self.given = {"rows": to_json(rows.train), "held_out": to_json(rows.held_out)}
        seed, epochs = self.options.seed, self.options.epochs
        self.step_tokens = [
            sum(len(rows.train[i].ids) for i in batch)
            for epoch in range(1, epochs + 1)
            for batch in epoch_batches(rows.train, 8, epoch, seed)
        ]
        """Tokens of each step's rows, in order; the same for every system."""

    @contextlib.contextmanager
    def peer(self, module: str, **more: Any) -> Iterator[Peer]:
        file = self.folder / f"{module}.json"
        common = {"model": self.options.model, "train": self.train, "dtype": self.dtype}
        file.write_text(json.dumps(common | self.given | more))
        python = self.options.trl_python if module == TRL else sys.executable
        peer = Peer(python, module, file, self.options.threads)
        _say(f"{module} is ready: {peer.facts}")
        try:
            yield peer
        finally:
            peer.end()

    def trl_peer(self) -> contextlib.AbstractContextManager[Peer]:
        if not self._tried and not self.options.no_trial:
            self._trial()
        self._tried = True
        settings = {key: self.trl[key] for key in ("dtype", "padding_free")}
        return self.peer(TRL, **settings)

    def _trial(self) -> None:
        """TRL at its best: one step of each way, after one to warm up."""
        dtypes = {"float32", self.dtype}
        seconds: dict[str, float] = {}
        for dtype in sorted(dtypes):
            for free in (False, True):
                with self.peer(TRL, dtype=dtype, padding_free=free) as peer:
                    peer.steps(1)
                    took = peer.steps(1)["seconds"]
                seconds[f"{dtype} {'padding-free' if free else 'padded'}"] = round(took, 2)
                _say(f"trial: {dtype}, padding_free={free}: {took:.1f} s a step")
        best = min(seconds, key=lambda name: seconds[name])
        dtype, way = best.split()
        self.trl = {"dtype": dtype, "padding_free": way == "padding-free", "trial": seconds}

    def rounds(self, trl: Peer, ours: Peer, more: int = 1) -> list[Found]:
        """In turn, after a step each to warm up. `more`: our steps for one of TRL's."""
        steps = self.options.steps
        found: list[Found] = []
        for number in range(self.options.rounds + 1):
            line: Found = {}
            for name, peer, count in (("trl", trl, steps), ("molting", ours, steps * more)):
                count = count if number else 1
                tokens = sum(self.step_tokens[peer.done : peer.done + count])
                line[name] = peer.steps(count) | {"tokens": tokens}
            _say(
                f"round {number}: TRL {speed(line['trl']):.1f} tokens/s, "
                f"Molting {speed(line['molting']):.1f}"
            )
            found.append(line)
        return found


def _exact(bench: _Bench) -> Found:
    with bench.trl_peer() as trl, bench.peer(MOLTING) as ours:
        rounds = bench.rounds(trl, ours)
        found = ratio(rounds[1:]) | same_steps(rounds)
        found["held_out_loss"] = {"trl": trl.held_out(), "molting": ours.held_out()}
        found["after_steps"] = trl.done
        most = limit(
            bench.gflops,
            ours.facts["body_parameters"],
            ours.facts["head_parameters"],
            bench.trained_share,
        )
    found["limit_tokens_per_second"] = round(most, 1)
    found["share_of_limit"] = {
        name: round(value / most, 3) for name, value in found["tokens_per_second"].items()
    }
    found["measured"] = (
        f"{bench.options.rounds} rounds of {bench.options.steps} optimizer steps each, the same "
        "batches in both, in turn; the time to a held-out loss is in this ratio as long as "
        "same_losses holds"
    )
    return found


def _fast(bench: _Bench) -> Found:
    per_epoch = steps_per_epoch(bench.options.rows, 8)
    curves: dict[str, list[float]] = {}
    with bench.trl_peer() as trl, bench.peer(MOLTING, mode="fast") as ours:
        first = ours.steps(per_epoch)
        first["tokens"] = sum(bench.step_tokens[:per_epoch])
        rounds = bench.rounds(trl, ours, more=2)
        if not bench.options.no_curves:
            curves["fast"] = _curve(ours, len(bench.step_tokens))
    if not bench.options.no_curves:
        with bench.peer(MOLTING) as exact:
            curves["exact"] = _curve(exact, len(bench.step_tokens))
    epoch_tokens = [
        sum(bench.step_tokens[start : start + per_epoch])
        for start in range(0, len(bench.step_tokens), per_epoch)
    ]
    return fast_figures(rounds[1:], first, epoch_tokens, curves)


def _curve(peer: Peer, most: int) -> list[float]:
    """Train to the end: held-out loss before and after each epoch."""
    answer = peer.steps(max(1, most - peer.done))
    return list(answer["curve"])


def _tokens(rows: Rows) -> Found:
    return {
        "a_row": round(sum(len(r.ids) for r in rows.train) / len(rows.train), 1),
        "trained_share": round(
            sum(r.trained_tokens for r in rows.train) / sum(len(r.ids) for r in rows.train), 3
        ),
    }


def _table(found: Found) -> str:
    head = f"{found['run']['model']} on {found['machine']}"
    parts = (name for name in PARTS if name in found)
    return "\n".join(
        [head, *(f"{n}_over_trl: {found[f'{n}_over_trl']}  {json.dumps(found[n])}" for n in parts)]
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


PARTS = {"exact": _exact, "prefix": _exact, "fast": _fast}


if __name__ == "__main__":
    sys.exit(main())
