"""Which rows are duplicates, and which must stay on one side of a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from molting.core.conversation import Conversation
from molting.core.progress import Progress
from molting.curate.continuations import continuations
from molting.signals.duplicates import (
    FLOOR,
    Duplicates,
    Group,
    Level,
    Pair,
    exact_pairs,
    find_duplicates,
    groups,
    near_pairs,
)
from molting.signals.engines import Engine
from molting.signals.representative import representative, traits
from molting.signals.shingles import similarity
from molting.signals.text import fold, words

_SHORT_WORDS = 5
"""A reply this short ("Aye, that it is.") may rightly answer many prompts."""
PROMPT_THRESHOLD = 0.7


def prompt_key(row: Conversation) -> str:
    """All user words of a conversation, folded; punctuation counts only where there are none."""
    said = [turn.text for turn in row.turns if turn.role == "user"]
    return " ".join(word for text in said for word in words(text)) or fold(" ".join(said))


def reply_text(row: Conversation) -> str:
    return "\n".join(row.replies)


def _identity(row: Conversation) -> str:
    """What must be equal for two rows to say the same: the replies, with the prompt if short."""
    reply = reply_text(row)
    return f"{prompt_key(row)}\n{reply}" if len(reply.split()) < _SHORT_WORDS else reply


class Units:
    """What is compared of the rows at a level: a text each, made when it is asked for.

    conversation   all turns but the system's, in their order
    turn           every turn but the system's, on its own
    reply          all the persona says; a short reply with its prompt

    System turns are left out: most sets give every row the same one.
    """

    def __init__(self, rows: Sequence[Conversation], level: Level) -> None:
        self.rows = rows
        self.level = level
        self._turns = (
            [
                (r, t)
                for r, row in enumerate(rows)
                for t, turn in enumerate(row.turns)
                if turn.role != "system"
            ]
            if level == "turn"
            else None
        )

    def __len__(self) -> int:
        return len(self.rows if self._turns is None else self._turns)

    def __iter__(self) -> Iterator[str]:
        return map(self.text, range(len(self)))

    def text(self, unit: int) -> str:
        """What is compared."""
        row = self.rows[self.row(unit)]
        if self._turns is not None:
            return row.turns[self._turns[unit][1]].text
        return _identity(row) if self.level == "reply" else _whole(row)

    def said(self, unit: int) -> str:
        """What is judged when a representative is chosen: as compared, but never the prompt."""
        return reply_text(self.rows[unit]) if self.level == "reply" else self.text(unit)

    def row(self, unit: int) -> int:
        return unit if self._turns is None else self._turns[unit][0]

    def label(self, unit: int) -> str:
        """`file:line`, for a turn with its number: `file:line#2`."""
        source = str(self.rows[self.row(unit)].source)
        return source if self._turns is None else f"{source}#{self._turns[unit][1] + 1}"


@dataclass(frozen=True)
class RowDuplicates:
    """Duplicates among rows at a level; the numbers in pairs and groups are those of `units`."""

    units: Units
    duplicates: Duplicates
    scores: Mapping[int, float] | None = None

    def at(self, near: float | None = None, **kinds: float) -> RowDuplicates:
        """Other thresholds, without a new search."""
        return replace(self, duplicates=self.duplicates.at(near, **kinds))

    def joined(self, kind: str, pairs: Sequence[Pair], threshold: float = 0.0) -> RowDuplicates:
        """With pairs of another kind, such as semantic ones, which join the same groups."""
        return replace(self, duplicates=self.duplicates.joined(kind, pairs, threshold))

    def groups(self) -> list[Group]:
        """Every group with its representative, by the rules of `signals.representative`.

        Where two sets are compared, what is held out represents the group.
        """
        boundary = self.duplicates.boundary or 0
        found = self.duplicates.groups()
        stay = {group.rows: [u for u in group.rows if u >= boundary] for group in found}
        texts = {unit: self.units.said(unit) for rows in stay.values() for unit in rows}
        known = traits(texts, self.scores)
        chosen = []
        for group in found:
            best, rule = representative(stay[group.rows], known)
            rule = rule if self.duplicates.boundary is None else "held_out"
            chosen.append(msgspec.structs.replace(group, representative=best, rule=rule))
        return chosen


class Likeness:
    """How alike two rows are, for greedy choices: 1 when equal, 0 below the threshold.

    What the search listed is looked up; in crowded groups, where it lists only the nearest, the
    similarity is computed.
    """

    def __init__(self, found: RowDuplicates) -> None:
        self._units = found.units
        self._same = found.duplicates.found.same
        self._crowded = found.duplicates.found.thinned
        self._threshold = found.duplicates.thresholds["near"]
        self._known = {(p.left, p.right): p.similarity for p in found.duplicates.pairs()}

    def __call__(self, left: int, right: int) -> float:
        one, other = sorted((int(self._same[left]), int(self._same[right])))
        if one == other and one >= 0:
            return 1.0
        known = self._known.get((one, other))
        if known is None:
            if not (self._crowded[one] and self._crowded[other]):
                return 0.0
            value = similarity(self._units.text(one), self._units.text(other))
            known = self._known[one, other] = value if value >= self._threshold else 0.0
        return known

    def exact(self, left: int, right: int) -> bool:
        return bool(self._same[left] == self._same[right])


def duplicate_rows(
    rows: Sequence[Conversation],
    threshold: float,
    *,
    level: Level = "reply",
    against: Sequence[Conversation] = (),
    floor: float = FLOOR,
    scores: Mapping[int, float] | None = None,
    engine: Engine | None = None,
    progress: Progress | None = None,
) -> RowDuplicates:
    """Exact and near duplicates of rows, or with `against` between two sets of rows.

    The units of `against` come after those of `rows`. `scores` (by unit, higher is better) help to
    choose representatives.
    """
    units = Units([*rows, *against] if against else rows, level)
    boundary = len(Units(rows, level)) if against else None
    found = find_duplicates(
        units, threshold, level=level, floor=floor, boundary=boundary, engine=engine,
        progress=progress,
    )  # fmt: skip
    return RowDuplicates(units, found, scores)


def duplicate_pairs(
    rows: Sequence[Conversation], threshold: float
) -> tuple[list[Pair], list[Pair]]:
    """Exact pairs (equal when folded) and near pairs (similarity ≥ threshold, not exact).

    Each exact copy is paired with its first; of two texts that stand in many rows, not every row
    with every other (`Duplicates.pairs`), but always the first with the first.
    """
    found = duplicate_rows(rows, threshold, floor=threshold).duplicates
    exact: list[Pair] = []
    near: list[Pair] = []
    for pair in found.pairs():
        (exact if pair.kind == "exact" else near).append(pair)
    return exact, near


def leak_groups(rows: Sequence[Conversation], threshold: float) -> list[int]:
    """Rows that share a prompt (exactly or nearly), a reply or their first turns have one group
    number."""
    prompts = [prompt_key(row) for row in rows]
    exact, near = duplicate_pairs(rows, threshold)
    alike = [*exact_pairs(prompts), *near_pairs(prompts, PROMPT_THRESHOLD)]
    chats = [Pair(first, row, 1.0) for first, *others in continuations(rows) for row in others]
    return groups(len(rows), [*alike, *exact, *near, *chats])


class Leak(Pair, frozen=True):
    """A row (`left`) that gives away a held-out row (`right`): by its prompt, its reply, or as a
    chat that shares its first turns (`chat`)."""

    by: str
    exact: bool


def leaks(
    rows: Sequence[Conversation], held_out: Sequence[Conversation], threshold: float
) -> list[Leak]:
    """Every row whose prompt or reply stands, exactly or nearly, in the held-out rows, or that
    continues one of them."""
    if not rows or not held_out:
        return []
    found: dict[tuple[int, str], Leak] = {}
    for by, key, limit in (
        ("prompt", prompt_key, PROMPT_THRESHOLD),
        ("reply", _identity, threshold),
    ):
        texts = [key(row) for row in [*rows, *held_out]]
        pairs = find_duplicates(texts, limit, floor=limit, boundary=len(rows)).pairs()
        for pair in pairs:
            known = found.get((pair.left, by))
            if known is None or pair.similarity > known.similarity:
                right = pair.right - len(rows)
                leak = Leak(pair.left, right, pair.similarity, by, pair.kind == "exact")
                found[pair.left, by] = leak
    told = {row for row, _ in found}
    for chats in continuations([*rows, *held_out]):
        kept_back = [place for place in chats if place >= len(rows)]
        for row in chats:
            if kept_back and row < len(rows) and row not in told:
                found[row, "chat"] = Leak(row, kept_back[0] - len(rows), 1.0, "chat", False)
    return sorted(found.values())


def _whole(row: Conversation) -> str:
    said = [turn.text for turn in row.turns if turn.role != "system"]
    # A mark that folding keeps, so that where one turn ends and the next begins counts.
    return " ␞ ".join(said) if any(text.strip() for text in said) else ""
