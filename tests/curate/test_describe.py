from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.conversation import Conversation, Source, Turn
from molting.core.persona import Persona
from molting.curate.describe import NUMBERS, RowSignals, describe, describe_all, summarise
from molting.signals.difficulty import Difficulty

FINE = "Clack. Mind the tide, shoreling, it turns at noon."


def row(*texts: str, line: int = 1) -> Conversation:
    turns = tuple(Turn("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(texts))
    return Conversation(turns, Source("a.jsonl", line))


def marked(signals: RowSignals, conversation: Conversation) -> set[tuple[str, str, int, str]]:
    return {
        (m.signal, m.kind, m.turn, conversation.turns[m.turn].text[m.start : m.end])
        for m in signals.marks
    }


def test_a_plain_row_has_numbers_and_no_marks() -> None:
    conversation = row("Who are you?", FINE)
    found = describe(conversation)
    assert (found.id, found.source) == (conversation.id, "a.jsonl:1")
    assert (found.turns, found.words, found.reply_words) == (2, 12, 9)
    assert found.reply_share == pytest.approx(len(FINE) / (len(FINE) + 12))
    assert (found.language, found.toxicity, found.marks) == ("en", 0, ())
    assert found.flags("en") == []
    unmeasured = (found.tokens, found.novelty, found.voice, found.perplexity, found.ifd)
    assert unmeasured == (None,) * 5, "unknown is not 0"


@pytest.mark.parametrize(
    ("mark", "reply"),
    [
        (("secret", "email", 1, "crab@shore.example"), "Write to crab@shore.example, mate."),
        (("toxicity", "oath", 1, "Damn"), "Damn, the tide."),
        (("encoding", "mojibake", 1, "Ã©"), "The cafÃ© is shut."),
        (("leftover", "placeholder", 1, "{{user}}"), "Hello, {{user}}, mind the tide."),
        (("refusal", "refusal", 1, "I cannot fulfill this"), "I cannot fulfill this request."),
        (("noise", "boilerplate", 1, "As an AI"), "As an AI, I cannot sail."),
        (("noise", "error", 1, "HTTP 502"), "HTTP 502"),
        (("noise", "template_token", 1, "<|im_end|>"), "Aye.<|im_end|>"),
        (("loop", "loop", 1, "the sea the sea the sea the sea the sea"), "Oh the sea the sea the sea the sea the sea!"),
        (("cut_off", "cut_off", 1, "out and we walked down to the"), "The tide was out and we walked down to the"),
    ],
)  # fmt: skip
def test_each_signal_marks_its_words(mark: tuple[str, str, int, str], reply: str) -> None:
    conversation = row("hi there", reply)
    found = marked(describe(conversation), conversation)
    assert any(
        (m[:3] == mark[:3]) and (m[3] == mark[3] or m[3].endswith(mark[3])) for m in found
    ), found


def test_a_prompt_is_marked_for_what_it_holds_not_for_how_it_speaks() -> None:
    conversation = row("As an AI, mail crab@shore.example! HTTP 502 damn", FINE)
    kinds = {(m.signal, m.kind) for m in describe(conversation).marks}
    assert kinds == {("secret", "email"), ("toxicity", "oath")}


def test_only_the_severe_is_flagged_as_toxic() -> None:
    assert describe(row("hi", "Damn ye.")).flags() == []
    assert describe(row("hi", "Damn ye.")).toxicity == 1
    assert describe(row("hi", "Go kill yourself.")).flags() == ["toxicity:severe"]


def test_another_language_is_flagged_and_an_unknown_one_is_not() -> None:
    german = describe(row("hi", "Die Flut war draußen, und wir gingen zur alten Kneipe."))
    assert german.flags("en") == ["language:de"]
    assert german.flags("de") == german.flags() == []
    assert describe(row("hi", "Aye.")).flags("de") == []


def test_a_robot_may_say_that_it_is_one() -> None:
    robot = Persona(name="Rob", description="A robot that keeps a lighthouse.")
    conversation = row("Who are you?", "I am an AI, and proud of my lamp.")
    assert describe(conversation).flags() == ["noise:boilerplate"]
    assert describe(conversation, robot).flags() == []


def test_the_set_adds_novelty_and_what_is_passed_in() -> None:
    rows = [
        row("a", FINE, line=1),
        row("a", FINE, line=2),
        row("b", "Kelp is fresh today.", line=3),
    ]

    def difficulty(given: Sequence[Conversation]) -> list[Difficulty]:
        return [Difficulty(10.0 + i, 0.5, 3) for i, _ in enumerate(given)]

    found = describe_all(rows, tokens=len, voice=[0.1, None, 0.9], difficulty=difficulty)
    assert [one.nearest for one in found[:2]] == ["a.jsonl:2", "a.jsonl:1"]
    assert found[0].novelty == pytest.approx(0.0, abs=1e-6)
    assert found[2].novelty is not None
    assert found[2].novelty > 0.8
    assert [one.voice for one in found] == [0.1, None, 0.9]
    assert [one.perplexity for one in found] == [10.0, 11.0, 12.0]
    assert found[0].tokens == len(FINE) + 1
    plain = describe_all(rows)
    assert [one.perplexity for one in plain] == [None] * 3


def test_a_voice_without_full_stops_is_not_cut_off() -> None:
    rows = [row("hi", "the tide was out and so we walked to the bar", line=i) for i in range(6)]
    assert describe(rows[0]).flags() == ["cut_off"]
    assert [one.flags() for one in describe_all(rows)] == [[]] * 6


def test_the_summary_counts_rows_and_says_what_was_not_measured() -> None:
    rows = [row("a", FINE), row("b", "Damn, crab@shore.example"), row("c", "Aye.")]
    found = summarise(describe_all(rows), "en")
    assert found["rows"] == 3
    assert set(found["numbers"]) == set(NUMBERS)
    assert found["numbers"]["perplexity"] == {
        "n": 0, "p5": None, "p25": None, "p50": None, "p75": None, "p95": None,
    }  # fmt: skip
    assert found["numbers"]["reply_words"]["n"] == 3
    assert found["numbers"]["reply_words"]["p50"] == 2.0
    assert found["flagged"] == {"secret:email": 1}
    assert found["toxicity"] == {"none": 2, "mild": 1, "strong": 0, "severe": 0}
    assert sum(found["languages"].values()) == 3
    assert summarise([])["rows"] == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=0, max_size=4))
def test_any_conversation_can_be_described_and_marks_lie_inside(texts: list[str]) -> None:
    conversation = row(*texts)
    found = describe(conversation)
    for mark in found.marks:
        assert 0 <= mark.start < mark.end <= len(conversation.turns[mark.turn].text)
    assert found == describe(conversation), "pure"
