from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from molting.core.config import Config, parse_config
from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.corpus import Corpus, Row
from molting.curate.review import CODES, Item, review_queue

WORDS = (
    "harbour", "lantern", "rope", "gull", "barrel", "tide", "compass", "anchor", "storm", "parrot",
    "biscuit", "map", "chest", "island", "cannon", "sail", "deck", "rum", "fog", "whale", "moon",
)  # fmt: skip
CONFIG = parse_config({"persona": {"name": "Skerry", "voice_never": ["great question"]}})


def row(n: int, reason: str = "selected", reply: str = "", **evidence: Any) -> Row:
    said = reply or " ".join(random.Random(n).sample(WORDS, 8)) + "."
    turns = (Turn("user", f"question {n}"), Turn("assistant", said))
    conversation = Conversation(turns, Source("a.jsonl", n))
    kept = reason in ("selected", "held_out")
    return Row(conversation, Verdict(conversation.id, kept, reason, evidence), "train" if kept else None, n if kept else None)  # fmt: skip


def queue(rows: list[Row], count: int = 150, config: Config = CONFIG) -> list[Item]:
    conversations = [r.conversation for r in rows]
    return review_queue(conversations, Corpus("b2:c", tuple(rows), {}), config, count)


def codes(rows: list[Row], **more: Any) -> dict[int, set[str]]:
    """Line → why it is in the queue."""
    return {i.conversation.source.line: {why.code for why in i.why} for i in queue(rows, **more)}


def plain(count: int, first: int = 100) -> list[Row]:
    """Kept rows that nothing speaks against."""
    return [row(n, score=1.0, voice=0.9, substance=1.0, rank=n - first + 1)
            for n in range(first, first + count)]  # fmt: skip


def test_rows_near_the_cut_come_by_their_distance() -> None:
    rows = [
        *(row(n, score=1 - n / 100, voice=0.9, substance=1.0, rank=n) for n in range(1, 21)),
        *(row(n, "not_selected", score=1 - n / 100, voice=0.9, substance=1.0) for n in range(21, 41)),
    ]  # fmt: skip
    only = [i for i in queue(rows) if {why.code for why in i.why} == {"near_cut"}]
    away = [abs(i.verdict.evidence["score"] - 0.805) for i in only]
    # To a hundredth: closer than that, the rows taken last come first.
    assert all(one <= other + 0.011 for one, other in pairwise(away))
    assert len(only) > 30, "there is always a next one"
    assert all(i.why[0].text.endswith("the last rows taken have about 0.81") for i in only)


def test_where_nothing_is_cut_off_the_weakest_are_asked_about() -> None:
    rows = [row(n, score=n / 40, voice=0.9, substance=1.0, rank=n) for n in range(1, 41)]
    weakest = {line for line, why in codes(rows).items() if "weakest_kept" in why}
    assert weakest == set(range(1, 11))
    assert not any("near_cut" in why for why in codes(rows).values())


def test_an_uncertain_voice_and_signals_that_disagree() -> None:
    rows = [
        *plain(20),
        row(1, score=0.9, voice=0.5, substance=0.7, rank=21),
        row(2, score=0.9, voice=0.62, substance=0.7, rank=22),
        row(3, "not_selected", score=0.5, voice=0.02, substance=1.0),
        row(4, score=0.9, voice=None, substance=1.0, rank=23),
    ]
    found = codes(rows)
    assert "uncertain_voice" in found[1] & found[2]
    assert found[3] >= {"signals_disagree"}
    assert not found.get(4, set()) & {"uncertain_voice", "signals_disagree"}, "unknown is no doubt"
    order = [i.conversation.source.line for i in queue(rows)]
    assert order.index(1) < order.index(2)


def test_a_row_unlike_all_others_is_an_outlier() -> None:
    alike = [row(n, reply=f"The harbour lantern and the rope by the tide, mate {n}.",
                 score=1.0, voice=0.9, substance=1.0, rank=n) for n in range(1, 31)]  # fmt: skip
    odd = row(50, reply="Zygotic quince juxtaposed fjord; vexing wxyz.", score=1.0, rank=31)
    assert "outlier" in codes([*alike, odd])[50]
    assert sum("outlier" in why for why in codes([*alike, odd]).values()) <= 4


def test_what_stands_for_many_duplicates_and_what_is_hardly_one() -> None:
    keeper, single = row(1), row(2)
    rows = [
        *plain(20), keeper, single,
        *(row(n, "near_duplicate", twin=keeper.conversation.id, twin_source="a.jsonl:1", similarity=0.95)
          for n in (3, 4, 5)),
        row(6, "near_duplicate", twin=single.conversation.id, twin_source="a.jsonl:2", similarity=0.71),
        row(7, "exact_duplicate", twin=single.conversation.id, similarity=1.0),
    ]  # fmt: skip
    found = {i.conversation.source.line: i for i in queue(rows)}
    why = {line: {w.code: w.text for w in i.why} for line, i in found.items()}
    assert why[1]["stands_for_many"] == "was kept in place of 3 duplicates"
    assert why[2]["stands_for_many"] == "was kept in place of 2 duplicates"
    assert why[6]["near_duplicate"] == "similarity 0.71 to a.jsonl:2"
    assert found[6].neighbour is not None
    assert found[6].neighbour.conversation == single.conversation
    assert {3, 4, 5, 7}.isdisjoint(found), "clear duplicates are no question"
    # Another threshold, another border.
    strict = parse_config({"curate": {"near_threshold": 0.9}})
    assert "near_duplicate" in codes(rows, config=strict)[3]


def test_kept_rows_that_something_speaks_against_show_what_and_where() -> None:
    rows = [
        *plain(20),
        row(1, reply="Great question! The tide is out.", score=1.0, voice=0.9, rank=21),
        row(2, reply="# Tides\nThey come and they go.", score=1.0, voice=0.9, rank=22),
        row(3, score=0.5, voice=0.01, substance=1.0, rank=23),
        row(4, reply="The harbour lantern burns all night and then it", score=1.0, voice=0.9, rank=24),
    ]  # fmt: skip
    found = {i.conversation.source.line: i for i in queue(rows)}
    told = {n: next(w.text for w in found[n].why if w.code == "warning") for n in (1, 2, 3, 4)}
    assert told[1] == "never said: “Great question”"
    assert told[2] == "heading: “# T”"
    assert told[3] == "the reply shows nothing of the voice (0.01)"
    assert told[4].startswith("open end")
    (mark,) = found[1].marks
    assert rows[20].conversation.turns[mark.turn].text[mark.start : mark.end] == "Great question"


def test_what_an_edit_can_mend() -> None:
    long = "As an AI I shrug. " + "The tide comes in and the tide goes out. " * 10
    rows = [
        *plain(20),
        row(1, "boilerplate", reply=long, turn=1, span=[0, 8], matched="As an AI"),
        row(2, "secret", reply=long, turn=1, span=[20, 25], kind="phone"),
        row(3, "boilerplate", reply="As an AI I", turn=1, span=[0, 8], matched="As an AI"),
        row(4, "cut_off", turn=1, ends="and then"),
        row(5, "tool_output", reply=long, turn=1, span=[0, 5], matched="As an"),
    ]
    found = {i.conversation.source.line: i for i in queue(rows)}
    assert {1, 2, 4} <= {n for n, i in found.items() if i.why[0].code == "repairable"}
    assert {3, 5}.isdisjoint(found)
    assert found[2].marks[0].kind == "phone"
    assert found[1].why[0].text == "rejected for boilerplate, 2% of the turn"


def test_rows_with_the_same_words_are_asked_about_once() -> None:
    rows = [*plain(20), *(row(1, reply="Great question! So it is.") for _ in range(3))]
    (item,) = [i for i in queue(rows) if i.conversation.source.line == 1]
    assert item.copies == 3


def test_a_row_that_is_doubtful_twice_comes_first() -> None:
    rows = [
        *plain(20),
        row(1, reply="Great question, mate.", score=0.1, voice=0.5, substance=1.0, rank=99),
    ]
    assert queue(rows)[0].conversation.source.line == 1


def test_nothing_in_doubt_and_nothing_at_all() -> None:
    assert queue([]) == []
    same = [
        row(n, reply="The very same words.", score=1.0, voice=0.9, substance=1.0, rank=n)
        for n in (1, 2)
    ]
    assert queue(same) == []


KIND = st.sampled_from(
    ["selected", "not_selected", "held_out", "near_duplicate", "boilerplate", "cut_off", "error"]
)  # fmt: skip


@st.composite
def corpora(draw: st.DrawFn) -> list[Row]:
    rows: list[Row] = []
    for n in range(draw(st.integers(0, 25))):
        reason = draw(KIND)
        number = st.none() | st.floats(0, 1)
        evidence: dict[str, Any] = {}
        if reason in ("selected", "not_selected"):
            evidence = {
                "score": draw(st.floats(0, 1)),
                "voice": draw(number),
                "substance": draw(number),
            }
        elif reason == "near_duplicate" and rows:
            twin = draw(st.sampled_from(rows)).conversation
            evidence = {"twin": twin.id, "similarity": draw(st.floats(0.7, 1))}
        elif reason == "boilerplate":
            evidence = {"turn": 1, "span": [0, draw(st.integers(0, 9))]}
        rows.append(
            row(draw(st.integers(1, 12)) if draw(st.booleans()) else 100 + n, reason, **evidence)
        )
    return rows


@given(corpora(), st.integers(1, 30))
def test_the_queue_is_the_same_every_time_has_no_row_twice_and_a_reason_for_each(
    rows: list[Row], count: int
) -> None:
    found = queue(rows, count)
    assert found == queue(rows, count)
    ids = [i.conversation.id for i in found]
    assert len(ids) == len(set(ids)) <= count
    assert {*ids} <= {r.conversation.id for r in rows}
    for i in found:
        assert i.why
        assert {why.code for why in i.why} <= set(CODES)
        assert len({why.code for why in i.why}) == len(i.why)
        assert i.as_json()["id"] == i.conversation.id
