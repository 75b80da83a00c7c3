from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.conversation import Conversation, Source, Turn, content_id

TURNS = st.lists(
    st.builds(Turn, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=6)),
    max_size=4,
).map(tuple)
SOURCES = st.builds(Source, st.text(max_size=4), st.integers(1, 99))
LAWS = settings(max_examples=100, deadline=None)


@LAWS
@given(TURNS, SOURCES, SOURCES)
def test_the_id_depends_on_the_content_and_not_on_the_source(
    turns: tuple[Turn, ...], one: Source, other: Source
) -> None:
    assert Conversation(turns, one).id == Conversation(turns, other).id
    assert re.fullmatch(r"b2:[0-9a-f]{32}", Conversation(turns, one).id)


@LAWS
@given(TURNS, TURNS)
def test_different_content_has_different_ids(
    left: tuple[Turn, ...], right: tuple[Turn, ...]
) -> None:
    assert (content_id(left) == content_id(right)) == (left == right)


@LAWS
@given(st.text(min_size=2, max_size=8), st.data())
def test_the_same_words_cut_into_other_turns_are_another_conversation(
    text: str, data: st.DataObject
) -> None:
    cuts = st.integers(0, len(text))
    first, second = data.draw(cuts), data.draw(cuts)

    def cut(at: int) -> list[Turn]:
        return [Turn("user", text[:at]), Turn("user", text[at:])]

    assert (content_id(cut(first)) == content_id(cut(second))) == (first == second)
    assert content_id(cut(first)) != content_id([Turn("user", text)])


def test_a_role_cannot_pass_for_text() -> None:
    assert content_id([Turn("user", "assistant")]) != content_id([Turn("assistant", "user")])
    assert content_id([Turn("user", "a"), Turn("user", "b")]) != content_id(
        [Turn("user", "auserb")]
    )
    assert content_id([Turn("user", ""), Turn("assistant", "")]) != content_id([Turn("user", "")])


def test_half_a_surrogate_pair_has_an_id() -> None:
    assert content_id([Turn("user", "\ud800")]) != content_id([Turn("user", "\ud801")])


def test_prompt_replies_and_context_of_a_long_conversation() -> None:
    turns = (
        Turn("system", "Be Jack."),
        Turn("user", "one"),
        Turn("assistant", "ay"),
        Turn("user", "two"),
        Turn("assistant", "bee"),
        Turn("user", "three"),
    )
    row = Conversation(turns, Source("a.jsonl", 4))
    assert (row.prompt, row.reply, row.replies) == ("one", "bee", ("ay", "bee"))
    assert row.context == turns[:4]
    assert row.messages[0] == {"role": "system", "content": "Be Jack."}
    assert str(row.source) == "a.jsonl:4"


def test_a_conversation_without_turns_has_empty_parts() -> None:
    row = Conversation((), Source("a", 1))
    assert (row.prompt, row.reply, row.replies, row.context, row.messages) == ("", "", (), (), [])
    assert Conversation((Turn("user", "hi"),), Source("a", 1)).context == ()
