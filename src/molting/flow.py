"""The main job as a list of stages, read top to bottom. Each one finds its result or makes it.

read → curate → check → train → evaluate → report
"""

from __future__ import annotations

import contextlib
import errno
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from molting import __version__
from molting.core.artifacts import (
    MANIFEST,
    file_hash,
    read_json,
    storage_errors,
    sweep_temporary,
    write_bytes,
    write_json,
)
from molting.core.config import Config, fingerprint
from molting.core.conversation import Conversation
from molting.core.corpus import Corpus, load_corpus, save_corpus, versions
from molting.core.errors import CheckFailed, ConfigError, ModelNotFound
from molting.core.journal import Journal
from molting.core.progress import Progress
from molting.core.project import CONFIG_FILE, Molt, Project
from molting.core.rulings import Ruling, rulings
from molting.curate.formats import ReadFile, read_file
from molting.curate.pipeline import corpus_id, curate
from molting.curate.semantic import SemanticFinder


class Inputs(NamedTuple):
    """The chat rows as they came, and the held-out ones."""

    files: tuple[ReadFile, ...]
    held_out: tuple[ReadFile, ...]

    @property
    def conversations(self) -> list[Conversation]:
        return [row for file in self.files for row in file.conversations]

    @property
    def held_out_conversations(self) -> list[Conversation]:
        return [row for file in self.held_out for row in file.conversations]


def read_inputs(project: Project, progress: Progress) -> Inputs:
    """Stage 1: every file that `molting.toml` names, format detected and said."""
    data = project.config.data
    if not data.files:
        raise ConfigError(
            'names no chat files; add `files = ["chats.jsonl"]` under [data]',
            file=project.root / CONFIG_FILE,
            key="data.files",
        )

    def read(names: tuple[str, ...]) -> tuple[ReadFile, ...]:
        found = []
        for name in names:
            path = project.root / name
            file = read_file(path, project.shown(path), data.format)
            progress.say(f"{file.file}: {len(file.conversations)} rows, {file.format} format")
            for note in file.notes:
                progress.say(f"  {note}")
            found.append(file)
        return tuple(found)

    return Inputs(read(data.files), read(data.held_out))


def curated(project: Project, inputs: Inputs, progress: Progress) -> Corpus:
    """Stage 2: the corpus of these rows, this configuration and people's decisions, made or found."""
    rows, held_out = inputs.conversations, inputs.held_out_conversations
    decisions = decided(project)
    made_id = corpus_id(rows, held_out, project.config, decisions)
    folder = project.corpora / made_id.replace(":", "-")
    sweep_temporary(project.corpora)
    if (folder / MANIFEST).exists():
        corpus = load_corpus(folder)
    else:
        progress.say("curating: noise, duplicates, leaks, split, selection …")
        finder = semantic_finder(project, progress)
        corpus = curate(rows, held_out, project.config, decisions, finder)
        known = versions(project.corpora)
        corpus = msgspec.structs.replace(corpus, parent=known[-1].id if known else None)
        save_corpus(corpus, project.corpora)
    summary = corpus.summary()
    splits = summary["splits"]
    progress.say(
        f"corpus {corpus.id[3:11]}: {summary['rows_in']} rows in, {summary['kept']} kept "
        f"({splits['train']} to train, {splits['validation']} to stop early, {splits['test']} to test), "
        f"{summary['rows_in'] - summary['kept']} rejected"
    )
    review = corpus.recipe.get("review")
    if review:
        told = ", ".join(f"{count} {action}" for action, count in review.items())
        progress.say(f"  decisions of reviewers that apply: {told}")
    split = sum("disagreement" in row.verdict.evidence for row in corpus.rows)
    if split:
        progress.say(f"  reviewers disagree on {split} rows; `molting review --list` shows them")
    target = project.config.curate.target
    if target and splits["train"] < target:
        progress.say(f"  only {splits['train']} good rows for the target of {target}")
    return corpus


def undecided(project: Project, inputs: Inputs, progress: Progress) -> Corpus:
    """The corpus as it would be without any decision: found, or made for this once and not kept."""
    rows, held_out = inputs.conversations, inputs.held_out_conversations
    folder = project.corpora / corpus_id(rows, held_out, project.config).replace(":", "-")
    if (folder / MANIFEST).exists():
        return load_corpus(folder)
    progress.say("looking at the rows as curation sees them …")
    finder = semantic_finder(project, progress)
    return curate(rows, held_out, project.config, finder=finder)


def semantic_finder(project: Project, progress: Progress) -> SemanticFinder | None:
    """What curation finds semantic duplicates with; None where it is not to look, or cannot.

    The static encoder searches and minilm judges; beside the fake model the fake does both.
    """
    from molting.memory.embeddings import Remembered
    from molting.memory.store import Memory
    from molting.models.catalogue import FAKE
    from molting.models.encoders import load_encoder

    config = project.config
    if config.curate.semantic == "off":
        return None
    if config.base.model == FAKE:
        return SemanticFinder(load_encoder("fake"))
    try:
        judge = load_encoder("minilm", progress=progress)
        search = load_encoder("static", progress=progress)
    except ModelNotFound as error:
        if config.curate.semantic == "reject":
            raise
        progress.say(f"  semantic duplicates are not looked for: {error}")
        return None
    return SemanticFinder(search, Remembered(judge, Memory(project.memory)))


def decided(project: Project) -> dict[str, Ruling]:
    """What reviewers say of rows, by content id; a damaged journal is an error, never ignored."""
    return rulings(Journal(project).decisions())


def trained(
    project: Project,
    corpus: Corpus,
    progress: Progress,
    interrupted: Callable[[], bool] = lambda: False,
) -> Molt:
    """Stage 4: the molt of this corpus and configuration, trained now, resumed or found."""
    from molting.models.sources import find_model

    config = project.config
    source = find_model(config.base.model, config.base.revision, progress)
    key = molt_fingerprint(corpus, config, source.weights)
    molt = project.claim_molt(key, corpus.id)
    folder = project.molt_folder(molt.number)
    from molting.train.checkpoint import drop_checkpoint

    if (folder / MANIFEST).exists():
        progress.say(f"molt {molt.number}: already trained with this corpus and configuration")
        if molt.finished is None:
            # Killed between the manifest and this.
            project.finish_molt(molt.number)
            drop_checkpoint(folder)
        return molt

    from molting.models.allocator import release_memory
    from molting.models.base import load_model
    from molting.models.lora import attach_lora, count_parameters, hub_name, save_adapter
    from molting.models.machine import choose_dtype
    from molting.models.render import Renderer
    from molting.train.loop import train

    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    sweep_temporary(folder)
    begun = folder / "started.json"
    if begun.exists():
        # A resumed run keeps the first one's dtype, or it would not be the same run.
        dtype = read_json(begun)["dtype"]
    else:
        dtype = choose_dtype(config.base.dtype)
        write_json(begun, {"dtype": dtype, "at": time.time()})
    write_json(folder / "config.json", msgspec.to_builtins(config))

    progress.say(f"molt {molt.number}: {source.name} in {dtype}, from {source.origin}")
    base = load_model(source, dtype)
    renderer = Renderer(base.tokenizer)
    limit = min(config.train.max_tokens, base.context_tokens)
    rows = [renderer.row(row, limit) for row in corpus.split("train")]
    validation = [renderer.row(row, limit) for row in corpus.split("validation")]
    model = attach_lora(base.model, config.train, hub_name(source.name), config.train.seed)
    trainable, total = count_parameters(model)
    progress.say(
        f"LoRA r={config.train.rank}: {trainable:,} of {total:,} parameters are trained on "
        f"{len(rows)} rows, {sum(r.trained_tokens for r in rows):,} reply tokens"
    )
    with _tensors_stored(folder):
        outcome = train(
            model,
            rows,
            validation,
            config.train,
            base.tokenizer.pad_token_id or 0,
            folder,
            progress,
            interrupted,
        )
        save_adapter(model.peft_config["default"], outcome.state, folder / "adapter")
    position = outcome.position
    lines = [{"step": i, "train_loss": loss} for i, loss in enumerate(position.losses, 1)]
    write_bytes(
        folder / "metrics.jsonl",
        b"".join(msgspec.json.encode(line) + b"\n" for line in [*lines, *position.history]),
    )
    adapter_file = folder / "adapter" / "adapter_model.safetensors"
    write_json(
        folder / MANIFEST,
        {
            "molt": molt.number,
            "molting": __version__,
            "fingerprint": key,
            "corpus": corpus.id,
            "base": {
                "name": source.name,
                "weights": source.weights,
                "origin": source.origin,
                "revision": source.revision,
            },
            "dtype": dtype,
            "method": config.train.method,
            "adapter": file_hash(adapter_file),
            "train": {
                "trainable_parameters": trainable,
                "total_parameters": total,
                "epochs_run": outcome.epochs_run,
                "best_epoch": position.best_epoch,
                "steps": position.step,
                "tokens": position.tokens,
                "seconds": round(position.seconds, 3),
                "tokens_per_second": round(position.tokens / max(position.seconds, 1e-9), 2),
                "stopped_by": outcome.stopped_by,
                "history": list(position.history),
            },
        },
    )
    project.finish_molt(molt.number)
    drop_checkpoint(folder)
    del base, model, outcome
    release_memory()
    return molt


def evaluated(project: Project, molt: Molt, corpus: Corpus, progress: Progress) -> dict[str, Any]:
    """Stage 5: the molt's evaluation, made now or found; replies are remembered."""
    config = project.config
    folder = project.molt_folder(molt.number)
    sweep_temporary(folder)
    manifest = project.manifest(molt.number) or {}
    key = fingerprint(
        "evaluation", 1, config.evaluate, config.persona, manifest["adapter"], corpus.id
    )
    path = folder / "evaluation.json"
    if path.exists():
        known = read_json(path)
        if known["key"] == key:
            progress.say(f"molt {molt.number}: already evaluated with this configuration")
            return dict(known["result"])

    from molting.evaluate.measure import evaluate
    from molting.evaluate.systems import Speaker
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.lora import load_adapter
    from molting.models.sources import find_model

    base_info = manifest["base"]
    source = find_model(base_info["name"], base_info["revision"], progress)
    if source.weights != base_info["weights"]:
        raise CheckFailed(
            f"base model {source.name!r} is not the one that molt {molt.number} was trained on; "
            "train again"
        )
    base = load_model(source, manifest["dtype"])
    model = load_adapter(base.model, folder / "adapter")
    with Memory(project.memory) as memory:
        speaker = Speaker(
            base, model, manifest["adapter"], config.persona.system_prompt(), memory, progress
        )
        begun = time.perf_counter()
        evaluation = evaluate(corpus, config, speaker, progress)
    result = evaluation.result | {"seconds": round(time.perf_counter() - begun, 1)}
    write_bytes(
        folder / "transcripts.jsonl",
        b"".join(msgspec.json.encode(item) + b"\n" for item in evaluation.transcripts),
    )
    write_json(path, {"key": key, "result": result})
    return result


@contextlib.contextmanager
def _tensors_stored(folder: Path) -> Iterator[None]:
    """Safetensors tells a full disk in an error of its own, with the system's number in the text."""
    from safetensors import SafetensorError

    with storage_errors(folder):
        try:
            yield
        except SafetensorError as error:
            number = re.search(r"os error (\d+)", str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error)) from None


def molt_fingerprint(corpus: Corpus, config: Config, weights: str) -> str:
    """Equal when and only when training would be the same run."""
    return fingerprint("molt", 1, corpus.id, weights, config.base.dtype, config.train)


def molt_corpus(project: Project, molt: Molt) -> Corpus:
    return load_corpus(project.corpora / molt.corpus.replace(":", "-"))
