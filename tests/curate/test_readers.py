from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from molting.core.errors import InputError
from molting.curate.readers import read_rows

ROWS = [{"prompt": "hi", "response": "Aye, mate."}, {"prompt": "bye", "response": 'He said "no".'}]


def read(path: Path, text: str | bytes) -> list[tuple[int, Any]]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_rows(path, path.name))


def failure(path: Path, text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        read(path, text)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_jsonl_rows_keep_their_line_past_empty_ones(tmp_path: Path) -> None:
    text = f"\n{json.dumps(ROWS[0])}\n  \r\n{json.dumps(ROWS[1])}"
    for name in ("a.jsonl", "a.ndjson", "a.JSONL"):
        assert read(tmp_path / name, text) == [(2, ROWS[0]), (4, ROWS[1])]


def test_a_line_separator_inside_a_string_ends_no_line(tmp_path: Path) -> None:
    row = {"prompt": "a\u2028b\x85c", "response": "d"}
    text = json.dumps(row, ensure_ascii=False) + "\n" + json.dumps(ROWS[0])
    assert read(tmp_path / "a.jsonl", text) == [(1, row), (2, ROWS[0])]


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    assert read(tmp_path / "a.jsonl", mark + json.dumps(ROWS[0]).encode()) == [(1, ROWS[0])]
    assert read(tmp_path / "a.csv", mark + b"prompt,response\nhi,ho\n") == [
        (2, {"prompt": "hi", "response": "ho"})
    ]


@pytest.mark.parametrize(
    "whole",
    [
        ROWS,
        {"data": ROWS},
        {"rows": ROWS, "version": 1},
        {"train": ROWS},
        {"conversations": ROWS},
    ],
)
def test_json_holds_a_list_of_rows_at_the_top_or_under_a_usual_key(
    tmp_path: Path, whole: object
) -> None:
    assert read(tmp_path / "a.json", json.dumps(whole, indent=1)) == [(1, ROWS[0]), (2, ROWS[1])]


def test_json_may_be_one_row_or_the_turns_of_one_conversation(tmp_path: Path) -> None:
    assert read(tmp_path / "a.json", json.dumps(ROWS[0])) == [(1, ROWS[0])]
    openai = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    assert read(tmp_path / "b.json", json.dumps(openai)) == [(1, {"messages": openai})]
    share = {"conversations": [{"from": "human", "value": "hi"}]}
    assert read(tmp_path / "c.json", json.dumps(share)) == [(1, share)]


def test_json_lines_in_a_json_file_are_understood(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(row) for row in ROWS)
    assert read(tmp_path / "a.json", text) == [(1, ROWS[0]), (2, ROWS[1])]
    assert failure(tmp_path / "b.json", text + "\n{oops}").startswith("b.json:3: not valid JSON")


def test_csv_rows_keep_the_line_they_begin_at(tmp_path: Path) -> None:
    text = 'prompt,response\nhi,"Aye,\nmate."\n\nbye,"He said ""no""."\n'
    assert read(tmp_path / "a.csv", text) == [
        (2, {"prompt": "hi", "response": "Aye,\nmate."}),
        (5, {"prompt": "bye", "response": 'He said "no".'}),
    ]
    assert read(tmp_path / "a.tsv", "prompt\tresponse\nhi\ta, b\n") == [
        (2, {"prompt": "hi", "response": "a, b"})
    ]


def test_a_long_csv_field_and_a_short_row_are_read(tmp_path: Path) -> None:
    long = "x" * 200_000
    assert read(tmp_path / "a.csv", f"prompt,response\nhi,{long}\nbye\n") == [
        (2, {"prompt": "hi", "response": long}),
        (3, {"prompt": "bye", "response": None}),
    ]


def test_parquet_rows_are_numbered_and_keep_their_nested_turns(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": f"hi {i}"}]} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=2)
    assert list(read_rows(tmp_path / "a.parquet", "a")) == list(enumerate(rows, 1))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_an_empty_file_says_so(tmp_path: Path, name: str) -> None:
    assert failure(tmp_path / name, b"") == f"{name}: is empty"
    if name != "a.parquet":
        assert failure(tmp_path / name, " \n\n ") == f"{name}: is empty"


def test_a_parquet_file_without_rows_is_empty(tmp_path: Path) -> None:
    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: is empty"):
        list(read_rows(tmp_path / "a.parquet", "a.parquet"))


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^chats/none\.jsonl: no such file$"):
        list(read_rows(tmp_path / "none.jsonl", "chats/none.jsonl"))
    with pytest.raises(InputError, match=r"^chats: is a folder, not a file$"):
        list(read_rows(tmp_path, "chats"))


@pytest.mark.parametrize(
    ("name", "text", "start"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": oops}\n', "a.jsonl:3: not valid JSON: Expecting value (column 7)"),
        ("a.jsonl", '{"a": 1} {"b": 2}\n', "a.jsonl:1: not valid JSON: Extra data"),
        ("a.jsonl", '{"a": 1\n', "a.jsonl:1: not valid JSON"),
        ("a.json", '[\n  {"a": 1},\n  {"a": }\n]', "a.json:3: not valid JSON: Expecting value (column 9)"),
        ("a.json", '"only text"', "a.json: holds no list of rows"),
        ("a.json", "7", "a.json: holds no list of rows"),
        ("a.csv", "only\none\n", "a.csv:1: has no header with at least two columns"),
        ("a.csv", "prompt;response\na;b\n", "a.csv:1: has no header with at least two columns"),
        ("a.csv", "a,b\n1,2\n1,2,3\n", "a.csv:3: has more fields than the header"),
        ("a.csv", 'a,b\n1,"2\n', "a.csv:2: not valid CSV"),
        ("a.txt", "hello", "a.txt: unknown kind of file; Molting reads .jsonl"),
        ("a.parquet", "no parquet at all", "a.parquet: not a readable Parquet file"),
        ("a.jsonl", b"\xff\xfe\x00", "not UTF-8 text (byte 0)"),
        ("a.jsonl", "[" * 200_000, "a.jsonl:1: not usable JSON"),
        ("a.jsonl", "1" * 5000, "a.jsonl:1: not usable JSON"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_clear_line(
    tmp_path: Path, name: str, text: str | bytes, start: str
) -> None:
    message = failure(tmp_path / name, text)
    assert start in message
    if isinstance(text, str):
        assert message.startswith(start)


def test_a_damaged_parquet_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"prompt": ["hi"] * 999, "response": list(map(str, range(999)))}), path)
    raw = path.read_bytes()
    assert "not a readable Parquet file" in failure(path, raw[: len(raw) // 2])
    assert "not a readable Parquet file" in failure(path, raw[:4] + b"\0" * 60 + raw[64:])
