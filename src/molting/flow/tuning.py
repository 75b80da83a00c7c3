"""Stage 4: the molt of a corpus, trained now, resumed or found."""

from __future__ import annotations

import contextlib
import errno
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from molting import __version__
from molting.core.artifacts import (
    MANIFEST,
    file_hash,
    read_json,
    storage_errors,
    sweep_temporary,
    write_json,
)
from molting.core.config import Config, fingerprint
from molting.core.corpus import Corpus, load_corpus
from molting.core.progress import Progress, Silent
from molting.core.project import Molt, Project
from molting.core.recipe import recipe
from molting.core.schedule import peak_rate

if TYPE_CHECKING:
    from molting.memory.boundaries import Boundaries
    from molting.models.sources import ModelSource
    from molting.train.depth import Depths
    from molting.train.devices import World
    from molting.train.watching import Watcher


def trained(
    project: Project,
    corpus: Corpus,
    progress: Progress,
    interrupted: Callable[[], bool] = lambda: False,
) -> Molt:
    """Stage 4: the molt of this corpus and configuration, trained now, resumed or found."""
    from molting.models.sources import find_model, model_size
    from molting.train.checkpoint import drop_checkpoint
    from molting.train.devices import surroundings

    config = project.config
    source = find_model(config.base.model, config.base.revision, progress)
    if config.train.method == "qlora":
        from molting.models.quantize import require_bitsandbytes

        require_bitsandbytes()
    key = molt_fingerprint(corpus, config, source.weights, *model_size(source))
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
    from molting.memory.store import project_memory
    from molting.models.allocator import release_memory
    from molting.models.base import load_model
    from molting.models.lora import attach_lora, count_parameters, hub_name, save_adapter
    from molting.models.render import Renderer
    from molting.models.sources import model_size
    from molting.train.gap import gap_to_exact
    from molting.train.loop import Diverged, train
    from molting.train.material import prepare
    from molting.train.watching import MetricsFile, trackers

    # What curation took is free for training.
    release_memory()
    config = project.config
    folder = project.molt_folder(molt.number)
    rate = peak_rate(config.train, *model_size(source))
    watchers: list[Watcher] = []
    if world.first:
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        sweep_temporary(folder)
        settings = recipe(config.train, *model_size(source))
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
    with project_memory(project) as memory:
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
    if boundaries:
        gap = gap_to_exact(project, molt.number)
        told = gap or "not measured; `molting study layers` measures it"
        progress.say(f"quality gap of fast mode to exact mode: {told}")
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


@contextlib.contextmanager
def _remembering(
    project: Project, base: Any, model: Any, progress: Progress
) -> Iterator[Boundaries | None]:
    """In fast mode, what the layers below the adapted ones give; else None."""
    from molting.memory.boundaries import Boundaries
    from molting.memory.store import project_memory
    from molting.models.tuner import lowest_adapted, tunable

    config = project.config
    if config.train.mode != "fast":
        yield None
    elif not tunable(model) or not lowest_adapted(model):
        progress.say("fast mode: nothing to remember for this architecture or these settings")
        yield None
    else:
        with project_memory(project) as memory:
            boundaries = Boundaries(memory, base, model)
            progress.say(f"fast mode: layers below {boundaries.boundary} are remembered")
            yield boundaries
            progress.say(
                f"  {boundaries.remembered} parts of rows remembered, {boundaries.computed} computed "
                f"({boundaries.passes} forward passes of lower layers)"
            )


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


def measured_depths(
    project: Project, corpus: Corpus, depths: Sequence[int], progress: Progress
) -> Depths:
    """How many top layers fast mode should adapt: one epoch at each number, kept for the report."""
    from molting.memory.store import project_memory
    from molting.models.base import load_model
    from molting.models.machine import choose_dtype
    from molting.models.render import Renderer
    from molting.models.sources import find_model
    from molting.train.depth import measure_depths, study_key, usual_depths
    from molting.train.material import prepare

    config = project.config
    source = find_model(config.base.model, config.base.revision, progress)
    base = load_model(source, choose_dtype(config.base.dtype))
    with project_memory(project) as memory:
        renderer = Renderer(base.tokenizer)
        material = prepare(base, renderer, corpus, config.train, memory, progress)
        found = measure_depths(
            base,
            material.rows,
            material.validation,
            config.train,
            depths or usual_depths(int(base.model.config.num_hidden_layers)),
            memory,
            progress,
        )
    write_json(
        project.study_file("depths", study_key(corpus.id, source.weights, config.train)),
        msgspec.to_builtins(found),
    )
    return found


def molt_fingerprint(
    corpus: Corpus, config: Config, weights: str, width: int, layers: int = 0
) -> str:
    """Equal when and only when training would be the same run; width and layers are the base's."""
    settings = recipe(config.train, width, layers)
    return fingerprint("molt", 1, corpus.id, weights, config.base.dtype, settings)


def molt_corpus(project: Project, molt: Molt) -> Corpus:
    return load_corpus(project.corpora / molt.corpus.replace(":", "-"))
