"""What people decided about rows, in one curation.

    reject   the row goes (`rejected_by_reviewer`), whatever else is true of it
    keep     the row stays in spite of noise filters, duplicates and selection; but nothing that is
             held out comes into training, an empty row holds nothing to train on, and the same
             conversation is kept once
    edit     keep, in other words; the original's id is evidence

Decisions are found by the content of a row, so they hold wherever the row is read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from molting.core.conversation import Conversation, Verdict, content_id
from molting.core.corpus import Corpus, SplitName
from molting.core.rulings import Ruling, reworded
from molting.signals.text import fold

Rulings = Mapping[str, Ruling]
REASON = "rejected_by_reviewer"

_NOTHING_TO_TRAIN = ("no_assistant_turn", "no_user_turn", "empty_reply")
_HELD_OUT = "what is held out cannot be kept in training"
_CANNOT = {
    **dict.fromkeys(_NOTHING_TO_TRAIN, "there is nothing to train on"),
    "in_held_out": _HELD_OUT,
    "same_prompt": _HELD_OUT,
    "exact_duplicate": "the same conversation is kept once",
}
"""Why a keep did not help, by the reason that stands."""


def applied(rows: Iterable[Conversation], rulings: Rulings) -> list[tuple[str, bool, str]]:
    """The decisions that change something about these rows, as (row, kept, id of the new words).

    Neither who decided nor when is part of it: what has the same effect makes the same corpus,
    and an undo leads back to the one before.
    """
    found = {row.id: rulings[row.id] for row in rows if row.id in rulings}
    return sorted(
        (id, ruling.kept, content_id(ruling.edit.turns) if ruling.edit else "")
        for id, ruling in found.items()
    )


def counted(rows: Iterable[Conversation], rulings: Rulings) -> dict[str, int]:
    """How many rows were kept, edited and rejected by people: for the recipe."""
    found = Counter(
        ("edit" if new else "keep") if kept else "reject" for _, kept, new in applied(rows, rulings)
    )
    return dict(sorted(found.items()))


class Reviewed:
    """Rows in the words that count, and what the steps of a curation must know of decisions."""

    def __init__(self, rows: Sequence[Conversation], rulings: Rulings) -> None:
        self.originals = list(rows)
        self.rulings = {i: rulings[row.id] for i, row in enumerate(rows) if row.id in rulings}
        self.rows = [reworded(row, self.rulings.get(i)) for i, row in enumerate(rows)]
        self.kept = {i for i, ruling in self.rulings.items() if ruling.kept}
        self.edited = {i for i, row in enumerate(self.rows) if row is not self.originals[i]}
        self._over: dict[int, list[str]] = defaultdict(list)

    def after_noise(self, verdicts: Sequence[Verdict | None]) -> dict[int, Verdict]:
        """Noise and what reviewers rejected, without the noise that they kept."""
        found: dict[int, Verdict] = {}
        for i, verdict in enumerate(verdicts):
            if i in self.rulings and i not in self.kept:
                found[i] = Verdict(self.rows[i].id, False, REASON)
            elif verdict and i in self.kept and verdict.reason not in _NOTHING_TO_TRAIN:
                self._over[i].append(verdict.reason)
            elif verdict:
                found[i] = verdict
        return found

    def after_duplicates(self, verdicts: dict[int, Verdict]) -> None:
        """Take back the duplicate verdicts of kept rows, except of a second copy of one that stays."""
        if not self.kept:
            return
        stays = {
            _identity(row): row for i, row in reversed([*enumerate(self.rows)]) if i not in verdicts
        }
        for i in sorted(self.kept & verdicts.keys()):
            if not verdicts[i].reason.endswith("_duplicate"):
                continue
            row = self.rows[i]
            same = stays.setdefault(_identity(row), row)
            if same is row:
                self._over[i].append(verdicts.pop(i).reason)
            else:
                twin = {"twin": same.id, "twin_source": str(same.source), "similarity": 1.0}
                verdicts[i] = Verdict(row.id, False, "exact_duplicate", twin)

    def after_choice(
        self,
        pool: Iterable[int],
        verdicts: dict[int, Verdict],
        splits: dict[int, SplitName],
    ) -> None:
        """Kept rows that were not selected take the places of those that were selected last."""
        places = list(pool)
        forced = [i for i in places if i in self.kept and verdicts[i].reason == "not_selected"]
        if not forced:
            return
        taken = [i for i in places if verdicts[i].reason == "selected"]
        last = max((verdicts[i].evidence.get("rank", 0) for i in taken), default=0)
        give = sorted(
            (i for i in taken if i not in self.kept),
            key=lambda i: verdicts[i].evidence.get("rank", 0),
            reverse=True,
        )
        for n, i in enumerate(forced):
            evidence = dict(verdicts[i].evidence)
            self._over[i].append("not_selected")
            if n < len(give):
                loser = verdicts[give[n]]
                evidence["rank"] = loser.evidence.get("rank")
                left = {k: v for k, v in loser.evidence.items() if k not in ("rank", "likeness")}
                verdicts[give[n]] = Verdict(
                    loser.id, False, "not_selected", left | {"gave_way_to": self.rows[i].id}
                )
                del splits[give[n]]
            else:
                # More rows were kept by people than the target has places: all of them stay.
                evidence["rank"] = last = last + 1
            verdicts[i] = Verdict(self.rows[i].id, True, "selected", evidence)
            splits[i] = "train"

    def explain(self, verdicts: dict[int, Verdict]) -> None:
        """Say in the evidence of every decided row who decided what, and what came of it."""
        for i, ruling in self.rulings.items():
            verdict = verdicts[i]
            verdicts[i] = msgspec.structs.replace(
                verdict, evidence=verdict.evidence | self._evidence(i, ruling, verdict)
            )

    def _evidence(self, i: int, ruling: Ruling, verdict: Verdict) -> dict[str, Any]:
        edited = i in self.edited
        source = ruling.edit if edited and ruling.edit else ruling.decision
        found: dict[str, Any] = {
            "action": "edit" if edited else "keep" if ruling.kept else "reject",
            "reviewer": source.reviewer,
            "decision": source.id,
            "note": "; ".join(ruling.notes),
        }
        if edited:
            found["original"] = self.originals[i].id
        if self._over[i]:
            found["over"] = self._over[i]
        if ruling.kept and not verdict.kept:
            found["cannot"] = _CANNOT.get(verdict.reason, "another rule stands")
        elif ruling.kept and verdict.reason == "held_out":
            found["cannot"] = _HELD_OUT
        if ruling.disagreement:
            found["disagreement"] = dict(ruling.disagreement)
        return found


def kept_by_person(corpus: Corpus) -> set[str]:
    """`file:line` of the rows that a person kept or edited, and that are kept."""
    return {
        str(row.conversation.source)
        for row in corpus.kept
        if row.verdict.evidence.get("action") in ("keep", "edit")
    }


def _identity(row: Conversation) -> tuple[tuple[str, str], ...]:
    return tuple((turn.role, fold(turn.text)) for turn in row.turns)
