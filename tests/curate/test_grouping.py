from __future__ import annotations

from molting.core.conversation import Conversation, Source, Turn
from molting.curate.grouping import duplicate_pairs, leak_groups, leaks, prompt_key, reply_text

TIDE = "The tide is out and the old crab walks the sand alone."
BOAT = "Never buy a boat from a man who owns one boot."
SHELL = "My shell was a tea tin once, and it still smells of it."


def row(prompt: str, reply: str, line: int = 1) -> Conversation:
    return Conversation((Turn("user", prompt), Turn("assistant", reply)), Source("a.jsonl", line))


def test_a_prompt_key_is_all_user_words_whatever_their_writing() -> None:
    turns = (Turn("user", "Who ARE you?"), Turn("assistant", "Jack."), Turn("user", "Really?!"))
    assert prompt_key(Conversation(turns, Source("a", 1))) == "who are you really"
    assert prompt_key(row("who are you, really", "x")) == "who are you really"


def test_prompts_of_signs_alone_are_told_apart_and_found_again() -> None:
    assert prompt_key(row("🦀", "x")) == prompt_key(row(" 🦀 ", "y")) != prompt_key(row("⚓", "x"))
    assert leak_groups([row("🦀", TIDE), row("⚓", BOAT), row("🦀", SHELL)], 0.7) == [0, 1, 0]


def test_reply_text_holds_every_reply() -> None:
    turns = (
        Turn("user", "a"),
        Turn("assistant", "One."),
        Turn("user", "b"),
        Turn("assistant", "Two."),
    )
    assert reply_text(Conversation(turns, Source("a", 1))) == "One.\nTwo."


def test_equal_replies_are_exact_duplicates_and_alike_ones_near() -> None:
    rows = [row("a", TIDE), row("b", TIDE.upper()), row("c", f"{TIDE} Aye."), row("d", BOAT)]
    exact, near = duplicate_pairs(rows, 0.7)
    assert [(pair.left, pair.right) for pair in exact] == [(0, 1)]
    assert {(pair.left, pair.right) for pair in near} == {(0, 2), (1, 2)}
    assert all(0.7 <= pair.similarity < 1 for pair in near)


def test_a_short_reply_may_answer_many_prompts() -> None:
    rows = [row("is it cold?", "Aye, that it is."), row("do crabs dream?", "Aye, that it is.")]
    assert duplicate_pairs(rows, 0.7) == ([], [])
    again = [*rows, row("Is it  cold?", "aye, THAT it is.")]
    exact, _ = duplicate_pairs(again, 0.7)
    assert [(pair.left, pair.right) for pair in exact] == [(0, 2)]


def test_rows_that_share_a_prompt_or_a_reply_are_one_group_through_a_chain() -> None:
    rows = [
        row("who are you", TIDE, 1),
        row("Who are you?", BOAT, 2),
        row("a boat then", f"{BOAT} Aye.", 3),
        row("tell me about the shell you live in today", SHELL, 4),
        row("tell me about the shell you live in today please", "Ask the gulls, they know all.", 5),
    ]
    assert leak_groups(rows, 0.7) == [0, 0, 0, 3, 3]
    assert leak_groups([], 0.7) == []


def test_a_leak_names_the_held_out_row_and_how() -> None:
    held_out = [row("who are you", TIDE), row("what is the shell you live in", SHELL)]
    rows = [
        row("Who are YOU?", BOAT),
        row("and the tide", TIDE.upper()),
        row("what is the shell you lived in", "Gone, like the summer and the gulls."),
        row("nothing of the kind", "Nor here, whatever you may look for."),
    ]
    found = leaks(rows, held_out, 0.7)
    assert [(leak.left, leak.right, leak.by, leak.exact) for leak in found] == [
        (0, 0, "prompt", True),
        (1, 0, "reply", True),
        (2, 1, "prompt", False),
    ]
    assert [leak.similarity == 1 for leak in found] == [True, True, False]


def test_the_closest_held_out_row_is_the_one_named() -> None:
    held_out = [row("x y z", f"{TIDE} Aye, mate."), row("u v w", TIDE)]
    (leak,) = leaks([row("a", TIDE)], held_out, 0.7)
    assert (leak.right, leak.similarity) == (1, 1.0)


def test_nothing_leaks_into_or_out_of_nothing() -> None:
    assert leaks([], [row("a", TIDE)], 0.7) == []
    assert leaks([row("a", TIDE)], [], 0.7) == []
