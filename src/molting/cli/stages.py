"""`run`, `curate`, `train`, `evaluate` of a molt: stages of the flow, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from molting.cli.console import Terminal, interruptible, out, print_json
from molting.cli.settings import open_with
from molting.core.corpus import Corpus
from molting.core.errors import CheckFailed, Interrupted, MoltingError
from molting.core.launch import process_rank
from molting.core.progress import Progress
from molting.core.project import Molt, Project, project_lock
from molting.flow import assisted, curated, evaluated, molt_corpus, read_inputs, trained


def run_all(folder: Path, settings: Sequence[str], anyway: bool, as_json: bool) -> None:
    """Every stage, then the report."""
    project = open_with(folder, settings)
    if process_rank():
        _assist(project)
        return
    with Terminal() as terminal, project_lock(project):
        molt, corpus = _train(project, terminal, anyway)
        _evaluate(project, molt, corpus, terminal)
    _show(project, molt, as_json)


def run_curate(folder: Path, settings: Sequence[str], explained: bool, as_json: bool) -> None:
    """The corpus, and why each row stayed or went."""
    from molting.curate.filters import REASONS

    project = open_with(folder, settings)
    with Terminal() as terminal, project_lock(project):
        corpus = curated(project, read_inputs(project, terminal), terminal)
    summary = corpus.summary()
    if as_json:
        rows = [
            {
                "source": str(row.conversation.source),
                "id": row.conversation.id,
                "kept": row.verdict.kept,
                "split": row.split,
                "reason": row.verdict.reason,
                "evidence": row.verdict.evidence,
            }
            for row in corpus.rows
        ]
        extra = {}
        if explained:
            from molting.curate.explanation import explain

            extra["explanation"] = explain(corpus)
        print_json(summary | {"rows": rows} | extra)
        return
    table = Table("reason", "rows", "meaning", "for example", title=f"corpus {corpus.id[3:11]}")
    for name, count in summary["splits"].items():
        table.add_row(f"kept: {name}", str(count), "", "")
    for reason, count in summary["rejected"].items():
        first = next(r for r in corpus.rejected if r.verdict.reason == reason)
        table.add_row(reason, str(count), REASONS[reason], str(first.conversation.source))
    out().print(table)
    if explained:
        from molting.cli.explain import print_explanation

        print_explanation(corpus)
    out().print(
        f"{summary['rows_in']} rows in = {summary['kept']} kept + "
        f"{summary['rows_in'] - summary['kept']} rejected; every row's verdict: `molting curate --json`"
    )


def run_train(folder: Path, settings: Sequence[str], anyway: bool, as_json: bool) -> None:
    project = open_with(folder, settings)
    if process_rank():
        _assist(project)
        return
    with Terminal() as terminal, project_lock(project):
        molt, _ = _train(project, terminal, anyway)
    manifest: dict[str, Any] = project.manifest(molt.number) or {}
    adapter = project.shown(project.molt_folder(molt.number) / "adapter")
    if as_json:
        print_json({"molt": molt.number, "train": manifest["train"], "adapter": adapter})
        return
    train = manifest["train"]
    out().print(
        f"molt {molt.number}: {train['epochs_run']} epochs in {train['seconds'] / 60:.1f} minutes "
        f"({train['tokens_per_second']:.0f} tokens/s), best after epoch {train['best_epoch']}, "
        f"stopped by {train['stopped_by']}; adapter in {adapter}\n"
        f"next: molting evaluate {folder}"
    )


def evaluate_molt(folder: Path, number: int | None, settings: Sequence[str], as_json: bool) -> None:
    project = open_with(folder, settings)
    molt = project.molt(number)
    with Terminal() as terminal, project_lock(project):
        _evaluate(project, molt, molt_corpus(project, molt), terminal)
    _show(project, molt, as_json)


def _train(project: Project, terminal: Progress, anyway: bool) -> tuple[Molt, Corpus]:
    corpus = curated(project, read_inputs(project, terminal), terminal)
    _preflight(project, corpus, terminal, anyway)
    with interruptible() as interrupted:
        molt = trained(project, corpus, terminal, interrupted)
    if interrupted():
        # Asked for too late for training to notice, and not to be forgotten.
        raise Interrupted(f"interrupted; molt {molt.number} is trained, the same command goes on")
    return molt, corpus


def _assist(project: Project) -> None:
    """One of several processes, and not the first: it trains along and leaves the rest to that."""
    with interruptible() as interrupted:
        try:
            assisted(project, interrupted)
        except MoltingError as error:
            # The first process says it.
            raise SystemExit(error.exit_code) from None


def _preflight(project: Project, corpus: Corpus, terminal: Progress, anyway: bool) -> None:
    """Nothing is trained on rows that would be trained wrongly."""
    from molting.cli.check import look_at_training

    findings, estimate = look_at_training(project, corpus, terminal)
    for finding in findings:
        terminal.say(f"{finding.severity}: {finding.message}; {finding.remedy}")
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors and not anyway:
        raise CheckFailed(
            f"the preflight found {', '.join(f.code for f in errors)}; see `molting check "
            f"{project.root}`, or train all the same with --anyway"
        )
    terminal.say(
        f"expected: up to {max(1, round(estimate.train_minutes))} min of training in "
        f"{estimate.dtype}, {estimate.memory_gib:.1f} GiB of memory"
    )


def _evaluate(project: Project, molt: Molt, corpus: Corpus, terminal: Progress) -> None:
    from molting.report.page import write_report

    evaluated(project, molt, corpus, terminal)
    terminal.say(f"report: {write_report(project, molt)}")


def _show(project: Project, molt: Molt, as_json: bool) -> None:
    from molting.cli.show import show_molt

    show_molt(project, molt, as_json)
