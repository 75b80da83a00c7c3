"""`molting corpus export`: the corpus as a file that another trainer loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec

from molting.cli.console import Terminal, out, print_json
from molting.cli.settings import open_with
from molting.core.corpus import SplitName
from molting.core.errors import UsageError
from molting.core.project import project_lock
from molting.curate.exports import (
    CAUTIONS,
    DATASET_INFO,
    FORMATS,
    REASONS,
    ExportFormat,
    export_rows,
)
from molting.flow import curated, read_inputs


def run_export(
    folder: Path, to: Path, kind: str, split: str, settings: Sequence[str], as_json: bool
) -> None:
    """The corpus of the project's files and configuration, made if it is not there."""
    format: ExportFormat | None = next((name for name in FORMATS if name == kind), None)
    if format is None:
        raise UsageError(f"--format {kind}: there are {', '.join(FORMATS)}")
    splits: tuple[SplitName, ...] = get_args(SplitName)
    if split not in (*splits, "all"):
        raise UsageError(f"--split {split}: there are {', '.join(splits)}, all")
    project = open_with(folder, settings)
    with Terminal() as terminal, project_lock(project):
        corpus = curated(project, read_inputs(project, terminal), terminal)
    rows = [row.conversation for row in corpus.kept if split in ("all", row.split)]
    if not rows:
        raise UsageError(f"--split {split}: the corpus has no such row")
    made = export_rows(rows, to, format)
    if as_json:
        about = {"corpus": corpus.id, "split": split, "rows_in": len(rows)}
        print_json(about | msgspec.to_builtins(made))
        return
    console = out()
    console.print(
        f"wrote {made.file}: {made.rows} of {len(rows)} rows ({split}) as {made.format}, "
        f"and its entry in {to.parent / DATASET_INFO}",
        markup=False,
    )
    for reason, count in made.left_out.items():
        console.print(f"  left out {count}: {REASONS[reason]}", markup=False)
    for reason, count in made.shortened.items():
        console.print(f"  {count} rows: {REASONS[reason]}", markup=False)
    for reason, count in made.cautions.items():
        console.print(f"  {count} rows: {CAUTIONS[reason]}", markup=False)
