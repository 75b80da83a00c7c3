"""What reviewers decided and what it amounts to, by replay: pure functions of the list of decisions.

A decision counts unless an undo that counts takes it back; so undoing an undo brings the decision
back, and undoing twice is undoing once. Of what counts, a reviewer's last word on a row stands:

    keep      keeps the row, in the reviewer's edited words if there are any
    reject    takes the row out
    edit      keeps the row in other words
    note      says something and decides nothing

Over reviewers, **reject wins**: who rejects has seen something, and the order in which two people
worked independently means nothing. Among edits the latest wins. Either way the disagreement is
reported with the ruling. The person who rejected can take it back with an undo.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import msgspec

from molting.core.conversation import Conversation, Turn

Action = Literal["keep", "reject", "edit", "note", "undo"]
ACTIONS: tuple[Action, ...] = get_args(Action)


class Decision(msgspec.Struct, frozen=True):
    """One entry. Empty text, or no turns, where a field does not apply."""

    number: int
    """1, 2, 3 … without gaps."""
    id: str
    at: str
    """UTC, ISO 8601."""
    reviewer: str
    row: str
    """Content id of the conversation as it stands in the chat file."""
    action: Action
    turns: tuple[Turn, ...] = ()
    """The new turns of an edit."""
    original: tuple[Turn, ...] = ()
    """What an edit replaced, so that nothing is lost when the chat file is."""
    note: str = ""
    reason: str = ""
    """Codes of why the row was in the queue; empty when it was decided without being asked."""
    undoes: str = ""
    """The id of the decision that an undo takes back."""
    previous: str = ""


class Opinion(msgspec.Struct, frozen=True):
    """Where one reviewer stands on one row."""

    reviewer: str
    decided: Decision | None = None
    """The last keep, reject or edit that counts; None when there are only notes."""
    edited: Decision | None = None
    """The last edit that counts: it holds the reviewer's words."""
    notes: tuple[str, ...] = ()
    """Notes that count, those of decisions included, oldest first."""

    @property
    def kept(self) -> bool | None:
        return None if self.decided is None else self.decided.action != "reject"

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The reviewer's words, or () when they are the row's own."""
        return self.edited.turns if self.edited else ()

    @property
    def label(self) -> str:
        """`keep`, `edit`, `reject`, or empty when undecided."""
        if self.decided is None:
            return ""
        if self.decided.action == "reject":
            return "reject"
        return "edit" if self.edited else "keep"


class Ruling(msgspec.Struct, frozen=True):
    """What all reviewers together say of a row."""

    row: str
    kept: bool
    decision: Decision
    """The one that rules: the latest on the side that wins."""
    edit: Decision | None = None
    """The edit whose words replace the row's own."""
    notes: tuple[str, ...] = ()
    disagreement: tuple[tuple[str, str], ...] = ()
    """(reviewer, label) of everyone who decided, when they do not agree; else ()."""


def active(decisions: Sequence[Decision], *, undos: bool = False) -> list[Decision]:
    """The decisions that count, oldest first; with `undos`, the undos that count too."""
    gone: set[str] = set()
    # An undo names an earlier entry, so going backwards settles it before its target comes.
    for decision in reversed(decisions):
        if decision.action == "undo" and decision.id not in gone:
            gone.add(decision.undoes)
    return [d for d in decisions if d.id not in gone and (undos or d.action != "undo")]


def opinions(decisions: Sequence[Decision]) -> dict[str, dict[str, Opinion]]:
    """Row → reviewer → opinion."""
    found: dict[str, dict[str, Opinion]] = {}
    for decision in active(decisions):
        of_row = found.setdefault(decision.row, {})
        opinion = of_row.get(decision.reviewer, Opinion(decision.reviewer))
        if decision.note:
            opinion = msgspec.structs.replace(opinion, notes=(*opinion.notes, decision.note))
        if decision.action != "note":
            opinion = msgspec.structs.replace(opinion, decided=decision)
        if decision.action == "edit":
            opinion = msgspec.structs.replace(opinion, edited=decision)
        of_row[decision.reviewer] = opinion
    return found


def rulings(decisions: Sequence[Decision]) -> dict[str, Ruling]:
    """Row → ruling, for every row that someone has decided."""
    found = {}
    for row, of_row in opinions(decisions).items():
        ruling = merge(row, of_row.values())
        if ruling is not None:
            found[row] = ruling
    return found


def merge(row: str, of_row: Iterable[Opinion]) -> Ruling | None:
    """One ruling from everyone's opinion; None when nobody decided. The order does not matter."""
    everyone = sorted(of_row, key=lambda opinion: opinion.reviewer)
    decided = [opinion for opinion in everyone if opinion.decided is not None]
    if not decided:
        return None
    against = [opinion for opinion in decided if not opinion.kept]
    winners = against or decided
    decision = max(
        (opinion.decided for opinion in winners if opinion.decided is not None),
        key=lambda d: d.number,
    )
    edits = [o.edited for o in decided if o.kept and o.edited is not None]
    edit = max(edits, key=lambda d: d.number) if edits and not against else None
    split = 0 < len(against) < len(decided) or len({edit.turns for edit in edits}) > 1
    return Ruling(
        row,
        not against,
        decision,
        edit,
        tuple(note for opinion in everyone for note in opinion.notes),
        tuple((opinion.reviewer, opinion.label) for opinion in decided) if split else (),
    )


def reworded(row: Conversation, ruling: Ruling | None) -> Conversation:
    """The row in the reviewer's words: a new conversation of the same source, or the row itself."""
    if ruling is None or ruling.edit is None or ruling.edit.turns == row.turns:
        return row
    return Conversation(ruling.edit.turns, row.source)
