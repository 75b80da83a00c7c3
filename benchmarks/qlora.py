"""QLoRA against LoRA: memory, time, loss; and its adapter on the unquantised base.

    python -m benchmarks.qlora                     SmolLM2-135M, 48 rows of the example, 2 epochs
    python -m benchmarks.qlora --model fake        that the code works
    python -m benchmarks.qlora --json

Each arm trains the same rows in a process of its own: `lora` (the hand-written tuner), `peft` (LoRA
through PEFT and autograd, the path that QLoRA takes too) and `qlora`. Memory is what the system says
of the process: resident after the base is loaded, and the peak until then and until the end.
Needs the extra `qlora`.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from molting.core.config import Config, load_config, override
from molting.core.conversation import Conversation
from molting.core.progress import Silent
from molting.curate.formats import read_file

EXAMPLE = Path("examples/skerry")
ARMS = ("lora", "peft", "qlora")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rows", type=int, default=48)
    parser.add_argument("--validation", type=int, default=16, help="held-out rows")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--child", nargs=2, metavar=("ARM", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        arm, folder = options.child
        found = _train(arm, Path(folder), options)
        print(json.dumps(found))
        return 0
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="molting-qlora-") as name:
        for arm in options.arms:
            command = [
                sys.executable, "-m", "benchmarks.qlora", "--child", arm, f"{name}/{arm}",
                "--model", options.model, "--rows", str(options.rows),
                "--epochs", str(options.epochs), "--validation", str(options.validation),
            ]  # fmt: skip
            print(f"{arm} …", file=sys.stderr, flush=True)
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            table[arm] = json.loads(done.stdout.splitlines()[-1])
            print(f"{arm}: {table[arm]}", file=sys.stderr, flush=True)
        for arm, row in table.items():
            row["loss_on_full_base"] = _on_full_base(Path(name) / arm, options)
    if options.json:
        print(json.dumps({"model": options.model, "rows": options.rows, "arms": table}))
        return 0
    print(
        "| arm | loaded, MiB | peak to load | peak | tokens/s | validation loss | on the full base |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for arm, row in table.items():
        print(
            f"| {arm} | {row['loaded_mib']:.0f} | {row['peak_to_load_mib']:.0f} | "
            f"{row['peak_mib']:.0f} | {row['tokens_per_second']:.0f} | "
            f"{row['losses'][0]:.4f} → {row['losses'][-1]:.4f} | {row['loss_on_full_base']:.4f} |"
        )
    return 0


def _config(arm: str, epochs: int) -> Config:
    config = load_config(EXAMPLE / "molting.toml")
    method = "qlora" if arm == "qlora" else "lora"
    return override(config, "train", method=method, epochs=epochs, patience=epochs)


def _rows(options: argparse.Namespace) -> tuple[list[Conversation], list[Conversation]]:
    train = read_file(EXAMPLE / "data/export.jsonl", "export.jsonl").conversations
    held_out = read_file(EXAMPLE / "data/held_out.jsonl", "held_out.jsonl").conversations
    good = [row for row in train if len(row.reply.split()) > 5]
    return good[: options.rows], list(held_out[: options.validation])


def _train(arm: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    from molting.models.base import load_model
    from molting.models.lora import attach_lora, count_parameters, hub_name, save_adapter
    from molting.models.machine import choose_dtype
    from molting.models.render import Renderer
    from molting.models.sources import find_model
    from molting.train import loop
    from molting.train.steppers import PeftStepper, stepper_for

    config = _config(arm, options.epochs)
    source = find_model(options.model)
    dtype = choose_dtype("auto")
    base = load_model(source, dtype, four_bit=arm == "qlora")
    loaded, peak_to_load = _resident_mib(), _peak_mib()
    renderer = Renderer(base.tokenizer)
    rows, validation = (
        [renderer.row(row, config.train.max_tokens) for row in part] for part in _rows(options)
    )
    model = attach_lora(base.model, config.train, hub_name(source.name), 0)
    folder.mkdir(parents=True)
    pad_id = base.tokenizer.pad_token_id or 0

    def plain(model: Any, pad_id: int, *_: Any) -> PeftStepper:
        return PeftStepper(model, pad_id)

    chosen: Any = plain if arm == "peft" else stepper_for
    with mock.patch.object(loop, "stepper_for", chosen):
        outcome = loop.train(model, rows, validation, config.train, pad_id, folder, Silent())
    save_adapter(model.peft_config["default"], outcome.state, folder / "adapter")
    position = outcome.position
    return {
        "loaded_mib": loaded,
        "peak_to_load_mib": peak_to_load,
        "peak_mib": _peak_mib(),
        "dtype": dtype,
        "parameters": count_parameters(model),
        "tokens_per_second": position.tokens / position.seconds,
        "steps": position.step,
        "losses": [record["validation_loss"] for record in position.history],
    }


def _on_full_base(folder: Path, options: argparse.Namespace) -> float:
    """Validation loss of the adapter on the base as it is, in the dtype it was trained in."""
    from molting.models.base import load_model
    from molting.models.likelihood import mean_loss, row_losses
    from molting.models.lora import load_adapter
    from molting.models.machine import choose_dtype
    from molting.models.render import Renderer
    from molting.models.sources import find_model

    base = load_model(find_model(options.model), choose_dtype("auto"))
    renderer = Renderer(base.tokenizer)
    rows = [renderer.row(row, 1024) for row in _rows(options)[1]]
    model = load_adapter(base.model, folder / "adapter")
    return mean_loss(row_losses(model, rows, base.tokenizer.pad_token_id or 0))


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    sys.exit(main())
