"""Declared here: the subcommands on rows and corpora, and the one that does everything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from molting.cli.app import (
    HERE,
    Folder,
    Json,
    Settings,
    app,
    corpus_app,
)


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    name: Annotated[str, typer.Option("--name", help="The persona's name.")] = "",
    target: Annotated[
        int | None, typer.Option("--target", help="How many rows to train on.")
    ] = None,
    files: Annotated[
        list[Path] | None, typer.Option("--from", metavar="FILE", help="Chat file(s) to copy in.")
    ] = None,
    example: Annotated[str, typer.Option("--example", help="Start from a shipped example.")] = "",
    as_json: Json = False,
) -> None:
    """Make a project: the persona's name, how many rows to keep, where they come from."""
    from molting.cli.new import new_project

    new_project(folder, name, target, files or [], example, as_json)


@app.command("import")
def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…", help="Chat exports (files, folders, .zip), or a Hub data set's id."
        ),
    ],
    name: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Which speaker is the persona.")
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="OUT.jsonl", help="Where to write (default: NAME.jsonl)."),
    ] = None,
    pause: Annotated[
        float | None,
        typer.Option("--pause", metavar="HOURS", help="A longer pause begins a new conversation."),
    ] = None,
    turns: Annotated[
        int | None, typer.Option("--turns", metavar="N", help="Most turns of a conversation.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn chat exports into rows: WhatsApp, Telegram, Discord, Slack, scripts, character cards."""
    from molting.cli.import_chats import run_import

    run_import(files, name, to, pause, turns, as_json)


@app.command()
def run(
    folder: Folder = HERE,
    settings: Settings = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Train although `molting check` found errors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Do everything: curate, check, train, evaluate, report. Resumes where it stopped."""
    from molting.cli.stages import run_all

    run_all(folder, settings or [], anyway, as_json)


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR|FILE…]", help="A project, or chat files.")
    ] = None,
    settings: Settings = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Print a row with its trained tokens in colour.")
    ] = False,
    row: Annotated[int, typer.Option("--row", help="Which row to preview, from 1.")] = 1,
    model: Annotated[str, typer.Option("--model", help="Base model, when files are given.")] = "",
    as_json: Json = False,
) -> None:
    """Find what would go wrong, before training; estimate time and memory."""
    from molting.cli.check import run_check

    run_check(paths or [HERE], settings or [], preview, row, model, as_json)


@app.command()
def duplicates(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR|FILE…]", help="A project, or chat files.")
    ] = None,
    level: Annotated[
        Literal["conversation", "turn", "reply"],
        typer.Option("--level", help="What is compared: whole chats, single turns, or replies."),
    ] = "reply",
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", min=0.05, max=1, help="Jaccard similarity; with --pairs: probability."
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="FILE", help="Look across sets: held-out chat file(s)."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="FILE.tsv", help="Score these text pairs instead."),
    ] = None,
    semantic: Annotated[
        bool, typer.Option("--semantic", help="Also what says the same in other words.")
    ] = False,
    probability: Annotated[
        float | None,
        typer.Option(
            "--semantic-threshold", min=0.5, max=1, help="Probability of saying the same (0.8)."
        ),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            help="For --semantic and --pairs: minilm, static, trainee, folder or Hub id.",
        ),
    ] = "",
    kinds: Annotated[
        bool | None,
        typer.Option("--kinds/--no-kinds", help="Duplicates that only chats have, by name."),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option("--engine", help="All cores here, or a Ray cluster.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads (default: one a core).")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Groups shown, largest first; --json has all.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """List duplicates in groups: which row stands for each and why, every pair and its score."""
    from molting.cli.pairs import refuse_alone, run_pairs

    refuse_alone(pairs, semantic, encoder, probability)
    if pairs is not None:
        run_pairs(pairs, encoder, threshold, as_json, paths[0] if paths else HERE)
        return
    from molting.cli.duplicates import Options, run_duplicates

    run_duplicates(
        paths or [HERE],
        Options(
            threshold, level, against or [], semantic, encoder, probability, kinds, engine,
            workers, limit, as_json,
        ),
    )  # fmt: skip


@app.command()
def signals(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR|FILE…]", help="A project, or chat files.")
    ] = None,
    settings: Settings = None,
    perplexity: Annotated[
        bool,
        typer.Option("--perplexity", help="Score every reply under the base model (IFD too)."),
    ] = False,
    every_row: Annotated[bool, typer.Option("--rows", help="One line for every row.")] = False,
    model: Annotated[str, typer.Option("--model", help="Base model, when files are given.")] = "",
    as_json: Json = False,
) -> None:
    """Describe every row: length, language, leftovers, secrets, toxicity, novelty, voice."""
    from molting.cli.signals import run_signals

    run_signals(paths or [HERE], settings or [], perplexity, every_row, model, as_json)


@app.command()
def curate(
    folder: Folder = HERE,
    target: Annotated[
        int | None, typer.Option("--target", help="How many rows to train on.")
    ] = None,
    selector: Annotated[
        str, typer.Option("--selector", help="quality, facility, random or longest.")
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say of rows why they were taken or left out.")
    ] = False,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Make a corpus: why each row stayed or went."""
    from molting.cli.stages import run_curate

    chosen = [f"curate.target={target}"] if target is not None else []
    chosen += [f'curate.selector="{selector}"'] if selector else []
    run_curate(folder, [*(settings or []), *chosen], explain, as_json)


@app.command()
def review(
    folder: Folder = HERE,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="How many rows the queue has.")
    ] = None,
    reviewer: Annotated[str | None, typer.Option("--reviewer", help="Who decides.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask about decided rows too.")] = False,
    decide: Annotated[
        tuple[str, str] | None,
        typer.Option("--decide", metavar="ID keep|reject|note|undo", help="Decide about one row."),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="A note for --decide.")] = "",
    listing: Annotated[bool, typer.Option("--list", help="List what was decided.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Is the journal whole and unchanged?")
    ] = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="A B", help="Do two reviewers agree? (Cohen's kappa)"),
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Decide about the rows in doubt: keep, reject, edit, note, undo."""
    from molting.cli.review import Options, run_review

    run_review(
        folder,
        settings or [],
        Options(count, reviewer, again, decide, note, listing, verify, compare, as_json),
    )


@corpus_app.command("log")
def corpus_log(folder: Folder = HERE, as_json: Json = False) -> None:
    """List the versions, newest first, and what each one's recipe changed."""
    from molting.cli.corpus import run_log

    run_log(folder, as_json)


@corpus_app.command("diff")
def corpus_diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A version: v1, or an id.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another version.")],
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """Show row by row what changed between two versions."""
    from molting.cli.corpus import run_diff

    run_diff(one, other, folder, as_json)


@corpus_app.command("show")
def corpus_show(
    version: Annotated[str, typer.Argument(metavar="ID", help="A version: v1, or an id.")],
    folder: Folder = HERE,
    row: Annotated[int | None, typer.Option("--row", help="Show one row, from 1.")] = None,
    as_json: Json = False,
) -> None:
    """Show a version, or one of its rows."""
    from molting.cli.corpus import run_show

    run_show(version, folder, row, as_json)


@corpus_app.command("export")
def corpus_export(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write.")],
    kind: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="messages, sharegpt, alpaca or parquet."),
    ],
    folder: Folder = HERE,
    split: Annotated[
        str, typer.Option("--split", help="train, validation, test, or all kept rows.")
    ] = "train",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Write the corpus for another trainer: TRL, Axolotl, LLaMA-Factory, Unsloth."""
    from molting.cli.export_corpus import run_export

    run_export(folder, to, kind, split, settings or [], as_json)
