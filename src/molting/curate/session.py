"""One reviewer's way through the queue. The terminal and the studio drive it; it prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from molting.core.conversation import Conversation, Turn
from molting.core.journal import Journal
from molting.core.rulings import Action, Decision, Opinion, active, opinions
from molting.curate.review import Item


class Session:
    """Where a reviewer is. Every method that decides returns after the decision is on the disk."""

    def __init__(
        self, journal: Journal, items: Sequence[Item], reviewer: str, *, again: bool = False
    ) -> None:
        self.journal = journal
        self.items = tuple(items)
        self.reviewer = reviewer
        self._decisions = journal.decisions()
        self._made: list[Decision] = []
        self._replay()
        self._left = [
            place
            for place, item in enumerate(self.items)
            if again or self.opinion(item).kept is None
        ]

    @property
    def current(self) -> Item | None:
        """The row to decide; None at the end of the queue."""
        return self.items[self._left[0]] if self._left else None

    @property
    def place(self) -> int:
        """The current row's place in the queue, from 1; the queue's length at its end."""
        return self._left[0] + 1 if self._left else len(self.items)

    def opinion(self, item: Item) -> Opinion:
        """What this reviewer has said of a row so far."""
        return self._opinions.get(item.conversation.id, Opinion(self.reviewer))

    def words(self, item: Item) -> Conversation:
        """The row in this reviewer's words."""
        turns = self.opinion(item).turns
        return Conversation(turns, item.conversation.source) if turns else item.conversation

    def counts(self) -> dict[str, int]:
        """Rows of the queue by this reviewer's label: keep, edit, reject."""
        labels = Counter(self.opinion(item).label for item in self.items)
        return {label: labels[label] for label in ("keep", "edit", "reject")}

    def progress(self) -> str:
        """`12 of 150 · 8 kept · 3 rejected`."""
        counts = self.counts()
        parts = [f"{self.place} of {len(self.items)}", f"{counts['keep']} kept"]
        if counts["edit"]:
            parts.append(f"{counts['edit']} edited")
        return " · ".join([*parts, f"{counts['reject']} rejected"])

    def keep(self, note: str = "") -> Decision:
        return self._decide("keep", note)

    def reject(self, note: str = "") -> Decision:
        return self._decide("reject", note)

    def edit(self, turns: Sequence[Turn], note: str = "") -> Decision:
        """Keep the row in other words; the original stays in the journal."""
        return self._decide("edit", note, turns)

    def note(self, text: str) -> Decision:
        """Say something of the row, which stays where it is."""
        return self._append(self._item(), "note", text)

    def skip(self) -> None:
        """Leave the row undecided; the next session asks again."""
        self._left.pop(0)

    def undo(self) -> tuple[Decision, Decision] | None:
        """Take back the last decision and go back to its row; (the undo, what it took back).

        The last of this session, else this reviewer's last that counts; None when there is none.
        """
        mine = [d for d in active(self._decisions) if d.reviewer == self.reviewer]
        target = self._made[-1] if self._made else mine[-1] if mine else None
        if target is None:
            return None
        undo = self.journal.append(self.reviewer, target.row, "undo", undoes=target.id)
        self._decisions.append(undo)
        if self._made:
            self._made.pop()
        self._replay()
        for place, item in enumerate(self.items):
            if item.conversation.id == target.row:
                self._left = [place, *(other for other in self._left if other != place)]
        return undo, target

    def _decide(self, action: Action, note: str, turns: Sequence[Turn] = ()) -> Decision:
        decision = self._append(self._item(), action, note, turns)
        self._left.pop(0)
        return decision

    def _append(
        self, item: Item, action: Action, note: str, turns: Sequence[Turn] = ()
    ) -> Decision:
        decision = self.journal.append(
            self.reviewer,
            item.conversation.id,
            action,
            turns=turns,
            original=item.conversation.turns if turns else (),
            note=note.strip(),
            reason=",".join(why.code for why in item.why),
        )
        self._decisions.append(decision)
        self._made.append(decision)
        self._replay()
        return decision

    def _item(self) -> Item:
        if self.current is None:
            raise IndexError("the queue is at its end")
        return self.current

    def _replay(self) -> None:
        mine = [d for d in self._decisions if d.reviewer == self.reviewer]
        self._opinions = {
            row: of_row[self.reviewer]
            for row, of_row in opinions(mine).items()
            if self.reviewer in of_row
        }
