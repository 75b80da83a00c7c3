"""What a reviewer sees of a row."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from molting.core.conversation import Turn
from molting.curate.filters import REASONS
from molting.curate.review import CODES, Item, Mark
from molting.curate.session import Session

KEYS = "k keep  r reject  e edit  n note  u undo  s skip  ? help  q quit"
_LINES_BESIDE = 10
"""Lines of a screen that are neither the conversation's nor the reasons'."""


def queue_table(session: Session) -> Table:
    """The queue at a glance."""
    table = Table("place", "row", "where", "now", "why", title=session.progress())
    for place, item in enumerate(session.items, 1):
        why = "; ".join(f"{why.code}: {why.text}" for why in item.why)
        table.add_row(
            str(place), item.conversation.id[3:11], escape(str(item.conversation.source)),
            session.opinion(item).label or item.verdict.reason, why,
        )  # fmt: skip
    return table


def show_row(console: Console, session: Session, item: Item, whole: bool) -> None:
    """A row with its signals, its marks and why it is asked about; long ones cut unless `whole`."""
    words = session.words(item)
    opinion = session.opinion(item)
    head = Text(session.progress(), style="bold")
    head.append(f"   {session.reviewer}", style="dim")
    console.print(head)
    console.rule(style="dim")
    verdict = item.verdict
    state = f"kept for {item.split}" if verdict.kept else "rejected"
    line = Text(f"{item.conversation.source}", style="cyan")
    line.append(f"  {item.conversation.id[3:11]}", style="dim")
    if item.copies > 1:
        line.append(f"  {item.copies} rows with these words", style="dim")
    line.append(f"  {state}: ", style="dim")
    line.append(REASONS.get(verdict.reason, verdict.reason))
    if opinion.label:
        line.append(f"  (you: {opinion.label})", style="yellow")
    console.print(line)
    console.print()
    reasons = [
        Text.assemble(
            ("why  ", "dim"), CODES[why.code], (f": {why.text}", "dim")
        ).wrap(console, console.width)
        for why in item.why
    ]  # fmt: skip
    same = words.turns == item.conversation.turns
    neighbour = item.neighbour
    room = console.height - _LINES_BESIDE - sum(len(lines) for lines in reasons)
    limit = None if whole else max(4, (room - 2) // 2 if neighbour else room)
    _turns(console, words.turns, item.marks if same else (), limit)
    if neighbour:
        console.print()
        console.print(
            f"nearest kept row: {neighbour.conversation.source}, similarity "
            f"{neighbour.similarity:.2f}",
            style="cyan",
            markup=False,
        )
        _turns(console, neighbour.conversation.turns, (), limit)
    console.print()
    for lines in reasons:
        console.print(Text("\n").join(lines))
    signals = "  ".join(f"{name} {value:.3g}" for name, value in item.signals.items())
    if signals:
        console.print(f"signals  {signals}", style="dim", markup=False)
    for note in opinion.notes:
        console.print(f"note  {note}", style="yellow", markup=False)
    console.print(KEYS, style="bold", markup=False)


def _turns(
    console: Console, turns: tuple[Turn, ...], marks: tuple[Mark, ...], limit: int | None
) -> None:
    """Turns with their marks, in at most about `limit` lines; what is left out is said."""
    width = max(20, console.width - 11)
    wrapped = []
    for place, turn in enumerate(turns):
        text = Text(turn.text, style="bold" if turn.role == "assistant" else "")
        for mark in marks:
            if mark.turn == place:
                text.stylize("black on yellow", mark.start, mark.end)
        wrapped.append(text.wrap(console, width))
    shares = _shares([len(lines) for lines in wrapped], limit)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=9, style="dim")
    grid.add_column(width=width)
    for turn, lines, share in zip(turns, wrapped, shares, strict=True):
        text = Text("\n").join(lines[:share])
        if share < len(lines):
            text.append(f"\n… {len(lines) - share} more lines (v shows them)", style="dim not bold")
        grid.add_row(turn.role, text)
    console.print(grid)


def _shares(lengths: Sequence[int], limit: int | None) -> list[int]:
    """Lines for each turn: short turns whole, the long ones share what is left; one at least."""
    if limit is None or sum(lengths) <= limit:
        return list(lengths)
    shares = [0] * len(lengths)
    left = limit
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    for n, i in enumerate(order):
        # The line that says how much was left out counts too.
        fair = max(1, left // (len(order) - n))
        shares[i] = lengths[i] if lengths[i] <= fair else max(1, fair - 1)
        left -= min(lengths[i], fair)
    return shares
