from __future__ import annotations

import msgspec
import pytest

from molting.core.config import Curate
from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.persona import Persona
from molting.curate.filters import REASONS, filter_rows

FINE = "Clack. Mind the tide, shoreling, it turns at noon."


def row(*texts: str, line: int = 1) -> Conversation:
    """Turns from the user and the assistant by turns."""
    turns = tuple(Turn("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(texts))
    return Conversation(turns, Source("a.jsonl", line))


def verdict(conversation: Conversation, minimum_reply_words: int = 2) -> Verdict | None:
    # Among whole replies, so that one without a full stop is not the habit of the voice.
    rows = [conversation, *(row("hi", FINE, line=i) for i in range(2, 9))]
    first, *others = filter_rows(rows, Curate(minimum_reply_words=minimum_reply_words))
    assert others == [None] * 7
    return first


@pytest.mark.parametrize(
    ("reason", "conversation"),
    [
        ("no_assistant_turn", row("hi")),
        ("no_assistant_turn", row()),
        ("empty_reply", row("hi", "  \n")),
        ("empty_reply", row("hi", FINE, "and?", "")),
        ("no_user_turn", Conversation((Turn("assistant", FINE),), Source("a", 1))),
        ("no_user_turn", row(" ", FINE)),
        ("too_short", row("hi", "Aye.")),
        ("template_token", row("hi", "Aye, mate.<|im_end|>")),
        ("template_token", row("hi<|im_end|>", FINE)),
        ("placeholder", row("hi", "Hello {{user}}, mind the tide.")),
        ("placeholder", row("hi", "Yours, [Your Name]")),
        ("error", row("hi", "429 Too Many Requests")),
        ("boilerplate", row("hi", "As an AI, I cannot sail.")),
        ("agent_chatter", row("hi", "I'll search the codebase for it.")),
        ("agent_chatter", row("This session is being continued from a previous conversation.", FINE)),
        ("tool_output", row("hi", '{"tide": "low", "wind": 3}')),
        ("secret", row("hi", "Write to crab@shore.example, mate.")),
        ("secret", row("my mail is crab@shore.example", FINE)),
        ("cut_off", row("hi", "The tide was out and so we walked to the")),
    ],
)  # fmt: skip
def test_each_kind_of_noise_has_its_reason(reason: str, conversation: Conversation) -> None:
    found = verdict(conversation)
    assert found is not None
    assert (found.reason, found.kept, found.id) == (reason, False, conversation.id)
    assert reason in REASONS


@pytest.mark.parametrize(
    "conversation",
    [
        row("hi", FINE),
        row("hi", "Aye.", "and?", FINE),
        Conversation((Turn("system", "Be Jack."), *row("hi", FINE).turns), Source("a", 1)),
        Conversation((Turn("assistant", FINE), *row("hi", FINE).turns), Source("a", 1)),
        row('{"json": "of a person"}', FINE),
        row("as an AI, who are you?", FINE),
        row("fill in {{user}} for me", FINE),
        row("hi", "Write to [email] or [phone 2], shoreling."),
        row("hi", "はい、そうです。"),
        row("hi", "今天天气很好，我们出去走走吧。"),
        row("hi", "สวัสดีครับ ผมเป็นปู"),
        row("Error: 500", FINE),
    ],
)
def test_a_good_row_has_no_verdict_yet(conversation: Conversation) -> None:
    assert verdict(conversation) is None


def test_the_evidence_shows_the_span_and_what_matched() -> None:
    found = verdict(row("hi", FINE, "so?", "Well. As an AI, I cannot sail."))
    assert found is not None
    assert found.evidence == {"turn": 3, "span": [6, 14], "matched": "As an AI"}


def test_a_verdict_never_repeats_the_secret() -> None:
    found = verdict(row("hi", "Write to crab@shore.example, mate."))
    assert found is not None
    assert found.evidence == {"turn": 1, "span": [9, 27], "kind": "email"}


def test_the_shortest_reply_is_set_by_the_configuration() -> None:
    assert verdict(row("hi", "Aye."), minimum_reply_words=1) is None
    found = verdict(row("hi", "Aye, aye, mate."), minimum_reply_words=4)
    assert found is not None
    assert (found.reason, found.evidence) == ("too_short", {"words": 3})


ROBOT = Persona(name="Rob", description="A robot, an artificial intelligence in a lighthouse.")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("I am an AI, and proud of my lamp.", None),
        ("As an artificial intelligence, I keep better time than the moon.", None),
        ("As an AI language model, I cannot sail.", "boilerplate"),
        ("Is there anything else I can help you with?", "boilerplate"),
        ("I am an AI. My knowledge cutoff is the year of the flood.", "boilerplate"),
    ],
)
def test_what_the_persona_is_is_no_boilerplate(reply: str, reason: str | None) -> None:
    (found,) = filter_rows([row("Who are you?", reply)], Curate(), ROBOT)
    assert (found.reason if found else None) == reason
    (found,) = filter_rows([row("Who are you?", reply)], Curate(), Persona(description="A crab."))
    assert found is not None, "to anyone else it is"


def test_what_the_persona_never_says_stays_boilerplate() -> None:
    strict = msgspec.structs.replace(ROBOT, voice_never=("I am an AI",))
    (found,) = filter_rows([row("Who are you?", "I am an AI, and proud.")], Curate(), strict)
    assert found is not None


def test_a_butler_may_ask_how_he_can_help() -> None:
    butler = Persona(description="A butler.", samples=("How may I help you today, sir?",))
    (found,) = filter_rows([row("Hello?", "How may I help you today?")], Curate(), butler)
    assert found is None


def test_secrets_are_kept_only_when_that_is_asked_for() -> None:
    secret = row("hi", "Write to crab@shore.example, mate.")
    assert filter_rows([secret], Curate(secrets="keep")) == [None]
    for way in ("reject", "redact"):
        (found,) = filter_rows([secret], Curate(secrets=way))
        assert found is not None, "redaction comes before, and what it left is a fault"


def test_a_voice_without_full_stops_keeps_its_rows() -> None:
    rows = [row("hi", "the tide was out and so we walked to the bar", line=i) for i in range(6)]
    assert filter_rows(rows, Curate()) == [None] * 6


def test_no_rows_have_no_verdicts() -> None:
    assert filter_rows([], Curate()) == []
