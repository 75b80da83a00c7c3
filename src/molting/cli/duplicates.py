"""`molting duplicates`: groups of what says the same, with every pair, its kind and its score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from molting.cli.console import Terminal, out, print_json
from molting.cli.inputs import rows_of
from molting.core.config import Curate
from molting.curate.grouping import RowDuplicates, Units, duplicate_rows
from molting.signals.duplicates import Group, Level, Match
from molting.signals.engines import EngineName, engine
from molting.signals.representative import RULES

_LINES = 10
"""Rows and pairs of a group that are printed; --json has them all."""


def run_duplicates(
    paths: Sequence[Path],
    threshold: float | None,
    level: Level,
    against: Sequence[Path],
    engine_name: EngineName,
    workers: int | None,
    limit: int,
    as_json: bool,
) -> None:
    with Terminal() as terminal:
        rows, config = rows_of(paths, terminal)
        held_out = [row for path in against for row in rows_of([path], terminal)[0]]
        limit_near = threshold or (config.curate if config else Curate()).near_threshold
        found = duplicate_rows(
            rows, limit_near, level=level, against=held_out,
            engine=engine(engine_name, workers), progress=terminal,
        )  # fmt: skip
    groups = found.groups()
    counts = Counter({"exact": 0, "near": 0})
    counts.update(pair.kind for group in groups for pair in group.pairs)
    if as_json:
        print_json(
            {
                "rows": len(rows),
                "against": len(held_out) if against else None,
                "level": level,
                "compared": len(found.units),
                "threshold": limit_near,
                "floor": found.duplicates.found.floor,
                "pairs": dict(counts),
                "groups": [_group(group, found.units) for group in groups],
                "weaker": [_pair(pair, found.units) for pair in found.duplicates.weaker()],
            }
        )
        return
    console = out()
    largest = sorted(groups, key=lambda group: (-len(group.rows), group.rows))
    for number, group in enumerate(largest[:limit], 1):
        _print_group(console, number, group, found)
    if len(groups) > limit:
        console.print(
            f"… {len(groups) - limit:,} smaller groups; `--limit N` shows more, `--json` all",
            markup=False,
        )
    _print_summary(console, found, groups, counts, len(rows), len(held_out))


def _group(group: Group, units: Units) -> dict[str, Any]:
    return {
        "rows": [units.label(unit) for unit in group.rows],
        "representative": units.label(group.representative),
        "rule": group.rule,
        "complete": group.complete,
        "pairs": [_pair(pair, units) for pair in group.pairs],
    }


def _pair(pair: Match, units: Units) -> dict[str, Any]:
    return {
        "left": units.label(pair.left),
        "right": units.label(pair.right),
        "level": pair.level,
        "kind": pair.kind,
        "similarity": round(pair.similarity, 4),
    }


def _print_group(console: Console, number: int, group: Group, found: RowDuplicates) -> None:
    units = found.units
    console.print(f"[bold]group {number}[/bold]: {len(group.rows):,} {_things(units.level)}")
    # The representative is always among the rows shown.
    others = [unit for unit in group.rows if unit != group.representative]
    for unit in sorted([group.representative, *others[: _LINES - 1]]):
        keeps = unit == group.representative
        text = " ".join(units.said(unit).split())
        console.print(f"  {'*' if keeps else ' '} {units.label(unit)}  {text[:90]}", markup=False)
    _print_rest(console, len(group.rows) - _LINES, "more")
    kept = units.label(group.representative)
    console.print(f"    keep {kept}: {RULES[group.rule]}", markup=False)
    for pair in sorted(group.pairs, key=lambda pair: -pair.similarity)[:_LINES]:
        console.print(
            f"    {pair.kind:5} {pair.similarity:.2f}  {units.label(pair.left)} = "
            f"{units.label(pair.right)}",
            markup=False,
        )
    note = "" if group.complete else " (and pairs between others that are not listed: see docs)"
    _print_rest(console, len(group.pairs) - _LINES, f"more pairs{note}")


def _print_rest(console: Console, count: int, what: str) -> None:
    if count > 0:
        console.print(f"    … {count:,} {what}", markup=False)


def _print_summary(
    console: Console,
    found: RowDuplicates,
    groups: Sequence[Group],
    counts: Counter[str],
    rows: int,
    held_out: int,
) -> None:
    level = found.units.level
    compared = f"{rows:,} rows"
    if held_out:
        compared += f" against {held_out:,}"
    if level == "turn":
        compared += f" ({len(found.units):,} turns)"
    kinds = " and ".join(f"{count:,} {kind}" for kind, count in counts.items())
    limit = found.duplicates.thresholds["near"]
    spare = sum(len(group.rows) - 1 for group in groups)
    told = "" if held_out else f", {spare:,} {_things(level)} beside their representatives"
    console.print(
        f"{compared}, by {level}: {kinds} pairs (similarity ≥ {limit:g}) in {len(groups):,} "
        f"groups{told}; semantic duplicates: not measured",
        markup=False,
    )


def _things(level: Level) -> str:
    return "turns" if level == "turn" else "rows"
