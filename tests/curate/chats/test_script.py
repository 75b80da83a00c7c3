from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.core.errors import InputError
from molting.curate.chats.script import looks_like_script, read_script

DATA = Path(__file__).parents[2] / "data" / "chats"


def said(text: str) -> list[list[tuple[str, str]]]:
    return [[(m.who, m.text) for m in t.messages] for t in read_script(text, "a").threads]


def test_a_script_with_asides_wrapped_lines_and_a_break() -> None:
    text = (DATA / "script.txt").read_text("utf-8")
    assert looks_like_script(text)
    assert said(text) == [
        [
            ("Wanda", "Is the lamp lit?"),
            (
                "OLD FINN",
                "(not turning round) Lit, trimmed and grumbling.\n"
                "It wants a new wick:\n  the third this month.",
            ),
            ("Wanda", "Then trim it."),
            ("OLD FINN", "I have: twice."),
        ],
        [
            ("Wanda", "Good morning."),
            ("OLD FINN", "Is it? See http://weather.example: rain."),
        ],
    ]
    chat = read_script(text, "a")
    assert chat.notes == ("lines before the first speaker left out: 1",)
    assert [m.source.line for m in chat.threads[0].messages] == [3, 4, 7, 9]
    assert all(m.when is None for t in chat.threads for m in t.messages)


def test_spellings_of_a_name_are_one_speaker_by_the_commonest() -> None:
    assert {who for who, _ in said("Ana: a\nANA: b\nana: c\nAna: d\n")[0]} == {"Ana"}


def test_markdown_bold_names() -> None:
    assert said("**Ana:** hi\n**Bob**: ho\n**Ana:** so\n") == [
        [("Ana", "hi"), ("Bob", "ho"), ("Ana", "so")]
    ]


def test_a_lone_colon_in_a_sentence_begins_no_turn() -> None:
    assert said("Ana: listen\nthe point is: go\nBob: ok\nAna: go\n") == [
        [("Ana", "listen\nthe point is: go"), ("Bob", "ok"), ("Ana", "go")]
    ]


def test_a_speaker_of_one_line_is_a_speaker() -> None:
    assert said("Ana: hi\nBob: ho\nAna: so\n")[0][1] == ("Bob", "ho")


def test_a_name_without_words_is_counted() -> None:
    chat = read_script("Ana: hi\nAna:\nBob: ho\n", "a")
    assert chat.dropped == {"empty": 1}
    assert chat.messages == 3


@pytest.mark.parametrize(
    "text", ["A letter.\n\nDear Ana: hello.\n", "one\ntwo\n", "12:30 lunch\n12:45 tea\n"]
)
def test_prose_is_no_script(text: str) -> None:
    assert not looks_like_script(text)


def test_a_text_without_speakers_is_refused() -> None:
    with pytest.raises(InputError, match=r"^a: holds no line such as `Name: text`$"):
        read_script("just prose\n", "a")


line = st.text(
    st.characters(blacklist_categories=("C", "Z"), blacklist_characters=":"),
    min_size=1,
    max_size=20,
).filter(lambda s: s.strip("-=*_#") and s.upper() != "<START>")
rows = st.lists(
    st.tuples(
        st.sampled_from(["Ana", "Old Finn", "王小明"]), st.lists(line, min_size=1, max_size=3)
    ),
    min_size=1,
    max_size=8,
)


@given(rows, st.sampled_from(["", "    "]))
def test_every_message_comes_back(spoken: list[tuple[str, list[str]]], indent: str) -> None:
    text = "".join(
        f"{who}: {lines[0]}\n" + "".join(f"{indent}{more}\n" for more in lines[1:])
        for who, lines in spoken
    )
    assert said(text) == [[(who, "\n".join(lines)) for who, lines in spoken]]
