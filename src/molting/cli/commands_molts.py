"""Declared here: the subcommands that train, measure and use a molt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molting.cli.app import (
    HERE,
    Folder,
    Json,
    MoltNumber,
    Settings,
    app,
    memory_app,
    study_app,
)


@app.command()
def train(
    folder: Folder = HERE,
    settings: Settings = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Train although `molting check` found errors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a molt (resumes an unfinished one)."""
    from molting.cli.stages import run_train

    run_train(folder, settings or [], anyway, as_json)


@app.command()
def evaluate(
    folder: Folder = HERE,
    number: MoltNumber = None,
    replies: Annotated[
        Path | None,
        typer.Option("--replies", metavar="FILE", help="Score these rows (prompt, reply) instead."),
    ] = None,
    base_replies: Annotated[
        Path | None,
        typer.Option("--base-replies", metavar="FILE", help="With --replies: the base's answers."),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--write-prompts", metavar="FILE", help="Write what to ask another model."),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind-ab", help="People compare its replies; `blind-ab` has more.")
    ] = False,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Measure a molt, or replies made elsewhere: the personality score, against the base."""
    if blind:
        from molting.cli.blind import Options, refuse_other_replies, run_blind

        refuse_other_replies(replies, base_replies, prompts)
        run_blind(folder, number, Options(as_json=as_json), settings or [])
        return
    from molting.cli.evaluate import run_evaluate

    run_evaluate(folder, number, replies, base_replies, prompts, settings or [], as_json)


@app.command()
def judge(
    folder: Folder = HERE,
    number: MoltNumber = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="API: an OpenAI-compatible base URL, or Anthropic's."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model's name there.")] = None,
    provider: Annotated[
        str | None,
        typer.Option("--provider", help="openai or anthropic (default: by the address)."),
    ] = None,
    key_env: Annotated[
        str | None, typer.Option("--key-env", help="Environment variable that holds the key.")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option("--prompts", min=1, help="How many held-out prompts are judged.")
    ] = None,
    fake: Annotated[
        str, typer.Option("--fake", help="A judge without a model: fair or sycophant.")
    ] = "",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Let a language model compare replies, blind; test it with known-bad ones first."""
    from molting.cli.judge import Which, run_judge

    which = Which(url, model, provider, key_env, prompts, fake)
    run_judge(folder, number, which, settings or [], as_json)


@app.command("blind-ab")
def blind_ab(
    folder: Folder = HERE,
    number: MoltNumber = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE.html", help="Write the sheet as a page.")
    ] = None,
    votes: Annotated[
        list[Path] | None, typer.Option("--votes", metavar="FILE", help="Take saved votes in.")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Only say how it stands.")] = False,
    voter: Annotated[str, typer.Option("--voter", help="Who votes in the terminal.")] = "voter",
    prompts: Annotated[
        int | None, typer.Option("--prompts", min=1, help="How many prompts a new sheet has.")
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Let people compare the tune with base and prompt, not knowing which is which."""
    from molting.cli.blind import Options, run_blind

    options = Options(page, votes or [], report, voter, prompts, as_json)
    run_blind(folder, number, options, settings or [])


@app.command()
def questionnaire(
    folder: Folder = HERE,
    number: MoltNumber = None,
    items: Annotated[
        Path | None,
        typer.Option("--items", metavar="FILE.json", help="Other items than the IPIP-NEO-120."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a molt describe itself (IPIP-NEO-120): a description, no part of the score."""
    from molting.cli.questionnaire import run_questionnaire

    run_questionnaire(folder, number, items, as_json)


@app.command()
def show(folder: Folder = HERE, number: MoltNumber = None, as_json: Json = False) -> None:
    """Show everything measured about a molt."""
    from molting.cli.show import run_show

    run_show(folder, number, as_json)


@app.command()
def chat(
    folder: Folder = HERE,
    number: MoltNumber = None,
    base: Annotated[bool, typer.Option("--base", help="Start with the untouched model.")] = False,
    system: Annotated[str, typer.Option("--system", help="System prompt to start with.")] = "",
) -> None:
    """Talk to a molt; /base and /tuned switch, /help lists the rest."""
    from molting.cli.chat import run_chat

    run_chat(folder, number, base, system)


@study_app.command("layers")
def study_layers(
    folder: Folder = HERE,
    depths: Annotated[
        list[int] | None,
        typer.Option("--top", metavar="K", min=1, help="A number of top layers to try (repeat)."),
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Train one epoch with some top layers and with all: what fast mode costs and saves."""
    from molting.cli.study import run_layers

    run_layers(folder, depths or [], settings or [], as_json)


@memory_app.command("stats")
def memory_stats(folder: Folder = HERE, as_json: Json = False) -> None:
    """Show what is remembered: entries, bytes, hits and misses by kind."""
    from molting.cli.memory import run_stats

    run_stats(folder, as_json)


@memory_app.command("verify")
def memory_verify(folder: Folder = HERE, as_json: Json = False) -> None:
    """Check every entry against its checksum; damaged ones are dropped (exit code 1)."""
    from molting.cli.memory import run_verify

    run_verify(folder, as_json)


@memory_app.command("clear")
def memory_clear(folder: Folder = HERE, as_json: Json = False) -> None:
    """Forget everything and say what was removed; it is computed again when needed."""
    from molting.cli.memory import run_clear

    run_clear(folder, as_json)
