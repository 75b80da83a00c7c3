"""`molting memory stats|verify|clear`: what the project remembers, is it whole, empty it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE
from rich.table import Table

from molting.cli.console import Terminal, out, print_json
from molting.core.errors import CheckFailed
from molting.core.project import open_project
from molting.memory.audit import Holdings, clear, holdings, verify
from molting.memory.store import project_memory


def run_stats(folder: Path, as_json: bool) -> None:
    project = open_project(folder)
    with project_memory(project) as memory:
        found = holdings(memory)
    if as_json:
        print_json(_plain(found))
        return
    if not found.kinds:
        out().print(f"{project.shown(project.memory)}: empty", soft_wrap=True)
        return
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("kind")
    for name in ("entries", "size", "hits", "misses"):
        table.add_column(name, justify="right")
    for name, kind in found.kinds.items():
        counts = (f"{kind.entries:,}", _size(kind.bytes), f"{kind.hits:,}", f"{kind.misses:,}")
        table.add_row(name, *counts)
    out().print(table)
    out().print(
        f"{project.shown(project.memory)}: {found.entries:,} entries, {_size(found.disk_bytes)} on "
        f"disk of at most {_size(found.budget_bytes)} (memory.budget_gib)",
        soft_wrap=True,
    )


def run_verify(folder: Path, as_json: bool) -> None:
    """Exit code 1 when something was damaged; it is dropped, so the next time all is whole."""
    project = open_project(folder)
    with Terminal() as terminal, project_memory(project) as memory:
        audit = verify(memory, lambda done, total: terminal.step("checking", done, total))
    damaged = sum(audit.damaged.values())
    if as_json:
        print_json(msgspec.to_builtins(audit))
    elif not damaged and not audit.index_damaged:
        out().print(f"{audit.checked:,} entries checked, all whole")
    if audit.index_damaged:
        raise CheckFailed(
            f"{project.shown(project.memory)}: the index was damaged; all was dropped and will be "
            "computed again"
        )
    if damaged:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(audit.damaged.items()))
        raise CheckFailed(
            f"{project.shown(project.memory)}: {damaged} of {audit.checked} entries were damaged "
            f"({kinds}); they are dropped and will be computed again"
        )


def run_clear(folder: Path, as_json: bool) -> None:
    project = open_project(folder)
    with project_memory(project) as memory:
        removed = clear(memory)
    if as_json:
        print_json({"removed": _plain(removed)})
        return
    kinds = ", ".join(f"{kind.entries:,} {name}" for name, kind in removed.kinds.items())
    out().print(
        f"{project.shown(project.memory)}: removed {removed.entries:,} entries, "
        f"{_size(removed.bytes)}" + (f" ({kinds})" if kinds else ""),
        soft_wrap=True,
    )


def _plain(found: Holdings) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"
