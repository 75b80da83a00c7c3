"""The kinds of duplicates that only chats have, on cases written for this project.

python -m benchmarks.chat_kinds                       recall and precision by kind
python -m benchmarks.chat_kinds --verbose             and every miss and false alarm
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from molting.core.conversation import Conversation, Source, Turn
from molting.signals.chat_kinds import Kind, KindFinding, find_kinds

CASES = Path("tests/data")
FILES = {name: f"chat_kinds_{name}.jsonl" for name in ("first", "second", "third")}
KINDS: tuple[Kind, ...] = get_args(Kind)
_ROLES: dict[str, Any] = {"s": "system", "u": "user", "a": "assistant"}

Unit = tuple[Any, ...]
"""What is counted: a pair of rows, a phrase and its place, or the case itself."""


class Case(NamedTuple):
    name: str
    chats: tuple[Conversation, ...]
    expected: dict[str, set[Unit]]


class Tally(NamedTuple):
    """Units of one kind over all cases: found and expected, only expected, only found."""

    hits: int = 0
    missed: int = 0
    false: int = 0

    @property
    def recall(self) -> float | None:
        return self.hits / (self.hits + self.missed) if self.hits + self.missed else None

    @property
    def precision(self) -> float | None:
        return self.hits / (self.hits + self.false) if self.hits + self.false else None


def read_cases(path: Path) -> list[Case]:
    """Each line: `chats`, lists of "u text", "a text", "s text"; and what is to be found."""
    cases = []
    for line in path.read_text(encoding="utf-8").splitlines():
        raw = json.loads(line)
        chats = tuple(
            Conversation(
                tuple(Turn(_ROLES[text[0]], text[2:]) for text in chat), Source(raw["id"], i)
            )
            for i, chat in enumerate(raw["chats"], 1)
        )
        expected: dict[str, set[Unit]] = defaultdict(set)
        for item in raw["expect"]:
            expected[item["kind"]] |= set(_expected(item))
        cases.append(Case(raw["id"], chats, expected))
    return cases


def _expected(item: dict[str, Any]) -> Iterable[Unit]:
    if item["kind"] == "shared_system":
        return [("all",)]
    if item["kind"] == "catch_phrase":
        return [(item["where"], item["phrase"])]
    parts = item["answers"] if "answers" in item else [[row] for row in item["rows"]]
    if len(parts) == 1:
        # A chat that repeats itself.
        return [(parts[0][0], parts[0][0])]
    finding = KindFinding(item["kind"], (), tuple(map(tuple, parts)), {}, "")
    return finding.pairs()


def units(finding: KindFinding) -> Iterable[Unit]:
    """What a finding claims, counted as `Case.expected` is."""
    if finding.kind == "shared_system":
        return [("all",)]
    if finding.kind == "catch_phrase":
        return [(finding.evidence["where"], finding.evidence["phrase"])]
    return set(finding.pairs())


def tally(
    cases: Sequence[Case], find: Callable[[Sequence[Conversation]], list[KindFinding]]
) -> tuple[dict[str, Tally], list[str]]:
    """Recall and precision by kind, and a line for every unit that is wrong."""
    counts = {kind: [0, 0, 0] for kind in KINDS}
    wrong = []
    for case in cases:
        found: dict[str, set[Unit]] = defaultdict(set)
        for finding in find(case.chats):
            found[finding.kind] |= set(units(finding))
        for kind in KINDS:
            want, have = case.expected.get(kind, set()), found[kind]
            for at, some in enumerate((want & have, want - have, have - want)):
                counts[kind][at] += len(some)
                if at:
                    wrong += [
                        f"{case.name}: {('', 'missed', 'false')[at]} {kind} {u}" for u in some
                    ]
    return {kind: Tally(*count) for kind, count in counts.items()}, sorted(wrong)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    sets = {
        name: read_cases(CASES / file) for name, file in FILES.items() if (CASES / file).exists()
    }
    for name, cases in sets.items():
        counts, wrong = tally(cases, find_kinds)
        print(f"{name} set: {len(cases)} cases")
        for kind, count in counts.items():
            print(
                f"  {kind:24} recall {_share(count.recall)}  precision {_share(count.precision)}"
                f"  ({count.hits} found, {count.missed} missed, {count.false} false)"
            )
        if options.verbose:
            print(*(f"    {line}" for line in wrong), sep="\n")
    return 0


def _share(value: float | None) -> str:
    return " —  " if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
