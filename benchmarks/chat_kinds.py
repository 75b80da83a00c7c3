"""The kinds of duplicates that only chats have, on cases written for this project.

python -m benchmarks.chat_kinds                       recall and precision by kind
python -m benchmarks.chat_kinds --verbose             and every miss and false alarm
"""

from __future__ import annotations

import argparse
import json
import sys
import time
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


class Encoder:
    """Mean-pooled sentence vectors of unit length, as SemHash and `find_kinds` both take them."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder).eval()
        self.known: dict[str, Any] = {}

    def encode(self, inputs: Sequence[str], **_: Any) -> Any:
        import numpy as np
        import torch

        new = [text for text in dict.fromkeys(inputs) if text not in self.known]
        for start in range(0, len(new), 64):
            texts = new[start : start + 64]
            batch = self.tokenizer(texts, padding=True, truncation=True, max_length=256,
                                   return_tensors="pt")  # fmt: skip
            with torch.inference_mode():
                hidden = self.model(**batch).last_hidden_state
            mask = batch["attention_mask"][..., None].float()
            mean = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)
            self.known |= dict(zip(texts, mean.numpy(), strict=True))
        return np.stack([self.known[text] for text in inputs])

    def alike(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        return [float(a @ b) for a, b in (self.encode(pair) for pair in pairs)]


def semhash_pairs(
    cases: Sequence[Case], encoder: Encoder, replies: bool
) -> list[set[tuple[int, int]]]:
    """For each case the pairs of rows that SemHash calls duplicates, at its own threshold."""
    from semhash import SemHash

    found = []
    for case in cases:
        records = [
            {"row": str(i), "text": text}
            for i, chat in enumerate(case.chats)
            for text in (chat.replies if replies else ["\n".join(t.text for t in chat.turns)])
        ]
        index = SemHash.from_records(records, columns=["text"], model=encoder)
        result = index.self_deduplicate()
        pairs = [
            (int(item.record["row"]), int(item.duplicate_of["row"])) for item in result.filtered
        ]
        found.append({(min(pair), max(pair)) for pair in pairs})
    return found


def print_semhash(cases: Sequence[Case], encoder: Encoder) -> None:
    for replies in (False, True):
        pairs = semhash_pairs(cases, encoder, replies)
        print(f"SemHash 0.5.0 among {'replies' if replies else 'whole chats'}, threshold 0.9:")
        for kind in KINDS[:5]:
            expected = sum(len(case.expected.get(kind, ())) for case in cases)
            hit = sum(
                len(case.expected.get(kind, set()) & have)
                for case, have in zip(cases, pairs, strict=True)
            )
            print(f"  {kind:24} recall {hit / expected:.3f} ({hit} of {expected})")
        called = right = 0
        for case, have in zip(cases, pairs, strict=True):
            known = set().union(*case.expected.values())
            for left, right_row in have:
                if case.chats[left].id != case.chats[right_row].id or left == right_row:
                    called += 1
                    right += (left, right_row) in known
        print(f"  of {called} pairs that it calls duplicates {right} belong to a kind")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--encoder", type=Path)
    options = parser.parse_args()
    sets = {name: read_cases(CASES / file) for name, file in FILES.items()}
    everything = [case for cases in sets.values() for case in cases]
    for name, cases in {**sets, "every": everything}.items():
        _print(f"{name} set: {len(cases)} cases", cases, find_kinds, options.verbose)
    if options.encoder:
        encoder = Encoder(options.encoder)
        begun = time.perf_counter()
        _print(
            "every set, with the encoder",
            everything,
            lambda chats: find_kinds(chats, alike=encoder.alike),
            options.verbose,
        )
        print(f"  {time.perf_counter() - begun:.1f} s")
        print_semhash(everything, encoder)
    return 0


def _print(
    title: str,
    cases: Sequence[Case],
    find: Callable[[Sequence[Conversation]], list[KindFinding]],
    verbose: bool,
) -> None:
    counts, wrong = tally(cases, find)
    print(title)
    for kind, count in counts.items():
        print(
            f"  {kind:24} recall {_share(count.recall)}  precision {_share(count.precision)}"
            f"  ({count.hits} found, {count.missed} missed, {count.false} false)"
        )
    if verbose:
        for line in wrong:
            print(f"    {line}")


def _share(value: float | None) -> str:
    return " —  " if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
