"""The main job as a list of stages, read top to bottom. Each one finds its result or makes it.

read → curate → check → train → evaluate → report
"""

from __future__ import annotations

import contextlib
import errno
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
from molting.core.conversation import Conversation, Turn
from molting.core.corpus import Corpus, load_corpus, save_corpus, versions
from molting.core.errors import CheckFailed, ConfigError, ModelNotFound
from molting.core.journal import Journal
from molting.core.progress import Progress, Silent
from molting.core.project import CONFIG_FILE, Molt, Project
from molting.core.recipe import recipe
from molting.core.rulings import Ruling, rulings
from molting.core.schedule import peak_rate
from molting.curate.formats import ReadFile, read_file
from molting.curate.pipeline import corpus_id, curate
from molting.curate.semantic import SemanticFinder

if TYPE_CHECKING:
    from molting.evaluate.systems import Speaker
    from molting.memory.boundaries import Boundaries
    from molting.models.sources import ModelSource
    from molting.train.devices import World
    from molting.train.watching import Watcher


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
    from molting.models.sources import find_model, model_width
    from molting.train.checkpoint import drop_checkpoint
    from molting.train.devices import surroundings

    config = project.config
    source = find_model(config.base.model, config.base.revision, progress)
    if config.train.method == "qlora":
        from molting.models.quantize import require_bitsandbytes

        require_bitsandbytes()
    key = molt_fingerprint(corpus, config, source.weights, model_width(source))
    molt = project.claim_molt(key, corpus.id)
    folder = project.molt_folder(molt.number)
    world = surroundings()
    if (folder / MANIFEST).exists():
        progress.say(f"molt {molt.number}: already trained with this corpus and configuration")
        if molt.finished is None:
            # Killed between the manifest and this.
            project.finish_molt(molt.number)
            drop_checkpoint(folder)
        world.agreed(None)
    else:
        world.agreed(molt)
        _grow(project, molt, corpus, source, world, progress, interrupted)
        project.finish_molt(molt.number)
        drop_checkpoint(folder)
    world.close()
    return molt


def assisted(project: Project, interrupted: Callable[[], bool] = lambda: False) -> None:
    """What every other process of a group does (`accelerate launch`): its share of the training.

    It writes nothing; the first process says which molt it is, once it has come to that.
    """
    from molting.models.sources import find_model
    from molting.train.devices import surroundings

    world = surroundings()
    molt: Molt | None = world.agreed(None)
    if molt is not None:
        source = find_model(project.config.base.model, project.config.base.revision)
        corpus = molt_corpus(project, molt)
        _grow(project, molt, corpus, source, world, Silent(), interrupted)
    world.close()


def _grow(
    project: Project,
    molt: Molt,
    corpus: Corpus,
    source: ModelSource,
    world: World,
    progress: Progress,
    interrupted: Callable[[], bool],
) -> None:
    """Train; the first process of the world writes what comes of it, the manifest last."""
    from molting.memory.store import Memory
    from molting.models.allocator import release_memory
    from molting.models.base import load_model
    from molting.models.lora import attach_lora, count_parameters, hub_name, save_adapter
    from molting.models.render import Renderer
    from molting.models.sources import model_width
    from molting.train.loop import Diverged, train
    from molting.train.material import prepare
    from molting.train.watching import MetricsFile, trackers

    config = project.config
    folder = project.molt_folder(molt.number)
    rate = peak_rate(config.train, model_width(source))
    watchers: list[Watcher] = []
    if world.first:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        sweep_temporary(folder)
        settings = recipe(config.train, model_width(source))
        name = f"{project.root.resolve().name}-molt-{molt.number}"
        watchers = [
            MetricsFile(folder / "metrics.jsonl"),
            *trackers(config.train.trackers, folder, name, settings),
        ]
    dtype = world.agreed(_begun(folder, config) if world.first else "")

    progress.say(f"molt {molt.number}: {source.name} in {dtype}, from {source.origin}")
    base = load_model(source, dtype, four_bit=config.train.method == "qlora")
    renderer = Renderer(base.tokenizer)
    if not world.first:
        # Until the first has asked the base for its replies; they are remembered then.
        world.agreed(None)
    with Memory(project.memory, config.memory.budget_gib) as memory:
        material = prepare(base, renderer, corpus, config.train, memory, progress)
        evaluators = _evaluators(base, corpus, config, memory, progress)
    if world.first:
        world.agreed(None)
    model = attach_lora(base.model, config.train, hub_name(source.name), config.train.seed)
    trainable, total = count_parameters(model)
    progress.say(
        f"LoRA r={config.train.rank}: {trainable:,} of {total:,} parameters are trained on "
        f"{len(material.rows)} rows, "
        f"{sum(r.trained_tokens for r in material.rows):,} reply tokens"
    )
    world.prepare(model)
    progress.say(f"learning rate {rate.value:g}, {rate.reason}")
    with _tensors_stored(folder), _remembering(project, base, model, progress) as boundaries:
        try:
            outcome = train(
                model,
                material.rows,
                material.validation,
                msgspec.structs.replace(config.train, learning_rate=rate.value),
                base.tokenizer.pad_token_id or 0,
                folder,
                progress,
                interrupted,
                boundaries,
                pairs=material.pairs,
                held_out_pairs=material.held_out_pairs,
                evaluators=evaluators,
                watchers=watchers,
                world=world,
            )
        except Diverged as error:
            # Beside the molt, which is not finished and so is none.
            if world.first:
                save_adapter(
                    model.peft_config["default"], error.outcome.state, folder / "last_good"
                )
            raise
        if not world.first:
            return
        save_adapter(model.peft_config["default"], outcome.state, folder / "adapter")
    position = outcome.position
    adapter_file = folder / "adapter" / "adapter_model.safetensors"
    write_json(
        folder / MANIFEST,
        {
            "molt": molt.number,
            "molting": __version__,
            "fingerprint": molt.fingerprint,
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
                "learning_rate": rate.value,
                "epochs_run": outcome.epochs_run,
                "best_epoch": position.best_epoch,
                "steps": position.step,
                "tokens": position.tokens,
                "seconds": round(position.seconds, 3),
                "tokens_per_second": round(position.tokens / max(position.seconds, 1e-9), 2),
                "stopped_by": outcome.stopped_by,
                "mode": config.train.mode,
                "below": boundaries.told() if boundaries else None,
                **material.facts,
                "history": list(position.history),
            },
        },
    )
    del base, model, outcome
    release_memory()


def _begun(folder: Path, config: Config) -> str:
    """The dtype: a resumed run keeps the first one's, or it would not be the same run."""
    from molting.models.machine import choose_dtype

    write_json(folder / "config.json", msgspec.to_builtins(config))
    path = folder / "started.json"
    if not path.exists():
        write_json(path, {"dtype": choose_dtype(config.base.dtype), "at": time.time()})
    return str(read_json(path)["dtype"])


def _evaluators(
    base: Any, corpus: Corpus, config: Config, memory: Any, progress: Progress
) -> list[Callable[[Any], dict[str, Any]]]:
    """What training asks the model at each evaluation, besides the validation loss."""
    prompts = min(config.train.voice_prompts, len(corpus.split("validation")))
    if not prompts:
        return []
    from molting.evaluate.quick import VoiceCheck

    return [VoiceCheck(base, corpus, prompts, config.train.seed, memory, progress)]


def evaluated(project: Project, molt: Molt, corpus: Corpus, progress: Progress) -> dict[str, Any]:
    """Stage 5: the molt's evaluation, made now or found; replies are remembered."""
    from molting.evaluate.items import read_asked

    config = project.config
    folder = project.molt_folder(molt.number)
    sweep_temporary(folder)
    manifest = project.manifest(molt.number) or {}
    # What these files hold is asked, so it belongs to the key; bad ones are told before any work.
    asked = read_asked(project.root, config.evaluate)
    key = fingerprint(
        "evaluation", 3, config.evaluate, config.persona, manifest["adapter"], corpus.id, asked.key
    )
    path = folder / "evaluation.json"
    if path.exists():
        known = read_json(path)
        if known["key"] == key:
            progress.say(f"molt {molt.number}: already evaluated with this configuration")
            return dict(known["result"])

    from molting.evaluate.measure import evaluate

    with speaking(project, molt, progress) as speaker:
        begun = time.perf_counter()
        evaluation = evaluate(corpus, config, speaker, progress, asked)
    result = evaluation.result | {"seconds": round(time.perf_counter() - begun, 1)}
    write_bytes(
        folder / "transcripts.jsonl",
        b"".join(msgspec.json.encode(item) + b"\n" for item in evaluation.transcripts),
    )
    write_json(path, {"key": key, "result": result})
    return result


def scored_replies(
    project: Project, file: Path, base_file: Path | None, progress: Progress
) -> dict[str, Any]:
    """Replies made elsewhere, scored as a molt's are; the project need not be trained.

    The corpus is made when there is none yet. Base replies come from `base_file`, or from the base
    model, which is loaded for them and remembers them.
    """
    from molting.evaluate.outside import evaluate_replies, given_base, read_replies, voice_prompts

    config = project.config
    given = read_replies(file)
    prompts = voice_prompts(given, config)
    base = None if base_file is None else given_base(base_file, prompts)
    corpus = curated(project, read_inputs(project, progress), progress)
    begun = time.perf_counter()
    with contextlib.ExitStack() as stack:
        answered = base or stack.enter_context(_base_answers(project, progress))
        result = evaluate_replies(corpus, config, given, answered)
    return result | {"seconds": round(time.perf_counter() - begun, 1)}


@contextlib.contextmanager
def _base_answers(
    project: Project, progress: Progress
) -> Iterator[Callable[[Sequence[str], int], list[tuple[str, bool | None]]]]:
    """The untouched base model as a function from prompts and a length to replies, remembered."""
    from molting.evaluate.systems import Speaker
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.generate import Ended, Sampling
    from molting.models.machine import choose_dtype
    from molting.models.sources import find_model

    config, options = project.config, project.config.evaluate
    source = find_model(config.base.model, config.base.revision, progress)
    base = load_model(source, choose_dtype(config.base.dtype))
    with Memory(project.memory) as memory:
        speaker = Speaker(base, base.model, "", config.persona.system_prompt(), memory, progress)

        def answer(prompts: Sequence[str], most: int) -> list[tuple[str, bool | None]]:
            sampling = Sampling(most, options.temperature, options.top_p, options.seed)
            contexts = [(Turn("user", prompt),) for prompt in prompts]
            replies = speaker.answer("base", contexts, sampling, 0, "base replies")
            return [(reply.text, reply.ended == Ended.stop) for reply in replies]

        yield answer


@contextlib.contextmanager
def _remembering(
    project: Project, base: Any, model: Any, progress: Progress
) -> Iterator[Boundaries | None]:
    """In fast mode, what the layers below the adapted ones give; else None."""
    from molting.memory.boundaries import Boundaries
    from molting.memory.store import Memory
    from molting.models.tuner import lowest_adapted, tunable

    config = project.config
    if config.train.mode != "fast":
        yield None
    elif not tunable(model) or not lowest_adapted(model):
        progress.say("fast mode: nothing to remember for this architecture or these settings")
        yield None
    else:
        with Memory(project.memory, config.memory.budget_gib) as memory:
            boundaries = Boundaries(memory, base, model)
            progress.say(f"fast mode: layers below {boundaries.boundary} are remembered")
            yield boundaries
            progress.say(
                f"  {boundaries.remembered} parts of rows remembered, {boundaries.computed} computed "
                f"({boundaries.passes} forward passes of lower layers)"
            )


def questioned(
    project: Project, molt: Molt, items: Path | None, progress: Progress
) -> dict[str, Any]:
    """The molt's answers to a questionnaire, asked now or found: questionnaire.json."""
    from molting.evaluate.questionnaire import questionnaire, read_statements

    statements = read_statements(items)
    options = project.config.evaluate
    manifest = project.manifest(molt.number) or {}
    key = fingerprint(
        "questionnaire", 1, statements, project.config.persona, manifest["adapter"],
        options.resamples, options.seed,
    )  # fmt: skip
    path = project.molt_folder(molt.number) / "questionnaire.json"
    if path.exists():
        known = read_json(path)
        if known["key"] == key:
            return dict(known["result"])
    with speaking(project, molt, progress) as speaker:
        result = questionnaire(statements, speaker, options)
    write_json(path, {"key": key, "result": result})
    return result


@contextlib.contextmanager
def speaking(project: Project, molt: Molt, progress: Progress) -> Iterator[Speaker]:
    """The four systems of a molt, ready to answer, with the project's memory."""
    from molting.evaluate.systems import Speaker
    from molting.memory.store import Memory
    from molting.models.base import load_model
    from molting.models.lora import load_adapter
    from molting.models.sources import find_model

    manifest = project.manifest(molt.number) or {}
    base_info = manifest["base"]
    source = find_model(base_info["name"], base_info["revision"], progress)
    if source.weights != base_info["weights"]:
        raise CheckFailed(
            f"base model {source.name!r} is not the one that molt {molt.number} was trained on; "
            "train again"
        )
    base = load_model(source, manifest["dtype"])
    model = load_adapter(base.model, project.molt_folder(molt.number) / "adapter")
    prompt = project.config.persona.system_prompt()
    with Memory(project.memory, project.config.memory.budget_gib) as memory:
        yield Speaker(base, model, manifest["adapter"], prompt, memory, progress)


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


def molt_fingerprint(corpus: Corpus, config: Config, weights: str, width: int) -> str:
    """Equal when and only when training would be the same run; `width` is the base model's."""
    settings = recipe(config.train, width)
    return fingerprint("molt", 1, corpus.id, weights, config.base.dtype, settings)


def molt_corpus(project: Project, molt: Molt) -> Corpus:
    return load_corpus(project.corpora / molt.corpus.replace(":", "-"))
