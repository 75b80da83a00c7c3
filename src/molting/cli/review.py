"""`molting review`: decide about rows, one at a time or by their id, and look at what was decided."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from molting.cli.console import Terminal, out, print_json
from molting.cli.settings import open_with
from molting.core.conversation import Conversation, as_messages
from molting.core.errors import CheckFailed, Interrupted, MoltingError, UsageError
from molting.core.journal import Journal
from molting.core.project import Project
from molting.core.rulings import Action, Decision, Opinion, active, merge, opinions
from molting.curate.review import Item
from molting.flow import Inputs, read_inputs, undecided

DECIDED: tuple[Action, ...] = ("keep", "reject", "note", "undo")
"""What `--decide` can do; an edit needs the text, from the terminal or standard input."""


class Options(msgspec.Struct, frozen=True):
    """What was asked for on the command line."""

    count: int | None = None
    reviewer: str | None = None
    again: bool = False
    decide: tuple[str, str] | None = None
    note: str = ""
    listing: bool = False
    verify: bool = False
    compare: tuple[str, str] | None = None
    as_json: bool = False


def run_review(folder: Path, settings: Sequence[str], options: Options) -> None:
    project = open_with(folder, settings)
    journal = Journal(project)
    modes = {
        "--decide": options.decide is not None, "--list": options.listing,
        "--verify": options.verify, "--compare": options.compare is not None,
    }  # fmt: skip
    chosen = [name for name, asked in modes.items() if asked]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)}: one at a time")
    if options.note and options.decide is None:
        raise UsageError("--note: goes with --decide; in a session, press n")
    reviewer = (options.reviewer if options.reviewer is not None else project.config.review.reviewer)  # fmt: skip
    if not reviewer.strip():
        raise UsageError("--reviewer: a reviewer needs a name")
    if options.verify:
        _verify(journal, options.as_json)
    elif options.compare:
        _compare(journal, options.compare, options.as_json)
    elif options.listing:
        _list(project, journal, options.as_json)
    elif options.decide:
        _decide(project, journal, reviewer, options)
    else:
        _review(project, journal, reviewer, options)


def make_queue(project: Project, count: int | None, terminal: Terminal) -> list[Item]:
    """The queue of a project: the same for everyone, whatever has been decided."""
    from molting.curate.review import review_queue

    inputs = read_inputs(project, terminal)
    corpus = undecided(project, inputs, terminal)
    rows = [*inputs.conversations, *inputs.held_out_conversations]
    return review_queue(rows, corpus, project.config, count or project.config.review.rows)


def _review(project: Project, journal: Journal, reviewer: str, options: Options) -> None:
    from molting.cli.review_screen import queue_table
    from molting.cli.review_session import interactive, scripted
    from molting.curate.session import Session

    with Terminal() as terminal:
        items = make_queue(project, options.count, terminal)
    session = Session(journal, items, reviewer, again=options.again)
    if options.as_json:
        print_json(
            {
                "reviewer": reviewer,
                "rows": len(items),
                "decided": session.counts(),
                "queue": [
                    item.as_json()
                    | {"place": place, "opinion": session.opinion(item).label or None}
                    for place, item in enumerate(items, 1)
                    if options.again or session.opinion(item).kept is None
                ],
            }
        )
        return
    if not items:
        terminal.say("nothing to review: no row is in doubt")
        return
    if sys.stdin.isatty() and sys.stdout.isatty():
        try:
            interactive(session, project.config)
        except KeyboardInterrupt:
            raise Interrupted(
                f"interrupted at {session.progress()}; every decision is on the disk"
            ) from None
    elif sys.stdin.isatty():
        # The output goes into a file or a pipe, and nobody could answer what they cannot see.
        out().print(queue_table(session))
        return
    else:
        scripted(session)
    terminal.say(f"{session.progress()}; `molting curate {project.root}` makes the corpus of it")


def _decide(project: Project, journal: Journal, reviewer: str, options: Options) -> None:
    assert options.decide is not None
    name, action = options.decide
    if action not in DECIDED:
        raise UsageError(f"--decide: {action!r} is none of {', '.join(DECIDED)}")
    decisions = journal.decisions()
    if action == "undo":
        target = _target(decisions, name, reviewer)
        decision = journal.append(reviewer, target.row, "undo", note=options.note, undoes=target.id)
    else:
        with Terminal() as terminal:
            row = _row(read_inputs(project, terminal), name)
        decision = journal.append(
            reviewer, row.id, next(a for a in DECIDED if a == action), note=options.note
        )
    if options.as_json:
        print_json(decision)
    else:
        from molting.cli.review_session import ack

        out().print(ack(decision), markup=False, soft_wrap=True)


def _row(inputs: Inputs, name: str) -> Conversation:
    """The row of an id, the beginning of one, or a `file:line`."""
    rows = [*inputs.conversations, *inputs.held_out_conversations]
    wanted = name.removeprefix("b2:")
    found = {
        row.id: row
        for row in rows
        if str(row.source) == name or (wanted and row.id.startswith(f"b2:{wanted}"))
    }
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise UsageError(f"{name}: begins the ids of {len(found)} rows; give more of it")
    raise UsageError(
        f"{name}: no such row; give its id or file:line (`molting review --json` lists the queue)"
    )


def _target(decisions: Sequence[Decision], name: str, reviewer: str) -> Decision:
    """What an undo takes back: the decision of that id, or the reviewer's last about that row."""
    counting = active(decisions, undos=True)
    wanted = f"b2:{name.removeprefix('b2:')}"
    found = [d for d in counting if len(name) >= 4 and d.id.startswith(wanted)]
    if not found:
        rows = {d.row for d in counting if len(name) >= 4 and d.row.startswith(wanted)}
        if len(rows) > 1:
            raise UsageError(f"{name}: begins the ids of {len(rows)} rows; give more of it")
        found = [d for d in active(decisions) if d.row in rows and d.reviewer == reviewer][-1:]
    if len(found) > 1:
        raise UsageError(f"{name}: begins the ids of {len(found)} decisions; give more of it")
    if not found:
        raise UsageError(f"{name}: {reviewer} has decided nothing about it that could be undone")
    return found[0]


def _list(project: Project, journal: Journal, as_json: bool) -> None:
    decisions = journal.decisions()
    known: dict[str, Conversation] = {}
    with Terminal() as terminal:
        try:
            inputs = read_inputs(project, terminal)
            both = [*inputs.conversations, *inputs.held_out_conversations]
            known = {row.id: row for row in reversed(both)}
        except MoltingError as error:
            # Decisions can be read without the rows that they are about.
            terminal.say(f"where the rows stand is not known: {error}")
    everyone = opinions(decisions)
    if as_json:
        rows = [
            _listed(row, of_row, str(known[row].source) if row in known else None)
            for row, of_row in everyone.items()
        ]
        print_json({"entries": len(decisions), "rows": rows, "journal": decisions})
        return
    table = Table("row", "where", "ruling", "who", "notes")
    for row, of_row in everyone.items():
        ruling = merge(row, of_row.values())
        told = "undecided" if ruling is None else "kept" if ruling.kept else "rejected"
        table.add_row(
            row[3:11],
            escape(str(known[row].source)) if row in known else "not in the chat files",
            told
            + (", edited" if ruling and ruling.edit else "")
            + (" (they disagree)" if ruling and ruling.disagreement else ""),
            escape(", ".join(f"{name}: {o.label or 'note'}" for name, o in of_row.items())),
            escape("; ".join(note for opinion in of_row.values() for note in opinion.notes)),
        )
    console = out()
    console.print(table)
    console.print(
        f"{len(everyone)} rows decided or noted; {len(decisions)} entries in the journal",
        markup=False,
    )


def _listed(row: str, of_row: dict[str, Opinion], source: str | None) -> dict[str, Any]:
    ruling = merge(row, of_row.values())
    return {
        "row": row,
        "source": source,
        "kept": None if ruling is None else ruling.kept,
        "edited": None if ruling is None or ruling.edit is None else as_messages(ruling.edit.turns),
        "disagreement": bool(ruling and ruling.disagreement),
        "by": {
            name: {
                "label": opinion.label or None,
                "decision": opinion.decided and opinion.decided.id,
                "at": opinion.decided and opinion.decided.at,
                "notes": opinion.notes,
            }
            for name, opinion in of_row.items()
        },
    }


def _verify(journal: Journal, as_json: bool) -> None:
    check = journal.verify()
    if as_json:
        print_json(msgspec.to_builtins(check) | {"ok": check.ok})
    if not check.ok:
        raise CheckFailed(
            f"the review journal is {'shortened' if check.valid else 'damaged'}: {check.problem}; "
            "docs/review.md says what to do"
        )
    if as_json:
        return
    if not check.entries:
        out().print("nothing has been decided yet")
        return
    whole = (
        "the last entry is there"
        if check.complete
        else "whether entries are missing at the end is not known (no readable review-head.json)"
    )
    out().print(f"{check.entries} entries, the chain holds, {whole}", markup=False)


def _compare(journal: Journal, names: tuple[str, str], as_json: bool) -> None:
    from molting.curate.agreement import LABELS, compare

    decisions = journal.decisions()
    known = sorted({d.reviewer for d in active(decisions)})
    for name in names:
        if name not in known:
            raise UsageError(
                f"--compare: {name} has decided nothing; reviewers: {', '.join(known) or 'none'}"
            )
    evaluate = journal.project.config.evaluate
    found = compare(decisions, *names, evaluate.resamples, evaluate.seed)
    if as_json:
        shown: dict[str, Any] = msgspec.to_builtins(found)
        print_json(shown | {"n": found.kappa.n})
        return
    table = Table(escape(f"{names[0]} ↓  {names[1]} →"), *LABELS)
    for label in LABELS:
        table.add_row(label, *(str(found.table[label][other]) for other in LABELS))
    console = out()
    console.print(table)
    console.print(
        f"Cohen's κ {found.kappa}; they agree on {found.agreed} of {found.kappa.n} rows (an edit "
        f"keeps). Only {names[0]}: {found.only[0]} rows, only {names[1]}: {found.only[1]}",
        markup=False,
    )
    for row, one, other in found.disagreed:
        console.print(f"  {row}  {names[0]}: {one}, {names[1]}: {other}", markup=False)
