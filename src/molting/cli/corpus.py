"""`molting corpus log|diff|show`: which versions there are, and what changed between them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from molting.cli.console import out, print_json
from molting.core.conversation import Turn
from molting.core.corpus import Row, Version, load_corpus, versions
from molting.core.errors import UsageError
from molting.core.journal import Journal
from molting.core.project import Project, open_project
from molting.curate.filters import REASONS
from molting.curate.lineage import (
    KINDS,
    RowChange,
    Words,
    difference,
    find_version,
    recipe_changes,
    row_json,
    word_diff,
)

_SHOWN_ROWS = 12
_TITLES = {
    "added": "added", "removed": "removed", "edited": "edited",
    "kept_to_rejected": "kept → rejected", "rejected_to_kept": "rejected → kept",
    "moved": "in another split", "other_reason": "rejected for another reason",
}  # fmt: skip


def run_log(folder: Path, as_json: bool) -> None:
    project = open_project(folder)
    known = versions(project.corpora)
    by_id = {version.id: version for version in known}
    molts = project.molts()
    listed = []
    for version in reversed(known):
        parent = by_id.get(version.parent or "")
        listed.append(
            _version_json(version, project)
            | {
                "parent": version.parent,
                "parent_version": parent and parent.name,
                "changed": parent
                and [
                    msgspec.to_builtins(change)
                    for change in recipe_changes(parent.recipe, version.recipe)
                ],
                "molts": [molt.number for molt in molts if molt.corpus == version.id],
            }
        )
    if as_json:
        print_json({"versions": listed})
        return
    console = out()
    if not known:
        console.print(f"no corpus yet; `molting curate {folder}` makes one", markup=False)
    for version, facts in zip(reversed(known), listed, strict=True):
        line = Text(version.name, style="bold")
        line.append(f"  {version.id[3:11]}  {facts['created'] or 'time not noted'}", style="dim")
        line.append(
            f"  {facts['rows_in']} in, {facts['kept']} kept, "
            f"{sum(facts['rejected'].values())} rejected"
        )
        if facts["molts"]:
            line.append(f"  molt {', '.join(map(str, facts['molts']))}", style="cyan")
        console.print(line)
        parent = by_id.get(version.parent or "")
        if parent:
            changes = recipe_changes(parent.recipe, version.recipe)
            told = "; ".join(map(str, changes)) or "the rows (same recipe)"
            console.print(f"    after {parent.name}: {told}", markup=False)
        elif version.parent:
            console.print(f"    after {version.parent}, which is gone", markup=False)


def run_diff(one: str, other: str, folder: Path, as_json: bool) -> None:
    project = open_project(folder)
    a, b = (find_version(project.corpora, name) for name in (one, other))
    found = difference(load_corpus(a.folder), load_corpus(b.folder))
    if as_json:
        print_json(
            {
                "a": _version_json(a, project),
                "b": _version_json(b, project),
                "recipe": [msgspec.to_builtins(change) for change in found.recipe],
                "counts": found.counts(),
                "rows": [row.as_json() for row in found.rows],
            }
        )
        return
    console = out()
    console.print(f"[bold]{a.name} → {b.name}[/bold]")
    for change in found.recipe:
        console.print(f"  {change}", markup=False)
    for kind in KINDS:
        rows = [row for row in found.rows if kind in row.kinds]
        if not rows:
            continue
        console.print(f"[bold]{_TITLES[kind]}[/bold]: {len(rows)}")
        for row in rows[:_SHOWN_ROWS]:
            console.print(_line(row, kind))
            if kind == "edited":
                console.print(words_text(row.words, indent="    "))
        if len(rows) > _SHOWN_ROWS:
            console.print(f"  and {len(rows) - _SHOWN_ROWS} more (--json lists them)", style="dim")
    console.print(f"unchanged: {found.unchanged} rows", markup=False)


def run_show(name: str, folder: Path, number: int | None, as_json: bool) -> None:
    project = open_project(folder)
    version = find_version(project.corpora, name)
    facts = _version_json(version, project) | {"parent": version.parent, "recipe": version.recipe}
    if number is not None:
        _show_row(project, version, number, as_json)
        return
    if as_json:
        print_json(facts)
        return
    table = Table("reason", "rows", "meaning", title=f"{version.name}  {version.id}")
    for split, count in facts["splits"].items():
        table.add_row(f"kept: {split}", str(count), "")
    for reason, count in facts["rejected"].items():
        table.add_row(reason, str(count), REASONS.get(reason, ""))
    console = out()
    console.print(table)
    parent = next((v for v in versions(project.corpora) if v.id == version.parent), None)
    console.print(
        f"made {facts['created'] or 'at a time that was not noted'}, "
        f"{f'after {parent.name}' if parent else 'the first'}; in {facts['folder']}",
        markup=False,
    )
    for change in recipe_changes({}, version.recipe):
        if change.b is not None:
            console.print(f"  {change.key} = {change.b}", markup=False)


def words_text(words: Words, indent: str = "") -> Text:
    """A word diff as text: [-old-] and {+new+}, in colours where there are colours."""
    text = Text()
    for sign, run in words:
        run = run.replace("\n", f"\n{indent}")
        if sign == "=":
            text.append(run)
        elif sign == "-":
            text.append(f"[-{run}-]", style="red")
        else:
            text.append(f"{{+{run}+}}", style="green")
    return Text(indent) + text


def _show_row(project: Project, version: Version, number: int, as_json: bool) -> None:
    rows = load_corpus(version.folder).rows
    if not 1 <= number <= len(rows):
        raise UsageError(f"--row {number}: {version.name} has rows 1 to {len(rows)}")
    row = rows[number - 1]
    original = _original(project, row)
    words = word_diff(original, row.conversation.turns) if original else None
    if as_json:
        print_json(
            {"version": version.name, "row": number, "messages": row.conversation.messages}
            | row_json(row)
            | {
                "original": [{"role": t.role, "content": t.text} for t in original] or None,
                "words": words,
            }
        )
        return
    console = out()
    state = f"kept for {row.split}" if row.verdict.kept else "rejected"
    console.print(
        f"[bold]{version.name} row {number}[/bold]  {escape(str(row.conversation.source))}  "
        f"{row.conversation.id}\n{state}: "
        f"{REASONS.get(row.verdict.reason, row.verdict.reason)}"
    )
    for key, value in row.verdict.evidence.items():
        console.print(f"  {key}: {value}", style="dim", markup=False)
    if words:
        console.print(words_text(words))
        return
    for turn in row.conversation.turns:
        console.print(f"[bold]{turn.role}[/bold]")
        console.print(turn.text, markup=False)


def _original(project: Project, row: Row) -> Sequence[Turn]:
    """What a reviewer's edit replaced, from the journal; () for any other row."""
    decision = row.verdict.evidence.get("decision")
    if row.verdict.evidence.get("action") != "edit":
        return ()
    return next((d.original for d in Journal(project).decisions() if d.id == decision), ())


def _line(change: RowChange, kind: str) -> Text:
    row = change.b or change.a
    assert row is not None
    text = Text(f"  {row.conversation.source}", style="cyan")
    text.append(f"  {row.conversation.id[3:11]}", style="dim")
    if change.a and change.b and kind == "moved":
        text.append(f"  {change.a.split} → {change.b.split}")
    elif change.a and change.b and kind != "edited":
        text.append(f"  {change.a.verdict.reason} → {change.b.verdict.reason}")
        for key in ("reviewer", "note", "twin_source", "similarity", "matched"):
            if row.verdict.evidence.get(key):
                text.append(f"  {key} {row.verdict.evidence[key]}", style="dim")
    else:
        words = " ".join(row.conversation.reply.split())
        text.append(f"  {words[:60]}" if kind != "edited" else "", style="dim")
    return text


def _version_json(version: Version, project: Project) -> dict[str, Any]:
    created = version.created
    return {
        "version": version.name,
        "id": version.id,
        "created": None
        if created is None
        else datetime.fromtimestamp(created, UTC).isoformat(timespec="seconds"),
        "folder": project.shown(version.folder),
        **{key: version.summary.get(key) for key in ("rows_in", "kept", "rejected", "splits")},
    }
