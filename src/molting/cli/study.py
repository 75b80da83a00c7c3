"""`molting study layers`: how many top layers fast mode should adapt, measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.box import SIMPLE
from rich.table import Table

from molting.cli.console import Terminal, out, print_json
from molting.cli.settings import open_with
from molting.core.project import project_lock
from molting.flow import curated, measured_depths, read_inputs


def run_layers(folder: Path, depths: Sequence[int], settings: Sequence[str], as_json: bool) -> None:
    project = open_with(folder, settings)
    with Terminal() as terminal, project_lock(project):
        corpus = curated(project, read_inputs(project, terminal), terminal)
        found = measured_depths(project, corpus, depths, terminal)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    table = Table(box=SIMPLE, pad_edge=False)
    for name in ("top layers", "parameters", "fill s", "epoch s", "loss", "gap to all layers"):
        table.add_column(name, justify="right")
    for depth in found.measured:
        gap = depth.gap
        known = gap is not None and gap.value is not None and gap.low is not None
        table.add_row(
            f"{depth.top_layers} of {depth.of_layers}",
            f"{depth.trainable_parameters:,}",
            "–" if depth.fill_seconds is None else f"{depth.fill_seconds:.1f}",
            f"{depth.epoch_seconds:.1f}",
            f"{depth.validation_loss:.3f}",
            f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}] n={gap.n}"
            if gap is not None and known
            else ("–" if gap is None else "not measured"),
        )
    out().print(table)
    layers = found.measured[-1].of_layers
    out().print(
        f"by the rule ({found.rule}): "
        + (
            f"train.top_layers = {found.chosen}"
            if found.chosen < layers
            else 'all layers, train.mode = "exact"'
        ),
        soft_wrap=True,
    )
