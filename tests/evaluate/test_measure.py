from __future__ import annotations

from molting.core.conversation import Conversation, Source, Turn
from molting.evaluate.measure import voice_rows


def row(number: int, prompt: str) -> Conversation:
    return Conversation(
        (Turn("user", prompt), Turn("assistant", "Aye.")), Source("held_out.jsonl", number)
    )


def test_prompts_that_name_the_persona_are_left_out_of_the_voice() -> None:
    plain = [row(i, f"question number {i}") for i in range(10)]
    named = [row(i, f"Skerry, question {i}") for i in range(10)]
    mixed = [x for pair in zip(named, plain, strict=True) for x in pair]
    assert voice_rows(mixed, "Skerry", 100) == plain
    assert voice_rows(mixed, "Skerry", 4) == plain[:4]


def test_a_name_in_an_earlier_turn_counts_too() -> None:
    plain = [row(i, f"question number {i}") for i in range(8)]
    turns = (Turn("user", "Hello."), Turn("assistant", "I am Skerry."), *plain[0].turns)
    talked = Conversation(turns, Source("held_out.jsonl", 99))
    assert voice_rows([talked, *plain], "Skerry", 100) == plain


def test_where_nearly_every_prompt_names_it_all_are_used() -> None:
    rows = [row(i, f"Skerry, question {i}") for i in range(20)] + [row(99, "And you?")]
    assert voice_rows(rows, "Skerry", 100) == rows
