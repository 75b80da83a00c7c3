"""Stages 1 and 2: the chat rows that came, and the corpus that is made of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from molting.core.artifacts import MANIFEST, sweep_temporary
from molting.core.conversation import Conversation
from molting.core.corpus import Corpus, load_corpus, save_corpus, versions
from molting.core.errors import ConfigError, ModelNotFound
from molting.core.journal import Journal
from molting.core.progress import Progress
from molting.core.project import CONFIG_FILE, Project
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
        with semantic_finder(project, progress) as finder:
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
    with semantic_finder(project, progress) as finder:
        return curate(rows, held_out, project.config, finder=finder)


@contextlib.contextmanager
def semantic_finder(project: Project, progress: Progress) -> Iterator[SemanticFinder | None]:
    """What curation finds semantic duplicates with; None where it is not to look, or cannot.

    The static encoder searches and minilm judges; beside the fake model the fake does both.
    """
    from molting.memory.embeddings import Remembered
    from molting.memory.store import project_memory
    from molting.models.catalogue import FAKE
    from molting.models.encoders import load_encoder
    from molting.models.minilm import find_minilm
    from molting.models.vectors import Encoder

    config = project.config
    if config.curate.semantic == "off":
        yield None
        return
    if config.base.model == FAKE:
        yield SemanticFinder(load_encoder("fake"))
        return
    try:
        find_minilm(progress)
        search = load_encoder("static", progress=progress)
    except ModelNotFound as error:
        if config.curate.semantic == "reject":
            raise
        progress.say(f"  semantic duplicates are not looked for: {error}")
        yield None
        return
    with contextlib.ExitStack() as opened:

        def judge() -> Encoder:
            memory = opened.enter_context(project_memory(project))
            return Remembered(load_encoder("minilm", progress=progress), memory)

        yield SemanticFinder(search, judge, "minilm")


def decided(project: Project) -> dict[str, Ruling]:
    """What reviewers say of rows, by content id; a damaged journal is an error, never ignored."""
    return rulings(Journal(project).decisions())
