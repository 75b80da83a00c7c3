"""`molting duplicates`: groups of what says the same, with every pair, its kind and its score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from molting.cli.console import Terminal, out, print_json
from molting.cli.inputs import rows_of
from molting.cli.kinds import count_kinds, find_chat_kinds, finding_json, print_kinds
from molting.core.config import Curate
from molting.curate.grouping import RowDuplicates, Units, duplicate_rows
from molting.curate.semantic import SemanticFinder, with_semantic
from molting.signals.duplicates import Group, Level, Match
from molting.signals.engines import EngineName, engine
from molting.signals.representative import RULES

_LINES = 10
"""Rows and pairs of a group that are printed; --json has them all."""
FLOOR = 0.5
"""Semantic pairs are listed from this probability on (`signals.semantic.FLOOR`, which is not
imported before it is needed)."""


class Options(NamedTuple):
    """What was asked for."""

    threshold: float | None
    level: Level
    against: Sequence[Path]
    semantic: bool
    encoder: str
    """`--encoder`, or empty: static searches and minilm judges."""
    probability: float | None
    kinds: bool | None
    """Chat-only kinds; None: unless the set is large."""
    engine: EngineName
    workers: int | None
    limit: int
    as_json: bool


def run_duplicates(paths: Sequence[Path], options: Options) -> None:
    with Terminal() as terminal:
        rows, config = rows_of(paths, terminal)
        held_out = [row for path in options.against for row in rows_of([path], terminal)[0]]
        curate = config.curate if config else Curate()
        limit_near = options.threshold or curate.near_threshold
        found = duplicate_rows(
            rows, limit_near, level=options.level, against=held_out,
            engine=engine(options.engine, options.workers), progress=terminal,
        )  # fmt: skip
        name = None
        if options.semantic:
            name, found = _with_semantic(found, options, paths, terminal)
        kinds = find_chat_kinds(rows, curate, options.kinds, bool(options.against), terminal)
    groups = found.groups()
    counts = Counter(pair.kind for group in groups for pair in group.pairs)
    pairs: dict[str, int | None] = {kind: counts[kind] for kind in ("exact", "near")}
    pairs["semantic"] = counts["semantic"] if name else None
    if options.as_json:
        limits = found.duplicates.thresholds
        print_json(
            {
                "rows": len(rows),
                "against": len(held_out) if options.against else None,
                "level": options.level,
                "compared": len(found.units),
                "threshold": limit_near,
                "floor": found.duplicates.found.floor,
                "semantic": {"encoder": name, "threshold": limits["semantic"], "floor": FLOOR}
                if name
                else None,
                "pairs": pairs,
                "kinds": None if kinds is None else count_kinds(kinds),
                "groups": [_group(group, found.units) for group in groups],
                "weaker": [_pair(pair, found.units) for pair in found.duplicates.weaker()],
                "findings": [finding_json(finding, rows) for finding in kinds or ()],
            }
        )
        return
    console = out()
    largest = sorted(groups, key=lambda group: (-len(group.rows), group.rows))
    for number, group in enumerate(largest[: options.limit], 1):
        _print_group(console, number, group, found)
    if len(groups) > options.limit:
        console.print(
            f"… {len(groups) - options.limit:,} smaller groups; `--limit N` shows more, "
            "`--json` all",
            markup=False,
        )
    if kinds is not None:
        print_kinds(console, kinds, rows, options.limit)
    _print_summary(console, found, groups, pairs, len(rows), len(held_out))


def _with_semantic(
    found: RowDuplicates, options: Options, paths: Sequence[Path], terminal: Terminal
) -> tuple[str, RowDuplicates]:
    from molting.cli.pairs import encoder_for
    from molting.signals.semantic import THRESHOLD

    search = encoder_for(options.encoder or "static", paths[0], terminal)
    finder = SemanticFinder(search)
    if not options.encoder:
        finder = SemanticFinder(
            search, lambda: encoder_for("minilm", paths[0], terminal), judge_name="minilm"
        )
    terminal.say(f"looking for what says the same in other words (encoder {finder.name}) …")
    limit = THRESHOLD if options.probability is None else options.probability
    return finder.name, with_semantic(found, finder, limit)


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
            f"    {pair.kind:8} {pair.similarity:.2f}  {units.label(pair.left)} = "
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
    counts: Mapping[str, int | None],
    rows: int,
    held_out: int,
) -> None:
    level = found.units.level
    compared = f"{rows:,} rows"
    if held_out:
        compared += f" against {held_out:,}"
    if level == "turn":
        compared += f" ({len(found.units):,} turns)"
    limits = found.duplicates.thresholds
    told = f"{counts['exact']:,} exact and {counts['near']:,} near pairs (similarity ≥ {limits['near']:g})"
    if counts["semantic"] is None:
        semantic = "; semantic duplicates: not measured (`--semantic` looks for them)"
    else:
        semantic = ""
        told += f" and {counts['semantic']:,} semantic ones (probability ≥ {limits['semantic']:g})"
    spare = sum(len(group.rows) - 1 for group in groups)
    beside = "" if held_out else f", {spare:,} {_things(level)} beside their representatives"
    console.print(
        f"{compared}, by {level}: {told} in {len(groups):,} groups{beside}{semantic}", markup=False
    )


def _things(level: Level) -> str:
    return "turns" if level == "turn" else "rows"
