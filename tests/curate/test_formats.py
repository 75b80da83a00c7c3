from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from molting.core.conversation import Turn
from molting.core.errors import InputError
from molting.curate.formats import ReadFile, detect, read_file

U, A, S = "user", "assistant", "system"
Shape = Callable[[list[tuple[str, Any]]], dict[str, Any]]
TWO_TURNS: list[tuple[str, Any]] = [
    (S, "Be Jack."),
    (U, "hi"),
    (A, "Aye."),
    (U, "bye"),
    (A, "Ebb."),
]
ONE_TURN: list[tuple[str, Any]] = [(U, "who?"), (A, "Jack, of course.")]


def openai(turns: list[tuple[str, Any]]) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def sharegpt(turns: list[tuple[str, Any]]) -> dict[str, Any]:
    names = {U: "human", A: "gpt", S: "system"}
    return {"conversations": [{"from": names[role], "value": text} for role, text in turns]}


def alpaca(turns: list[tuple[str, Any]]) -> dict[str, Any]:
    said = [text for role, text in turns if role != S]
    row: dict[str, Any] = {"instruction": said[-2], "input": "", "output": said[-1]}
    row["system"] = next((text for role, text in turns if role == S), "")
    row["history"] = [[said[i], said[i + 1]] for i in range(0, len(said) - 2, 2)]
    return row


def pairs(turns: list[tuple[str, Any]]) -> dict[str, Any]:
    said = [text for role, text in turns if role != S]
    system = next((text for role, text in turns if role == S), "")
    return {"prompt": said[-2], "response": said[-1], "system": system}


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, indent=2))


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, rows[0])
    writer.writeheader()
    for row in rows:
        # Nested values stand in a CSV file as JSON text.
        writer.writerow({k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()})
    path.write_bytes(out.getvalue().encode())


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


WRITERS = {"jsonl": write_jsonl, "json": write_json, "csv": write_csv, "parquet": write_parquet}
SHAPES: dict[str, Shape] = {
    "messages": openai,
    "sharegpt": sharegpt,
    "alpaca": alpaca,
    "pairs": pairs,
}


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_format_in_every_kind_of_file(tmp_path: Path, shape: str, suffix: str) -> None:
    make = SHAPES[shape]
    first = TWO_TURNS if shape != "pairs" else [TWO_TURNS[0], *TWO_TURNS[3:]]
    path = tmp_path / f"chats.{suffix}"
    WRITERS[suffix](path, [make(first), make(ONE_TURN)])
    read = read_file(path, "data/chats")
    assert (read.format, read.file, read.notes) == (shape, "data/chats", ())
    assert [[(t.role, t.text) for t in c.turns] for c in read.conversations] == [first, ONE_TURN]
    # Lines for text files with a header or not, row numbers for the others.
    start = 2 if suffix == "csv" else 1
    assert [str(c.source) for c in read.conversations] == [
        f"data/chats:{start}",
        f"data/chats:{start + 1}",
    ]
    # Saying the format that it has changes nothing.
    assert read_file(path, "data/chats", shape) == read


def test_equal_content_has_one_id_whatever_the_format(tmp_path: Path) -> None:
    ids = set()
    for name, make in SHAPES.items():
        write_jsonl(tmp_path / f"{name}.jsonl", [make(ONE_TURN)])
        ids |= {c.id for c in read_file(tmp_path / f"{name}.jsonl").conversations}
    assert len(ids) == 1


def read_one(tmp_path: Path, *rows: object) -> ReadFile:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_file(path, "a.jsonl")


def turns_of(read: ReadFile) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in read.conversations[0].turns]


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [("prompt", "completion"), ("Question", " Answer "), ("input", "output"), ("user", "assistant"),
     ("query", "reply"), ("prompt", "chosen")],
)  # fmt: skip
def test_pairs_have_many_names(tmp_path: Path, prompt: str, reply: str) -> None:
    read = read_one(tmp_path, {"id": 3, prompt: "hi", reply: "Aye.", "rejected": "no"})
    assert read.format == "pairs"
    assert turns_of(read) == [(U, "hi"), (A, "Aye.")]


def test_alpaca_joins_instruction_and_input(tmp_path: Path) -> None:
    read = read_one(tmp_path, {"instruction": "Say it.", "input": "in Dutch", "output": "Ja."})
    assert turns_of(read) == [(U, "Say it.\n\nin Dutch"), (A, "Ja.")]


@pytest.mark.parametrize("history", [None, [], "", "[]", "null"])
def test_an_empty_history_is_none(tmp_path: Path, history: object) -> None:
    read = read_one(tmp_path, {"instruction": "a", "input": "", "output": "b", "history": history})
    assert turns_of(read) == [(U, "a"), (A, "b")]


@pytest.mark.parametrize("history", ["hello", [["only one"]], [3], [[1, 2, 3]], 7])
def test_a_wrong_history_is_one_clear_line(tmp_path: Path, history: object) -> None:
    with pytest.raises(InputError, match=r"^a\.jsonl:1: `history` is not a list of pairs$"):
        read_one(tmp_path, {"instruction": "a", "input": "", "output": "b", "history": history})


@pytest.mark.parametrize(
    ("name", "role"),
    [("human", U), ("User", U), ("prompter", U), ("gpt", A), ("MODEL", A), (" bot ", A), ("ai", A),
     ("system", S), ("developer", S)],
)  # fmt: skip
def test_roles_have_many_names(tmp_path: Path, name: str, role: str) -> None:
    turns = [{"role": name, "content": "x"}, {"role": "user", "content": "y"}]
    read = read_one(tmp_path, {"messages": [*turns, {"role": "assistant", "content": "z"}]})
    assert turns_of(read)[0][0] == role


def test_a_top_level_system_prompt_comes_first(tmp_path: Path) -> None:
    row = {"system": "Be Jack.", "conversations": sharegpt(ONE_TURN)["conversations"]}
    assert turns_of(read_one(tmp_path, row)) == [(S, "Be Jack."), *ONE_TURN]


def test_tool_turns_are_left_out_and_counted(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "tide?"},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "tide"}]},
        {"role": "tool", "content": '{"tide": "low"}'},
        {"role": "assistant", "content": "Low, mate."},
        {"role": "function", "content": "3"},
    ]
    read = read_one(tmp_path, {"messages": turns})
    assert turns_of(read) == [(U, "tide?"), (A, "Low, mate.")]
    assert read.notes == ("2 tool turns left out: they are not the persona's words",)


def test_neighbouring_turns_of_one_role_become_one(tmp_path: Path) -> None:
    turns = [(U, "hi"), (U, "there"), (A, "Aye."), (A, "Mate."), (U, "bye")]
    assert turns_of(read_one(tmp_path, openai(turns))) == [
        (U, "hi\nthere"), (A, "Aye.\nMate."), (U, "bye"),
    ]  # fmt: skip


def test_text_parts_are_joined(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Aye, "}, {"type": "text", "text": "mate."}]
    read = read_one(tmp_path, openai([(U, "hi"), (A, parts)]))
    assert turns_of(read) == [(U, "hi"), (A, "Aye, mate.")]


def test_numbers_are_text_and_half_surrogates_do_no_harm(tmp_path: Path) -> None:
    read = read_one(tmp_path, {"prompt": 7, "response": "Aye \ud83d mate \ud83e\udd80."})
    assert turns_of(read) == [(U, "7"), (A, "Aye ? mate 🦀.")]
    read.conversations[0].reply.encode("utf-8")


def test_rows_without_a_usable_conversation_stay_to_be_rejected_later(tmp_path: Path) -> None:
    read = read_one(tmp_path, openai(ONE_TURN), {"messages": []}, openai([(U, "only me")]))
    assert [len(c.turns) for c in read.conversations] == [2, 0, 1]
    assert read_one(tmp_path, {"prompt": "a", "response": None}).conversations[0].reply == ""


def test_the_format_of_most_rows_is_the_format_of_the_file() -> None:
    rows = [(1, pairs(ONE_TURN)), (2, openai(ONE_TURN)), (3, openai(ONE_TURN))]
    assert detect(rows, "a") == "messages"


PART = {"type": "image_url", "image_url": {"url": "x"}}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([3], "a.jsonl:1: a row must be an object, this one is a number"),
        ([openai(ONE_TURN), ["x"]], "a.jsonl:2: a row must be an object, this one is a list"),
        ([{"text": "hi", "label": 3}], "a.jsonl:1: unknown format (keys: text, label); Molting reads"),
        ([{}], "a.jsonl:1: unknown format (keys: none)"),
        ([openai(ONE_TURN), openai([("narrator", "x")])], "a.jsonl:2: unknown role 'narrator'; known:"),
        ([{"messages": [{"content": "x"}]}], "a.jsonl:1: unknown role None"),
        ([openai([(U, "x")]), openai([(S, "y")])], "a.jsonl: no assistant turn in any of its 2 rows"),
        ([{"messages": "hello"}], "a.jsonl:1: `messages` is not a list of turns"),
        ([{"messages": {"a": 1}}], "a.jsonl:1: `messages` is an object, not a list of turns"),
        ([{"messages": ["hi"]}], "a.jsonl:1: a turn in `messages` is text"),
        ([openai(ONE_TURN), pairs(ONE_TURN), openai(ONE_TURN)], "a.jsonl:2: has no `messages`"),
        ([pairs(ONE_TURN), pairs(ONE_TURN), {"x": 1}], "a.jsonl:3: has no prompt and response"),
        ([openai([(U, "hi"), (A, [PART])])], "a.jsonl:1: `content` is a list, not text"),
        ([openai([(U, "hi"), (A, ["hi", {"text": "x"}])])], "a.jsonl:1: `content` is a list, not text"),
        ([{"prompt": "hi", "response": {"a": 1}}], "a.jsonl:1: `response` is an object, not text"),
        ([{"prompt": "hi", "response": True}], "a.jsonl:1: `response` is true or false, not text"),
    ],
)  # fmt: skip
def test_a_bad_row_is_one_clear_line(tmp_path: Path, rows: list[Any], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        read_one(tmp_path, *rows)
    assert str(caught.value).startswith(expected)
    assert "\n" not in str(caught.value)


def test_a_list_without_rows_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match=r"a\.json: holds no rows"):
        read_file(tmp_path / "a.json", "a.json")


def test_a_turn_is_frozen() -> None:
    assert Turn("user", "hi") == Turn("user", "hi")
    assert hash(Turn("user", "hi")) == hash(Turn("user", "hi"))
