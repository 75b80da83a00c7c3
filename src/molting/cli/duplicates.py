"""`molting duplicates`: groups of rows that say the same, with every pair and its similarity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from molting.cli.console import Terminal, out, print_json
from molting.cli.inputs import rows_of
from molting.core.config import Curate


def run_duplicates(paths: Sequence[Path], threshold: float | None, as_json: bool) -> None:
    from molting.curate.grouping import duplicate_pairs, reply_text
    from molting.signals.duplicates import groups

    with Terminal() as terminal:
        rows, config = rows_of(paths, terminal)
    limit = threshold or (config.curate if config else Curate()).near_threshold
    exact, near = duplicate_pairs(rows, limit)
    kinds = [("exact", pair) for pair in exact] + [("near", pair) for pair in near]
    root = groups(len(rows), [pair for _, pair in kinds])
    found: dict[int, dict[str, Any]] = {}
    for kind, pair in sorted(kinds, key=lambda item: item[1]):
        group = found.setdefault(root[pair.left], {"rows": set(), "pairs": []})
        group["rows"] |= {pair.left, pair.right}
        group["pairs"].append(
            {
                "left": str(rows[pair.left].source),
                "right": str(rows[pair.right].source),
                "kind": kind,
                "similarity": round(pair.similarity, 4),
            }
        )
    listed = [
        {"rows": [str(rows[i].source) for i in sorted(group["rows"])], "pairs": group["pairs"]}
        for group in found.values()
    ]
    if as_json:
        print_json(
            {
                "rows": len(rows),
                "threshold": limit,
                "pairs": {"exact": len(exact), "near": len(near)},
                "groups": listed,
            }
        )
        return
    console = out()
    for number, (group, shown) in enumerate(zip(found.values(), listed, strict=True), 1):
        console.print(f"[bold]group {number}[/bold]: {len(shown['rows'])} rows")
        for i in sorted(group["rows"]):
            text = " ".join(reply_text(rows[i]).split())
            console.print(f"  {rows[i].source}  {text[:90]}", markup=False)
        for pair in shown["pairs"]:
            console.print(
                f"    {pair['kind']:5} {pair['similarity']:.2f}  {pair['left']} = {pair['right']}",
                markup=False,
            )
    console.print(
        f"{len(rows)} rows: {len(exact)} exact and {len(near)} near pairs (Jaccard ≥ {limit:g}) "
        f"in {len(listed)} groups; semantic duplicates: not measured",
        markup=False,
    )
