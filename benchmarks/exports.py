"""Does every export load in TRL, LLaMA-Factory, Axolotl and Unsloth, without edits?

    pip install --target PEERS --no-deps trl==1.16.0 datasets pandas dill multiprocess xxhash httpx \\
        httpcore aiohttp aiosignal aiohappyeyeballs frozenlist multidict yarl propcache attrs \\
        omegaconf antlr4-python3-runtime==4.9.3 colorama addict \\
        llamafactory==0.9.5 axolotl==0.19.0 unsloth unsloth_zoo
    python -m benchmarks.exports --peers PEERS --json exports.json

Rows: personas/jack_sparrow.jsonl where that data is (else the shipped example), as conversations of
one and of three exchanges, every second one with a system turn. Each is exported, then loaded by
the peer's own code, tokenized with SmolLM2's tokenizer and chat template, and the trained tokens
are compared with the replies they should be. Each peer runs in a process of its own; one that
cannot be imported is reported with its reason.

What is theirs and what is not: TRL's whole SFTTrainer runs its data preparation. LLaMA-Factory's
parser, loader, converter, template and supervised processor run as they are; torchaudio and av,
which they import for sound and video, are empty modules here, and the check for older versions of
transformers is off. Axolotl's prompt strategies run as they are, over `datasets.load_dataset`.
Unsloth runs on the CPU: `standardize_sharegpt`, `to_sharegpt` and `apply_chat_template`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from molting.core.conversation import Conversation, Source, Turn
from molting.curate.exports import export_rows
from molting.curate.formats import read_file

DATA = Path("../shared/data/personas/jack_sparrow.jsonl")
EXAMPLE = Path("examples/skerry/data/export.jsonl")
FILES = {"messages": "m.jsonl", "sharegpt": "s.jsonl", "alpaca": "a.jsonl", "parquet": "p.parquet"}
SYSTEM = "You are Captain Jack Sparrow. Stay in character."
IGNORED = -100
Found = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, action="append", default=[])
    parser.add_argument("--rows", type=int, default=120)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peer", choices=list(PEERS), help="one peer, in this process")
    options = parser.parse_args()
    if options.peer:
        sys.path += [str(path.resolve()) for path in options.peers]
        print("\n" + json.dumps(_one(options.peer, options.rows)))
        return 0
    results = {}
    for name in PEERS:
        command = [sys.executable, "-m", "benchmarks.exports", "--peer", name,
                   "--rows", str(options.rows)]  # fmt: skip
        for path in options.peers:
            command += ["--peers", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        last = (done.stdout.strip().splitlines() or [""])[-1]
        if done.returncode:
            tail = (done.stderr.strip().splitlines() or ["ended without a word"])[-1]
            results[name] = {"error": tail[:300]}
        else:
            results[name] = json.loads(last)
        _print(name, results[name])
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


def conversations(count: int) -> list[Conversation]:
    """Of one exchange and of three, every second one with a system turn."""
    path = DATA if DATA.exists() else EXAMPLE
    rows = [c for c in read_file(path).conversations if len(c.turns) == 2 and c.reply.strip()]
    made = []
    for place in range(count):
        taken = rows[3 * place : 3 * place + (3 if place % 4 > 1 else 1)]
        if not taken:
            break
        turns = [turn for row in taken for turn in row.turns]
        # Templates trim what stands around a text, each in its own way.
        turns = [Turn(turn.role, turn.text.strip()) for turn in turns]
        if place % 2:
            turns.insert(0, Turn("system", SYSTEM))
        made.append(Conversation(tuple(turns), Source(path.name, place)))
    return made


def _one(peer: str, count: int) -> Found:
    rows = conversations(count)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, file in FILES.items():
            export_rows(rows, folder / file, name)  # type: ignore[arg-type]
        try:
            return {"rows": len(rows)} | PEERS[peer](rows, folder)
        except Exception as error:  # whatever a peer's import or loading stumbles over
            traceback.print_exc()
            return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300]}"}


def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    from molting.models.sources import find_model

    return AutoTokenizer.from_pretrained(find_model("smollm2-135m").folder)


def _load(path: Path) -> Any:
    kind = "parquet" if path.suffix == ".parquet" else "json"
    return importlib.import_module("datasets").load_dataset(
        kind, data_files=str(path), split="train"
    )


def _compared(
    rows: Sequence[Conversation],
    tokenizer: Any,
    examples: Sequence[Any],
    wanted: Callable[[Conversation], Sequence[str]] = lambda row: row.replies,
) -> Found:
    """How many rows train on exactly the replies, and how many hold every turn's text."""
    trained = whole = 0
    for row, example in zip(rows, examples, strict=False):
        runs: list[list[int]] = [[]]
        for token, label in zip(example["input_ids"], example["labels"], strict=True):
            if label != IGNORED:
                runs[-1].append(token)
            elif runs[-1]:
                runs.append([])
        texts = [tokenizer.decode(run, skip_special_tokens=True).strip() for run in runs if run]
        trained += texts == list(wanted(row))
        text = tokenizer.decode(example["input_ids"])
        whole += all(turn.text in text for turn in row.turns)
    return {"loaded": len(examples), "trained_is_replies": trained, "all_turns_there": whole}


_MARKED = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}"
    "{% endgeneration %}{{ '\n' }}{% else %}{{ message['content'] + '<|im_end|>' + '\n' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""SmolLM2's template with the marks that TRL's assistant-only loss needs: TRL patches the templates
of other families by itself and has none for this one. Checked to render the same."""


def trl(rows: Sequence[Conversation], folder: Path) -> Found:
    """SFTTrainer's own preparation: assistant-only loss; completion-only for Alpaca's columns."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    module: Any = importlib.import_module("trl")
    tokenizer = _tokenizer()
    plain = [tokenizer.apply_chat_template(row.messages, tokenize=False) for row in rows]
    tokenizer.chat_template = _MARKED
    if plain != [tokenizer.apply_chat_template(row.messages, tokenize=False) for row in rows]:
        raise AssertionError("the marked template renders something else")
    tiny = LlamaConfig(vocab_size=len(tokenizer), hidden_size=16, intermediate_size=16,
                       num_hidden_layers=1, num_attention_heads=2)  # fmt: skip
    model = AutoModelForCausalLM.from_config(tiny)
    found: Found = {"version": module.__version__}
    data: Any = importlib.import_module("trl.data_utils")
    for name, file in FILES.items():
        last_only = name == "alpaca"
        dataset = _load(folder / file)

        def prepared(dataset: Any, masked: bool) -> list[Any]:
            config = module.SFTConfig(
                output_dir=str(folder / "out"), report_to="none", use_cpu=True, max_length=None,
                assistant_only_loss=masked, bf16=False,
            )  # fmt: skip
            trainer = module.SFTTrainer(
                model=model, args=config, train_dataset=dataset, processing_class=tokenizer
            )
            return list(trainer.train_dataset)

        as_it_is = prepared(dataset, masked=False)
        if name == "sharegpt":
            # Its assistant-only loss asks for `messages` before it converts ShareGPT by itself.
            dataset = dataset.map(data.maybe_convert_to_chatml, remove_columns="conversations")
        masked = as_it_is if last_only else prepared(dataset, masked=True)
        wanted = (lambda r: r.replies[-1:]) if last_only else (lambda r: r.replies)
        found[name] = {"as_it_is": len(as_it_is)} | _compared(rows, tokenizer, masked, wanted)
    return found


def llamafactory(rows: Sequence[Conversation], folder: Path) -> Found:
    """dataset_info.json, loader, converter, template and supervised processor, all of them theirs."""
    os.environ["DISABLE_VERSION_CHECK"] = "1"
    for name in ("torchaudio", "av"):
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = empty = types.ModuleType(name)
            empty.__spec__ = importlib.machinery.ModuleSpec(name, None)
    spec = importlib.util.find_spec("llamafactory")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("llamafactory is not there")
    # The package's own __init__ imports its trainers; the modules below need only its folder.
    data = types.ModuleType("llamafactory.data")
    data.__path__ = [f"{spec.submodule_search_locations[0]}/data"]
    sys.modules["llamafactory.data"] = data
    loader: Any = importlib.import_module("llamafactory.data.loader")
    parser: Any = importlib.import_module("llamafactory.data.parser")
    supervised: Any = importlib.import_module("llamafactory.data.processor.supervised")
    template: Any = importlib.import_module("llamafactory.data.template")
    arguments: Any = importlib.import_module("llamafactory.hparams.data_args")
    tokenizer = _tokenizer()
    info = json.loads((folder / "dataset_info.json").read_text())
    training = types.SimpleNamespace(local_process_index=0, dataloader_num_workers=0)
    model = types.SimpleNamespace(cache_dir=None, hf_hub_token=None)
    found: Found = {"version": importlib.import_module("llamafactory").__version__}
    for name, file in FILES.items():
        key = next(k for k, entry in info.items() if entry["file_name"] == file)
        options = arguments.DataArguments(
            template="default", dataset=key, dataset_dir=str(folder), cutoff_len=1 << 16,
            overwrite_cache=True,
        )  # fmt: skip
        attributes = parser.get_dataset_list([key], str(folder))[0]
        dataset = loader._load_single_dataset(attributes, model, options, training)
        chatml = template.TEMPLATES["chatml"]
        processor = supervised.SupervisedDatasetProcessor(
            template=chatml, tokenizer=tokenizer, processor=None, data_args=options
        )
        made = processor.preprocess_dataset(dataset[:])
        examples = [
            {"input_ids": ids, "labels": labels}
            for ids, labels in zip(made["input_ids"], made["labels"], strict=True)
        ]
        found[name] = _compared(rows, tokenizer, examples)
    return found


def axolotl(rows: Sequence[Conversation], folder: Path) -> Found:
    """The prompt strategies that the configuration in docs/formats.md names."""
    strategies: Any = importlib.import_module("axolotl.prompt_strategies")
    DictDefault = importlib.import_module("axolotl.utils.dict").DictDefault
    tokenizer = _tokenizer()
    cfg = DictDefault({"sequence_len": 1 << 16, "train_on_inputs": False, "eot_tokens": None})
    chat = {"type": "chat_template", "chat_template": "tokenizer_default"}
    mapped = {"field_messages": "conversations",
              "message_property_mappings": {"role": "from", "content": "value"}}  # fmt: skip
    configs: dict[str, tuple[str, dict[str, Any]]] = {
        "messages": ("chat_template", chat),
        "sharegpt": ("chat_template", chat | mapped),
        "alpaca": ("alpaca_w_system.load", {"type": "alpaca_w_system.load"}),
        "parquet": ("chat_template", chat),
    }
    from importlib.metadata import version

    found: Found = {"version": version("axolotl")}
    for name, (strategy, config) in configs.items():
        tokenize = strategies.load(strategy, tokenizer, cfg, DictDefault(config))
        examples = [tokenize.tokenize_prompt(dict(row)) for row in _load(folder / FILES[name])]
        found[name] = _compared(
            rows, tokenizer, examples, (lambda r: r.replies[-1:]) if name == "alpaca" else
            (lambda r: r.replies),
        )  # fmt: skip
    return found


def unsloth(rows: Sequence[Conversation], folder: Path) -> Found:
    """Standardized and rendered; for Alpaca its own to_sharegpt comes first (without history)."""
    module: Any = importlib.import_module("unsloth")
    templates: Any = importlib.import_module("unsloth.chat_templates")
    tokenizer = _tokenizer()
    found: Found = {"version": module.__version__}
    for name, file in FILES.items():
        dataset = _load(folder / file)
        if name == "alpaca":
            dataset = templates.to_sharegpt(dataset, merged_prompt="{instruction}[[\n{input}]]",
                                            output_column_name="output")  # fmt: skip
        dataset = templates.standardize_sharegpt(dataset)
        column = "conversations" if name in ("sharegpt", "alpaca") else "messages"
        texts = [tokenizer.apply_chat_template(row[column], tokenize=False) for row in dataset]
        whole = sum(
            all(turn.text in text for turn in row.turns)
            for row, text in zip(rows, texts, strict=True)
        )
        same = sum(
            text == tokenizer.apply_chat_template(row.messages, tokenize=False)
            for row, text in zip(rows, texts, strict=True)
        )
        found[name] = {"loaded": len(texts), "same_as_ours": same, "all_turns_there": whole}
    return found


PEERS: dict[str, Callable[[Sequence[Conversation], Path], Found]] = {
    "trl": trl, "llamafactory": llamafactory, "axolotl": axolotl, "unsloth": unsloth,
}  # fmt: skip


def _print(name: str, found: Found) -> None:
    if "error" in found:
        print(f"{name}: not run: {found['error']}", flush=True)
        return
    print(f"{name} {found['version']}, {found['rows']} rows", flush=True)
    for kind in FILES:
        print(f"  {kind:9} " + ", ".join(f"{k} {v}" for k, v in found[kind].items()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
