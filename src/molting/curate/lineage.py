"""Versions of a corpus: which there are, what their recipes changed, and how their rows differ.

Rows of two versions are paired by content, an edited row by the content it had in the chat file;
what then is left over is paired where it stands at the same line of the same file and shares text
(somebody changed the file), and otherwise was added or removed.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from molting.core.conversation import Turn
from molting.core.corpus import Corpus, Row, Version, versions
from molting.core.errors import UsageError
from molting.curate.turntext import to_text
from molting.signals.text import character_ngrams, jaccard

KINDS = (
    "added", "removed", "edited", "kept_to_rejected", "rejected_to_kept", "moved", "other_reason",
)  # fmt: skip
"""What can have happened to a row. One row can be edited and moved at once."""
SAME_PLACE_LIKENESS = 0.3
_WORD = re.compile(r"\s+|\w+|[^\w\s]+")

Words = tuple[tuple[Literal["=", "-", "+"], str], ...]
"""Runs of text that stayed, went and came; `=` and `-` give the old text, `=` and `+` the new."""


class Setting(msgspec.Struct, frozen=True):
    """A key of the recipe with two values; None where a version has no such key."""

    key: str
    a: Any
    b: Any

    def __str__(self) -> str:
        return f"{self.key} {_shown(self.a)} → {_shown(self.b)}"


class RowChange(msgspec.Struct, frozen=True):
    """What happened to a row between version a and version b."""

    kinds: tuple[str, ...]
    a: Row | None
    b: Row | None
    words: Words = ()
    """For an edited row: from the old text form to the new one."""

    def as_json(self) -> dict[str, Any]:
        return {
            "changes": self.kinds,
            "a": self.a and row_json(self.a),
            "b": self.b and row_json(self.b),
            "words": self.words or None,
        }


class Difference(msgspec.Struct, frozen=True):
    """Every row of both versions is in `rows` or counted as unchanged."""

    recipe: tuple[Setting, ...]
    rows: tuple[RowChange, ...]
    unchanged: int

    def counts(self) -> dict[str, int]:
        found = Counter(kind for row in self.rows for kind in row.kinds)
        return {kind: found[kind] for kind in KINDS} | {"unchanged": self.unchanged}


def find_version(folder: Path, name: str) -> Version:
    """The version of a short name (`v2`), an id, or the beginning of one that fits no other."""
    known = versions(folder)
    if not known:
        raise UsageError(f"{folder}: no corpus yet; `molting curate` makes one")
    wanted = name.removeprefix("b2:").removeprefix("b2-")
    found = [v for v in known if v.name == name] or [
        v for v in known if wanted and v.id.removeprefix("b2:").startswith(wanted)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name}: fits {', '.join(f'{v.name} ({v.id})' for v in found)}")
    raise UsageError(f"{name}: no such corpus; there are {', '.join(v.name for v in known)}")


def recipe_changes(a: dict[str, Any], b: dict[str, Any]) -> tuple[Setting, ...]:
    """Keys whose values differ, nested keys joined by dots, in alphabetical order."""
    old, new = _flat(a), _flat(b)
    return tuple(
        Setting(key, old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    )


def difference(a: Corpus, b: Corpus) -> Difference:
    """Row by row, in the order of b; removed rows come last."""
    pairs: list[tuple[int, int]] = []
    left, right = set(range(len(a.rows))), set(range(len(b.rows)))
    keys: list[Callable[[Row], Hashable]] = [
        # Where the same words stand in several rows, the row at the same place is the same one.
        lambda row: (_origin(row), str(row.conversation.source)),
        _origin,
        lambda row: str(row.conversation.source),
    ]
    for step, key in enumerate(keys):
        waiting: dict[Hashable, deque[int]] = defaultdict(deque)
        for i in sorted(left):
            waiting[key(a.rows[i])].append(i)
        for j in sorted(right):
            here = waiting.get(key(b.rows[j]))
            if here and (step < 2 or _share_text(a.rows[here[0]], b.rows[j])):
                i = here.popleft()
                pairs.append((i, j))
                left.discard(i)
                right.discard(j)
    partner = {j: i for i, j in pairs}
    changes = []
    unchanged = 0
    for j, new in enumerate(b.rows):
        if j not in partner:
            changes.append(RowChange(("added",), None, new))
            continue
        change = _change(a.rows[partner[j]], new)
        if change.kinds:
            changes.append(change)
        else:
            unchanged += 1
    changes += [RowChange(("removed",), a.rows[i], None) for i in sorted(left)]
    return Difference(recipe_changes(a.recipe, b.recipe), tuple(changes), unchanged)


def word_diff(old: Sequence[Turn], new: Sequence[Turn]) -> Words:
    """From one text form to another, word by word."""
    before, after = (_WORD.findall(to_text(turns)) for turns in (old, new))
    found: list[tuple[Literal["=", "-", "+"], str]] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for operation, i1, i2, j1, j2 in matcher.get_opcodes():
        if operation == "equal":
            found.append(("=", "".join(before[i1:i2])))
            continue
        if i1 < i2:
            found.append(("-", "".join(before[i1:i2])))
        if j1 < j2:
            found.append(("+", "".join(after[j1:j2])))
    return tuple(found)


def row_json(row: Row) -> dict[str, Any]:
    """A row as `molting corpus --json` shows it."""
    return {
        "id": row.conversation.id,
        "source": str(row.conversation.source),
        "kept": row.verdict.kept,
        "split": row.split,
        "reason": row.verdict.reason,
        "evidence": row.verdict.evidence,
    }


def _change(old: Row, new: Row) -> RowChange:
    kinds = []
    words: Words = ()
    if old.conversation.id != new.conversation.id:
        kinds.append("edited")
        words = word_diff(old.conversation.turns, new.conversation.turns)
    if old.verdict.kept != new.verdict.kept:
        kinds.append("kept_to_rejected" if old.verdict.kept else "rejected_to_kept")
    elif old.split != new.split:
        kinds.append("moved")
    elif old.verdict.reason != new.verdict.reason:
        kinds.append("other_reason")
    return RowChange(tuple(kinds), old, new, words)


def _origin(row: Row) -> str:
    return str(row.verdict.evidence.get("original", row.conversation.id))


def _share_text(old: Row, new: Row) -> bool:
    grams = [
        character_ngrams("\n".join(turn.text for turn in row.conversation.turns))
        for row in (old, new)
    ]
    return jaccard(*grams) >= SAME_PLACE_LIKENESS


def _flat(recipe: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _shown(value: Any) -> str:
    return "absent" if value is None else msgspec.json.encode(value).decode()
