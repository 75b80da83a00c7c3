"""`molting check`: findings before training, an estimate, and a preview of what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from molting.cli.console import Terminal, out, print_json
from molting.cli.inputs import project_of, rows_of
from molting.cli.settings import apply_settings
from molting.core.config import Config, require_name
from molting.core.conversation import Conversation
from molting.core.corpus import Corpus
from molting.core.errors import CheckFailed, UsageError
from molting.core.progress import Progress
from molting.core.project import Project
from molting.curate.estimate import Estimate, estimate
from molting.curate.findings import Finding, merge, soften
from molting.curate.preflight import inspect
from molting.curate.reviewed import kept_by_person

_SHOWN_ROWS = 6


def run_check(
    paths: Sequence[Path],
    settings: Sequence[str],
    preview: bool,
    row: int,
    model: str,
    as_json: bool,
) -> None:
    """Exit code 1 when an error is left that curation does not remove."""
    import msgspec

    project = project_of(paths)
    too_few: str | None = None
    corpus: Corpus | None = None
    with Terminal() as terminal:
        if project:
            from molting.curate.pipeline import curate
            from molting.flow import decided, read_inputs

            config = apply_settings(project.config, settings)
            require_name(config)
            inputs = read_inputs(project, terminal)
            rows, held_out = inputs.conversations, inputs.held_out_conversations
            decisions = decided(project)
            try:
                corpus = curate(rows, held_out, config, decisions)
            except CheckFailed as error:
                too_few = str(error)
        else:
            rows, _ = rows_of(paths, terminal)
            config, held_out = apply_settings(Config(), settings), []
        if model:
            config = apply_settings(config, [f'base.model="{model}"'])
        renderer, shape = _renderer(config, terminal)
        training = list(corpus.split("train")) if corpus else rows
        if preview:
            _preview(training, row, renderer, config)
            return
        terminal.say("looking …")
        found = inspect(rows, held_out, config, renderer, shape["context"])
        if corpus:
            after = inspect(training, corpus.split("test"), config, renderer, shape["context"])
            found = merge(found, soften(after, kept_by_person(corpus)))
        expected = _estimate(training, corpus, config, renderer, shape)
    if too_few:
        found.insert(0, Finding("too_few_rows", "error", too_few, "add rows", (), 1))
    left = [finding for finding in found if finding.open]
    if as_json:
        print_json(
            {
                "rows": len(rows),
                "training_rows": len(training),
                "findings": [
                    msgspec.to_builtins(f) | {"count": len(f.rows) or 1, "open": f.open}
                    for f in found
                ],
                "open": len(left),
                "estimate": expected,
            }
        )
    else:
        _print(found, project is not None, len(rows), len(training), expected)
    if any(finding.severity == "error" for finding in left):
        raise CheckFailed(
            f"{sum(f.severity == 'error' for f in left)} kinds of error are left; see above"
        )


def look_at_training(
    project: Project, corpus: Corpus, progress: Progress
) -> tuple[list[Finding], Estimate]:
    """What `molting run` asks before it trains: findings in the rows to train on."""
    renderer, shape = _renderer(project.config, progress)
    training = corpus.split("train")
    found = inspect(training, corpus.split("test"), project.config, renderer, shape["context"])
    found = soften(found, kept_by_person(corpus))
    return found, _estimate(training, corpus, project.config, renderer, shape)


def _renderer(config: Config, progress: Progress) -> tuple[Any, dict[str, int]]:
    from molting.models.base import load_tokenizer
    from molting.models.lora import shape_of
    from molting.models.render import Renderer
    from molting.models.sources import find_model

    source = find_model(config.base.model, config.base.revision, progress)
    return Renderer(load_tokenizer(source)), shape_of(source, config.train)


def _estimate(
    training: Sequence[Conversation],
    corpus: Corpus | None,
    config: Config,
    renderer: Any,
    shape: dict[str, int],
) -> Estimate:
    from molting.core.errors import InputError
    from molting.models.machine import measure_machine

    def rendered(rows: Sequence[Conversation]) -> list[Any]:
        found = []
        for row in rows:
            try:
                found.append(renderer.row(row, min(config.train.max_tokens, shape["context"])))
            except InputError:
                continue  # a finding of its own
        return found

    validation = corpus.split("validation") if corpus else ()
    return estimate(rendered(training), rendered(validation), config, shape, measure_machine())


def _print(
    found: Sequence[Finding], project: bool, rows: int, training: int, expected: Estimate
) -> None:
    console = out()
    left = [finding for finding in found if finding.open]
    gone = [finding for finding in found if not finding.open]
    if gone:
        console.print("[bold]In the files as they came[/bold] (curation takes care of these)")
        for finding in gone:
            _print_finding(finding)
    title = f"In the {training} rows that would be trained on" if project else "Findings"
    console.print(f"[bold]{title}[/bold]")
    for finding in left:
        _print_finding(finding)
    if not left:
        console.print("  nothing found")
    speeds = ", ".join(f"{name} {value:,.0f} GFLOPS" for name, value in expected.gflops.items())
    available = (
        f" (free now: {expected.available_gib:.1f} GiB)"
        if expected.available_gib is not None
        else ""
    )
    console.print(
        f"[bold]Estimate[/bold] {expected.tokens_per_epoch:,} tokens an epoch, "
        f"{expected.trained_tokens_per_epoch:,} of them trained; up to "
        f"{max(expected.train_minutes, 0.1):.1f} min in {expected.dtype} ({speeds}); about "
        f"{expected.memory_gib:.1f} GiB of memory{available}"
    )


def _print_finding(finding: Finding) -> None:
    style = {"error": "red", "warning": "yellow", "note": "cyan"}[finding.severity]
    line = Text("  ")
    line.append(f"{finding.severity:7} ", style=style)
    line.append(f"{finding.code}  ", style="bold")
    line.append(finding.message)
    if finding.open and finding.rows and finding.remaining != len(finding.rows):
        line.append(f" ({finding.remaining} after curation)")
    line.append(f"\n          → {finding.remedy}", style="dim")
    if finding.rows:
        shown = ", ".join(finding.rows[:_SHOWN_ROWS])
        more = (
            f" and {len(finding.rows) - _SHOWN_ROWS} more"
            if len(finding.rows) > _SHOWN_ROWS
            else ""
        )
        line.append(f"\n          {shown}{more}", style="dim")
    out().print(line)


def _preview(rows: Sequence[Conversation], number: int, renderer: Any, config: Config) -> None:
    if not 1 <= number <= len(rows):
        raise UsageError(f"--row {number}: there are rows 1 to {len(rows)}")
    conversation = rows[number - 1]
    rendered = renderer.row(conversation, config.train.max_tokens)
    text = Text()
    for i, (left, right) in enumerate(rendered.offsets):
        piece = rendered.text[left:right].replace("\n", "⏎\n")
        style = (
            ("black on green" if i % 2 else "black on bright_green")
            if rendered.trained[i]
            else "dim"
        )
        text.append(piece, style=style)
    console = out()
    console.print(
        f"{conversation.source} · trained tokens are coloured", style="bold", markup=False
    )
    console.print(text)
    share = rendered.trained_tokens / max(len(rendered.ids), 1)
    stop = "trained" if rendered.stop_trained else "NOT trained"
    console.print(
        f"{len(rendered.ids)} tokens, {rendered.trained_tokens} trained ({share:.0%}); "
        f"the end-of-turn token is {stop}"
    )
    if not console.is_terminal:
        # Without colour, the trained text is said in words.
        said = "".join(
            rendered.text[left:right]
            for (left, right), trained in zip(rendered.offsets, rendered.trained, strict=True)
            if trained
        )
        console.print(f"trained: {said}", markup=False)
