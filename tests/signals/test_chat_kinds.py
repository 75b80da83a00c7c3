"""Recall and precision on the hand-made cases, and what a finding tells."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.conversation import Conversation, Source, Turn
from molting.signals.catch_phrases import PhraseBudget
from molting.signals.chat_kinds import KindFinding, find_kinds

ROOT = Path(__file__).parents[2]
_ROLES: dict[str, Any] = {"s": "system", "u": "user", "a": "assistant"}


def chat(*turns: str) -> Conversation:
    return Conversation(tuple(Turn(_ROLES[t[0]], t[2:]) for t in turns), Source("a.jsonl", 1))


def kinds(*chats: Conversation, **options: Any) -> list[str]:
    return [finding.kind for finding in find_kinds(chats, **options)]


def only(kind: str, *chats: Conversation) -> KindFinding:
    (found,) = [f for f in find_kinds(chats) if f.kind == kind]
    return found


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The benchmark reads and counts the cases; the test holds it to its figures."""
    path = ROOT / "benchmarks" / "chat_kinds.py"
    spec = importlib.util.spec_from_file_location("chat_kinds_benchmark", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_each_kind_is_found_in_the_cases_and_little_else_is(benchmark: ModuleType) -> None:
    cases = [
        c for f in benchmark.FILES.values() for c in benchmark.read_cases(ROOT / "tests/data" / f)
    ]
    assert len(cases) >= 200
    assert len({case.name for case in cases}) == len(cases)
    counts, wrong = benchmark.tally(cases, find_kinds)
    for kind, count in counts.items():
        assert count.hits >= 6, kind
        assert count.recall >= 0.95, (kind, wrong)
        assert count.precision >= 0.95, (kind, wrong)
    # Hard negatives are half of the cases, or precision would be cheap.
    assert sum(not case.expected for case in cases) >= 0.4 * len(cases)


def test_a_broken_finder_fails_the_cases(benchmark: ModuleType) -> None:
    cases = benchmark.read_cases(ROOT / "tests/data" / benchmark.FILES["first"])
    silent, _ = benchmark.tally(cases, lambda chats: [])
    assert {count.recall for count in silent.values()} == {0.0}
    eager, _ = benchmark.tally(
        cases,
        lambda chats: [
            KindFinding("conflicting_replies", (i, j), ((i,), (j,)), {}, "")
            for i in range(len(chats))
            for j in range(i)
        ],
    )
    assert eager["conflicting_replies"].precision < 0.2


LAMP = "The lamp over the harbour has never gone out, and I mean to keep it so."


def test_the_same_reply_names_its_turns_and_prompts() -> None:
    found = only(
        "same_reply_other_prompt",
        chat("u Will it rain?", f"a {LAMP}"),
        chat("u hello", "a Hello!", "u Who is the groom?", f"a {LAMP.upper()}"),
        chat("u Is there soup?", "a Leeks."),
        chat("u will it rain??", f"a {LAMP}"),
    )
    assert found.rows == (0, 1, 3)
    assert found.parts == ((0, 3), (1,))
    assert sorted(found.pairs()) == [(0, 1), (1, 3)]
    assert found.evidence["turns"] == [[0, 1], [3, 1], [1, 3]]
    assert found.evidence["prompts"] == ["Will it rain?", "Who is the groom?"]
    assert found.evidence["similarity"] == 1.0
    assert "rewrite" in found.remedy


def test_an_encoder_may_say_that_two_prompts_are_one() -> None:
    rows = [
        chat("u How do I fix a puncture?", f"a {LAMP}"),
        chat("u My tyre is flat.", f"a {LAMP}"),
    ]
    assert kinds(*rows) == ["same_reply_other_prompt"]
    assert kinds(*rows, alike=lambda pairs: [0.9 for _ in pairs]) == []
    assert kinds(*rows, alike=lambda pairs: [0.1 for _ in pairs]) == ["same_reply_other_prompt"]


def test_a_conflict_shows_both_answers_and_why() -> None:
    found = only(
        "conflicting_replies",
        chat("u What time do you open?", "a At nine, dear."),
        chat("u please tell me what time you open", "a We open at 9."),
        chat("u What time do you open?", "a At ten, dear."),
    )
    assert found.parts == ((0, 1), (2,))
    assert found.evidence["because"] == ["numbers"]
    assert [a["turns"] for a in found.evidence["answers"]] == [[[0, 1], [1, 1]], [[2, 1]]]


def test_a_prefix_says_where_the_chats_part() -> None:
    start = ["u My bread never rises.", "a How warm is your kitchen?"]
    found = only(
        "shared_prefix",
        chat("s Be brief.", *start, "u Freezing.", "a Then use the oven lamp."),
        chat("s Be brief.", *start),
    )
    assert found.rows == (0, 1)
    assert found.evidence["shared_turns"] == 2
    assert found.evidence["parts_at"] == [[0, 3], [1, None]]
    assert found.evidence["one_is_a_prefix"] is True


def test_a_phrase_says_its_count_share_budget_and_the_rows_beyond() -> None:
    openings = ["Aye, lad, " if i % 2 else "" for i in range(40)]
    draw = random.Random(1)
    words = [
        "gull",
        "rope",
        "tide",
        "oar",
        "mast",
        "keel",
        "crow",
        "plank",
        "sail",
        "fog",
        "moon",
        "shell",
        "barrel",
        "lamp",
    ]
    rows = [
        chat(f"u question {i}", f"a {start}{' '.join(draw.sample(words, 8))}.")
        for i, start in enumerate(openings)
    ]
    found = only("catch_phrase", *rows)
    evidence = found.evidence
    assert (evidence["phrase"], evidence["where"]) == ("aye lad", "opener")
    assert (evidence["count"], evidence["share"]) == (20, 0.5)
    assert evidence["allowed"] == int(evidence["budget"] * 40)
    assert len(found.rows) == 20 - evidence["allowed"]
    assert set(found.rows) <= set(range(1, 40, 2))
    wide = PhraseBudget(most=0.6, least=0.6, least_anywhere=0.6)
    assert kinds(*rows, budget=wide) == []


def test_a_system_prompt_in_every_row_is_told_once() -> None:
    rows = [
        chat("s Be Nan.", f"u {q}?", f"a {a}.") for q, a in (("soup", "leeks"), ("wind", "west"))
    ]
    assert kinds(*rows) == ["shared_system"]
    assert kinds(*rows, chat("u fog", "a thick")) == []


def test_nothing_is_found_in_nothing() -> None:
    assert find_kinds([]) == []
    assert find_kinds([chat("u hi", "a Hello.")]) == []
    assert find_kinds([chat("s x"), chat("u "), chat("a "), chat("u a", "u b")]) == []


MESSAGES = st.sampled_from(
    [
        "u hi", "a Hello!", "u Where were you born?", "a In Lisbon.", "a Porto.", f"a {LAMP}",
        "u Is there soup today?", "u Who built it?", "s Be Nan.", "a Yes.", "u ", "a Leeks, and pie.",
    ]
)  # fmt: skip
CHATS = st.lists(st.lists(MESSAGES, min_size=1, max_size=7), max_size=7)


@settings(max_examples=60, deadline=None)
@given(CHATS)
def test_findings_hold_places_that_are_there_and_no_exact_copy(texts: list[list[str]]) -> None:
    rows = [chat(*turns) for turns in texts]
    found = find_kinds(rows)
    assert found == find_kinds(rows)
    for finding in found:
        assert list(finding.rows) == sorted(set(finding.rows))
        assert set(finding.rows) <= set(range(len(rows)))
        assert {row for part in finding.parts for row in part} == set(finding.rows)
        assert finding.remedy
        if finding.kind in ("merged_turns", "reordered_turns", "shared_prefix"):
            assert all(rows[left].id != rows[right].id for left, right in finding.pairs())


@settings(max_examples=30, deadline=None)
@given(CHATS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_pair(texts: list[list[str]], draw: random.Random) -> None:
    rows = [chat(*turns) for turns in texts]
    order = list(range(len(rows)))
    draw.shuffle(order)

    def pairs(findings: list[KindFinding], place: list[int]) -> Counter[tuple[str, frozenset[int]]]:
        # Which phrase exceeds its budget depends on nothing but order, by design.
        return Counter(
            (f.kind, frozenset((place[a], place[b])))
            for f in findings
            if f.kind in ("shared_prefix", "merged_turns", "reordered_turns")
            for a, b in f.pairs()
        )

    straight = pairs(find_kinds(rows), list(range(len(rows))))
    assert set(straight) == set(pairs(find_kinds([rows[i] for i in order]), order))


def test_ten_thousand_rows_take_no_quadratic_time() -> None:
    draw = random.Random(0)
    words = [
        f"{a}{b}" for a in "bcdfglmnprst" for b in ("al", "er", "in", "ot", "um", "ash", "ive")
    ]

    def rows(count: int) -> list[Conversation]:
        return [
            chat(
                f"u {' '.join(draw.choices(words, k=6))}?",
                f"a {' '.join(draw.choices(words, k=14))}.",
            )
            for _ in range(count)
        ]

    import time

    seconds = []
    for some in (rows(500), rows(2000)):
        begun = time.process_time()
        find_kinds(some)
        seconds.append(time.process_time() - begun)
    # Four times the rows: sixteen times the time would be all against all.
    assert seconds[1] < 10 * seconds[0] + 1
