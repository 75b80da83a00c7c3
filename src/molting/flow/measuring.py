"""Stage 5: what a molt, or replies made elsewhere, are worth."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from molting.core.artifacts import (
    read_json,
    sweep_temporary,
    write_bytes,
    write_json,
)
from molting.core.config import fingerprint
from molting.core.conversation import Turn
from molting.core.corpus import Corpus
from molting.core.errors import CheckFailed
from molting.core.progress import Progress
from molting.core.project import Molt, Project
from molting.flow.rows import curated, read_inputs

if TYPE_CHECKING:
    from molting.evaluate.systems import Speaker


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
        result = evaluate_replies(
            corpus, config, given, base or stack.enter_context(_base_answers(project, progress))
        )
    return result | {"seconds": round(time.perf_counter() - begun, 1)}


@contextlib.contextmanager
def _base_answers(
    project: Project, progress: Progress
) -> Iterator[Callable[[Sequence[str], int], list[tuple[str, bool | None]]]]:
    """The untouched base model as a function from prompts and a length to replies, remembered."""
    from molting.evaluate.systems import Speaker
    from molting.memory.store import project_memory
    from molting.models.base import load_model
    from molting.models.generate import Ended, Sampling
    from molting.models.machine import choose_dtype
    from molting.models.sources import find_model

    config, options = project.config, project.config.evaluate
    source = find_model(config.base.model, config.base.revision, progress)
    base = load_model(source, choose_dtype(config.base.dtype))
    with project_memory(project) as memory:
        speaker = Speaker(base, base.model, "", config.persona.system_prompt(), memory, progress)

        def answer(prompts: Sequence[str], most: int) -> list[tuple[str, bool | None]]:
            sampling = Sampling(most, options.temperature, options.top_p, options.seed)
            contexts = [(Turn("user", prompt),) for prompt in prompts]
            replies = speaker.answer("base", contexts, sampling, 0, "base replies")
            return [(reply.text, reply.ended == Ended.stop) for reply in replies]

        yield answer


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
    from molting.memory.store import project_memory
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
    with project_memory(project) as memory:
        yield Speaker(base, model, manifest["adapter"], prompt, memory, progress)
