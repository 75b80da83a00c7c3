from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.core.config import Import
from molting.core.conversation import Source
from molting.core.errors import UsageError
from molting.curate.chats.record import Chat, Message, Thread
from molting.curate.chats.threads import conversations_of, find_speaker, speakers

HOUR = 3600.0


def chat(*rows: tuple[str, str] | tuple[str, str, float], dropped: dict[str, int] | None = None,
         aliases: dict[str, str] | None = None) -> Chat:  # fmt: skip
    messages = tuple(
        Message(row[0], row[1], Source("c.txt", i), row[2] * HOUR if len(row) > 2 else None)
        for i, row in enumerate(rows, 1)
    )
    return Chat("c.txt", "script", (Thread("c", messages),), dropped or {}, aliases=aliases or {})


def turns(made: object) -> list[list[tuple[str, str]]]:
    return [[(t.role[0], t.text) for t in c.turns] for c in made.conversations]  # type: ignore[attr-defined]


def test_the_persona_is_the_assistant_and_neighbours_are_one_turn() -> None:
    made = conversations_of(
        chat(("A", "one"), ("A", "two"), ("P", "x"), ("P", "y\nz"), ("A", "three"), ("P", "w")), "P"
    )
    assert turns(made) == [[("u", "one\ntwo"), ("a", "x\ny\nz"), ("u", "three"), ("a", "w")]]
    assert str(made.conversations[0].source) == "c.txt:1"


def test_names_stand_before_words_only_where_several_speak_in_a_turn() -> None:
    made = conversations_of(
        chat(("A", "1"), ("A", "2"), ("B", "3"), ("A", "4"), ("P", "x"), ("B", "5"), ("P", "y")),
        "P",
    )
    assert turns(made) == [[("u", "A: 1\n2\nB: 3\nA: 4"), ("a", "x"), ("u", "5"), ("a", "y")]]


def test_a_long_pause_begins_a_new_conversation() -> None:
    rows = [("A", "1", 0.0), ("P", "x", 7.9), ("A", "2", 16.0), ("P", "y", 16.5)]
    assert len(conversations_of(chat(*rows), "P").conversations) == 2
    assert len(conversations_of(chat(*rows), "P", Import(pause_hours=9)).conversations) == 1
    # Back in time: another chat was pasted behind.
    back = [("A", "1", 50.0), ("P", "x", 50.0), ("A", "2", 1.0), ("P", "y", 1.0)]
    assert len(conversations_of(chat(*back), "P").conversations) == 2


def test_unknown_times_make_no_pause() -> None:
    rows: list[tuple[str, str] | tuple[str, str, float]] = [
        ("A", "1", 0.0), ("P", "x"), ("A", "2", 1.0), ("P", "y"), ("A", "3", 20.0), ("P", "z"),
    ]  # fmt: skip
    assert [len(c.turns) for c in conversations_of(chat(*rows), "P").conversations] == [4, 2]


def test_a_conversation_without_the_persona_is_counted_in_messages() -> None:
    made = conversations_of(
        chat(("A", "1", 0.0), ("B", "2", 0.0), ("A", "3", 20.0), ("P", "x", 20.0),
             dropped={"media": 4}), "P"
    )  # fmt: skip
    assert made.dropped == {"media": 4, "no_persona": 2}
    assert made.in_turns == 2


def test_windows_end_with_the_persona_and_share_nothing() -> None:
    rows = [("P" if i % 2 else "A", str(i)) for i in range(10)]
    made = conversations_of(chat(*rows), "P", Import(turns=5))
    assert [[t for _, t in c] for c in turns(made)] == [
        ["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9"],
    ]  # fmt: skip
    first = conversations_of(chat(*rows[1:]), "P", Import(turns=2))
    assert [[t for _, t in c] for c in turns(first)] == [
        ["1"], ["2", "3"], ["4", "5"], ["6", "7"], ["8", "9"],
    ]  # fmt: skip


spoken = st.lists(
    st.tuples(
        st.sampled_from(["P", "A", "B"]),
        st.integers(0, 10**6).map(lambda n: f"<{n}>"),
        st.floats(0, 60),
    ),
    max_size=40,
)


@given(spoken, st.integers(2, 7), st.floats(0.5, 30))
def test_no_message_is_lost_or_told_twice(
    rows: list[tuple[str, str, float]], most: int, pause: float
) -> None:
    rows = [(who, f"{i}{text}", when) for i, (who, text, when) in enumerate(rows)]
    source = chat(*rows, dropped={"media": 2})
    made = conversations_of(source, "P", Import(pause_hours=pause, turns=most))
    assert made.in_turns + sum(made.dropped.values()) == source.messages
    told = "\n".join(turn.text for c in made.conversations for turn in c.turns)
    inside = [
        text
        for _, text, _ in rows
        if text in told.replace("A: ", "").replace("B: ", "").split("\n")
    ]
    assert len(inside) == made.in_turns
    for conversation in made.conversations:
        roles = [turn.role for turn in conversation.turns]
        assert 1 <= len(roles) <= most
        assert all(left != right for left, right in itertools.pairwise(roles))
        assert conversation.replies
    # The persona's own words are all there, in order, and nobody else's beside them.
    own = [text for who, text, _ in rows if who == "P"]
    replies = [line for c in made.conversations for r in c.replies for line in r.split("\n")]
    assert replies == own


GROUP = chat(
    ("Anna", "1"), ("Andrew", "2"), ("Bob", "3"), ("Bob", "4"),
    aliases={"bobby_t": "Bob", "andi": "Andrew"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "who"),
    [("Anna", "Anna"), ("anna", "Anna"), ("  BOB ", "Bob"), ("ann", "Anna"), ("B", "Bob"),
     ("BOBBY_T", "Bob"), ("bobby", "Bob"), ("andi", "Andrew")],
)  # fmt: skip
def test_a_speaker_by_name_alias_or_beginning(name: str, who: str) -> None:
    assert find_speaker(name, [GROUP]) == [who]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "who is the persona? add --as NAME; speakers: Bob (2), Andrew (1), Anna (1)"),
        ("Zoe", "--as Zoe: no such speaker; speakers: Bob (2), Andrew (1), Anna (1)"),
        ("an", "--as an: could be Andrew (1), Anna (1); write more of the name"),
    ],
)
def test_an_unclear_name_lists_the_speakers(name: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        find_speaker(name, [GROUP])
    assert str(error.value) == told


def test_one_person_may_be_called_differently_in_each_file() -> None:
    here = chat(("Old Finn", "1"), aliases={"finn": "Old Finn"})
    there = chat(("Captain", "1"), ("Bob", "2"), aliases={"finn": "Captain"})
    assert find_speaker("finn", [here, there, GROUP]) == ["Old Finn", "Captain", None]
    assert find_speaker("bob", [here, there, GROUP]) == [None, "Bob", "Bob"]
    # A beginning must mean one person over all files.
    with pytest.raises(UsageError, match=r"could be Captain \(1\), Cora \(1\)"):
        find_speaker("c", [there, chat(("Cora", "1"))])


def test_spelling_decides_between_names_that_differ_in_case_only() -> None:
    assert find_speaker("ana", [chat(("Ana", "1"), ("ana", "2"))]) == ["ana"]


def test_nobody_speaks() -> None:
    with pytest.raises(UsageError, match="no message with words and an author"):
        find_speaker("x", [chat()])


def test_a_long_list_of_speakers_is_cut() -> None:
    crowd = chat(*((f"s{i}", "x") for i in range(50)))
    assert speakers([crowd, crowd]) == Counter({f"s{i}": 2 for i in range(50)})
    with pytest.raises(UsageError, match=r"and 10 more$"):
        find_speaker("", [crowd])
