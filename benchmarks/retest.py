"""Test–retest of V, its cost, and generation speed against transformers and llama.cpp, in turn.

    python -m benchmarks.retest DIR                          a trained project, both parts
    python -m benchmarks.retest DIR --prompts 200 --samples 4 --json
    python -m benchmarks.retest --only speed --rounds 3      no project is needed

Test–retest: a molt's replies to the held-out prompts are drawn twice with different sampling seeds
and V is measured on each; printed are both, the paired difference with its interval, and the
minutes of one evaluation (generation and scoring, nothing remembered).

Speed: the same prompts, tokens and batch through Molting's generation, transformers' `generate` at the
same batch size, and llama.cpp with 8 parallel slots (package `xllamacpp` and a GGUF file, --gguf;
skipped with a word where they are not there), one after the other in every round; medians of new
tokens a second and of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from molting.core.conversation import Turn
from molting.core.progress import Silent
from molting.core.project import open_project
from molting.signals.contrast import neutral_replies


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--only", choices=("retest", "speed"))
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {}
    if options.only != "speed":
        if options.folder is None:
            parser.error("test–retest needs a trained project; or --only speed")
        found["retest"] = retest(options)
    if options.only != "retest":
        found["speed"] = speed(options)
    print(json.dumps(found, indent=None if options.json else 2))
    return 0


def retest(options: argparse.Namespace) -> dict[str, Any]:
    from molting.core.config import override
    from molting.evaluate.measure import voice_rows
    from molting.evaluate.outside import gauge, scored
    from molting.evaluate.systems import Speaker
    from molting.flow import molt_corpus
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.generate import Ended, Sampling
    from molting.models.lora import load_adapter
    from molting.models.sources import find_model
    from molting.signals.stats import paired_difference

    project = open_project(options.folder)
    config = override(project.config, "evaluate", max_new_tokens=options.tokens)
    molt = project.molt()
    manifest = project.manifest(molt.number) or {}
    corpus = molt_corpus(project, molt)
    rows = voice_rows(corpus.split("test"), config.persona.name, options.prompts)
    prompts = [row.context[-1].text for row in rows]
    contexts = [(Turn("user", prompt),) for prompt in prompts]
    base = load_model(find_model(manifest["base"]["name"]), manifest["dtype"])
    model = load_adapter(base.model, project.molt_folder(molt.number) / "adapter")
    runs: list[dict[str, Any]] = []
    heard = []
    with tempfile.TemporaryDirectory() as empty, Memory(Path(empty)) as memory:
        speaker = Speaker(base, model, manifest["adapter"], "", memory, Silent())

        def ask(asked: Sequence[str], most: int) -> list[tuple[str, bool | None]]:
            turns = [(Turn("user", prompt),) for prompt in asked]
            replies = speaker.answer("base", turns, Sampling(most, 0.7, 0.9, 0), 0, "base")
            return [(reply.text, reply.ended == Ended.stop) for reply in replies]

        held = gauge(corpus, config, prompts, ask)
        for seed in (0, 1):
            sampling = Sampling(options.tokens, 0.7, 0.9, 1000 + seed)
            begun = time.perf_counter()
            drawn = [
                [r.text for r in speaker.answer("tuned", contexts, sampling, sample, "tuned")]
                for sample in range(options.samples)
            ]
            generated = time.perf_counter() - begun
            replies = [list(some) for some in zip(*drawn, strict=True)]
            result = scored(held, replies, config)
            runs.append(
                {
                    "voice": {k: result["voice"][k] for k in ("value", "low", "high", "n")},
                    "score": result["personality"]["score"],
                    "generation_seconds": round(generated, 1),
                    "seconds": round(time.perf_counter() - begun, 1),
                }
            )
            measured = held.battery.measure(prompts, [[(t, None) for t in s] for s in replies])
            heard.append(measured.voice.mean(0))
    gap = float(held.scale.own.voice.mean() - held.scale.base.voice.mean())
    difference = paired_difference(heard[0] / gap, heard[1] / gap, 2000, 0)
    return {
        "prompts": len(prompts),
        "samples": options.samples,
        "runs": runs,
        "difference": msgspec.to_builtins(difference),
    }


def speed(options: argparse.Namespace) -> dict[str, Any]:
    from molting.models.base import load_model
    from molting.models.engine import Engine, supported
    from molting.models.generate import Sampling, generate
    from molting.models.machine import choose_dtype
    from molting.models.render import Renderer
    from molting.models.sources import find_model

    base = load_model(find_model(options.model), choose_dtype("auto"))
    renderer = Renderer(base.tokenizer)
    asked = [row.prompt for row in neutral_replies()][: options.batch]
    prompts = [renderer.prompt((Turn("user", prompt),), None) for prompt in asked]
    engine = Engine(base.model, adapter=False) if supported(base.model) else None
    sampling = Sampling(options.tokens, 0.7, 0.9, 0)
    streams = [str(i) for i in range(len(prompts))]

    def ours() -> int:
        # No stop token: every way makes the same number of tokens.
        replies = generate(base, base.model, prompts, sampling, streams, frozenset(), engine=engine)
        return sum(reply.tokens for reply in replies)

    ways: dict[str, Callable[[], int]] = {"molting": ours}
    ways["transformers"] = lambda: _transformers(base, prompts, options.tokens)
    rival = _llama_cpp(options, asked)
    if rival is not None:
        ways["llama_cpp"] = rival
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            tokens = way()
            rates[name].append(tokens / (time.perf_counter() - begun))
    found: dict[str, Any] = {
        "batch": len(prompts),
        "tokens": options.tokens,
        "dtype": base.dtype,
        "tokens_per_second": {k: round(statistics.median(v), 1) for k, v in rates.items()},
    }
    for name in ways:
        if name != "molting":
            ratios = [a / b for a, b in zip(rates["molting"], rates[name], strict=True)]
            found[f"over_{name}"] = round(statistics.median(ratios), 2)
    if rival is None:
        found["over_llama_cpp"] = None
    return found


def _transformers(base: Any, prompts: Sequence[tuple[int, ...]], tokens: int) -> int:
    import torch

    width = max(map(len, prompts))
    pad = base.tokenizer.pad_token_id or 0
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(prompt)
        mask[i, width - len(prompt) :] = 1
    with torch.inference_mode():
        out = base.model.generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=tokens, min_new_tokens=tokens,
            do_sample=True, temperature=0.7, top_p=0.9, top_k=0, pad_token_id=pad,
        )  # fmt: skip
    return int(out.shape[0] * (out.shape[1] - width))


def _llama_cpp(options: argparse.Namespace, asked: Sequence[str]) -> Callable[[], int] | None:
    """llama.cpp's server in this process, 8 slots that are fed at once."""
    try:
        import xllamacpp
    except ImportError:
        print("xllamacpp is not installed: llama.cpp is not measured", file=sys.stderr)
        return None
    if options.gguf is None:
        print("no --gguf FILE: llama.cpp is not measured", file=sys.stderr)
        return None
    import concurrent.futures

    import torch

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(options.gguf)
    parameters.n_parallel = 8
    parameters.n_ctx = 8 * 512
    threads = torch.get_num_threads()
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(parameters)

    def one(prompt: str) -> int:
        body = {
            "messages": [{"role": "user", "content": prompt}], "max_tokens": options.tokens,
            "temperature": 0.7, "top_p": 0.9, "ignore_eos": True,
        }  # fmt: skip
        told = server.handle_chat_completions(body)
        return int(told["usage"]["completion_tokens"])

    def run() -> int:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return sum(pool.map(one, asked))

    return run


if __name__ == "__main__":
    sys.exit(main())
