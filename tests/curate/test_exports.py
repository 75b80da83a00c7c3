from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.core.conversation import Conversation, Source, Turn
from molting.core.errors import InputError, UsageError
from molting.curate.exports import (
    DATASET_INFO,
    FORMATS,
    REASONS,
    ExportFormat,
    dataset_entry,
    export_rows,
    held,
)
from molting.curate.formats import merge_turns, read_file

U, A, S = "user", "assistant", "system"
NAMES = {"messages": "x.jsonl", "sharegpt": "x.jsonl", "alpaca": "x.jsonl", "parquet": "x.parquet"}


def talk(*turns: tuple[str, str]) -> Conversation:
    return Conversation(tuple(Turn(role, text) for role, text in turns), Source("a", 1))  # type: ignore[arg-type]


WHOLE = talk((S, "Be Finn."), (U, "Lit?"), (A, "Lit."), (U, "Really?"), (A, "Did I stutter?"))


@pytest.mark.parametrize("format", FORMATS)
def test_what_every_format_holds_comes_back_whole(format: ExportFormat, tmp_path: Path) -> None:
    rows = [WHOLE, talk((U, "Tea?"), (A, "Always.\n\nYes – “always” 🫖"))]
    path = tmp_path / NAMES[format]
    made = export_rows(rows, path, format)
    assert (made.rows, made.left_out, made.shortened) == (2, {}, {})
    assert made.cautions == ({"history_not_read": 1} if format == "alpaca" else {})
    back = read_file(path)
    assert [c.turns for c in back.conversations] == [c.turns for c in rows]
    assert back.format == ("messages" if format == "parquet" else format)


def test_the_rows_as_the_trainers_know_them(tmp_path: Path) -> None:
    def first(format: ExportFormat) -> Any:
        export_rows([WHOLE], tmp_path / NAMES[format], format)
        return json.loads((tmp_path / NAMES[format]).read_text("utf-8").splitlines()[0])

    said = [("system", "Be Finn."), (U, "Lit?"), (A, "Lit."), (U, "Really?"), (A, "Did I stutter?")]
    messages = [{"role": role, "content": text} for role, text in said]
    assert first("messages") == {"messages": messages}
    assert first("sharegpt") == {
        "conversations": [{"from": role, "value": text} for role, text in said]
    }
    assert first("alpaca") == {
        "instruction": "Really?",
        "input": "",
        "output": "Did I stutter?",
        "history": [["Lit?", "Lit."]],
        "system": "Be Finn.",
        "prompt": messages[:-1],
        "completion": messages[-1:],
    }
    export_rows([WHOLE], tmp_path / "x.parquet", "parquet")
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == [{"messages": messages}]


@pytest.mark.parametrize("format", ["messages", "sharegpt", "alpaca"])
def test_a_json_list_holds_the_same(format: ExportFormat, tmp_path: Path) -> None:
    export_rows([WHOLE, WHOLE], tmp_path / "x.json", format)
    assert len(json.loads((tmp_path / "x.json").read_text("utf-8"))) == 2
    assert read_file(tmp_path / "x.json").conversations[1].turns == WHOLE.turns


@pytest.mark.parametrize(
    ("row", "left"),
    [
        (talk((A, "I speak first."), (U, "So?"), (A, "So.")), "reply_first"),
        (talk((U, "a"), (A, "b"), (S, "later"), (U, "c"), (A, "d")), "later_system"),
        (talk((S, "only"), (U, "a")), "no_reply"),
        (talk((S, "only")), "no_reply"),
        (talk(), "no_reply"),
    ],
)
def test_what_alternating_formats_cannot_hold_is_counted(
    row: Conversation, left: str, tmp_path: Path
) -> None:
    for format in ("sharegpt", "alpaca"):
        made = export_rows([WHOLE, row], tmp_path / "x.jsonl", format)
        assert (made.rows, made.left_out, made.shortened) == (1, {left: 1}, {})
        assert len(read_file(tmp_path / "x.jsonl").conversations) == 1
    made = export_rows([WHOLE, row], tmp_path / "x.jsonl", "messages")
    assert (made.rows, made.left_out, made.cautions) == (2, {}, {"skipped_by_llamafactory": 1})


def test_a_last_user_turn_is_left_out_and_counted(tmp_path: Path) -> None:
    row = talk((U, "a"), (A, "b"), (U, "unanswered"))
    for format in ("sharegpt", "alpaca"):
        made = export_rows([row], tmp_path / "x.jsonl", format)
        assert (made.rows, made.left_out, made.shortened) == (1, {}, {"unanswered_turn": 1})
        assert read_file(tmp_path / "x.jsonl").conversations[0].turns == row.turns[:2]
    assert held(row, "parquet") == (row, ())


def test_a_blank_system_turn_is_lost_by_alpaca_only_and_counted() -> None:
    row = talk((S, " "), (U, "a"), (A, "b"))
    assert held(row, "sharegpt") == (row, ())
    assert held(row, "alpaca") == (talk((U, "a"), (A, "b")), ("blank_system",))


texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
conversations = st.lists(
    st.lists(st.tuples(st.sampled_from([U, A, S]), texts), min_size=1, max_size=6).map(
        lambda turns: talk(*turns)
    ),
    min_size=1,
    max_size=5,
)


@given(conversations, st.sampled_from(FORMATS))
def test_reading_back_gives_what_is_said_to_be_held(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Conversation], format: ExportFormat
) -> None:
    path = tmp_path_factory.mktemp("law") / NAMES[format]
    expected = [held(row, format) for row in rows]
    kept = [row for row, _ in expected if row is not None]
    if not kept or not any(row.replies for row in kept):
        return
    made = export_rows(rows, path, format)
    assert made.rows == len(kept)
    assert made.rows + sum(made.left_out.values()) == len(rows)
    assert [c.turns for c in read_file(path).conversations] == [row.turns for row in kept]
    for row, (what, reasons) in zip(rows, expected, strict=True):
        # No reason means that nothing is missing.
        assert set(reasons) <= REASONS.keys()
        assert bool(reasons) == (what is None or what.turns != merge_turns(row.turns))


def test_nothing_to_write_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no row can be written as alpaca \(2 has no assistant"):
        export_rows([talk((U, "a"))] * 2, tmp_path / "x.jsonl", "alpaca")
    with pytest.raises(UsageError, match=r"as messages \(there are none\)"):
        export_rows([], tmp_path / "x.jsonl", "messages")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "format", "told"),
    [
        ("x.csv", "messages", "a messages file ends in .jsonl or .ndjson or .json"),
        ("x.jsonl", "parquet", "a parquet file ends in .parquet"),
        ("x.jsonl", "chatml", "--format chatml: there are messages, sharegpt, alpaca, parquet"),
        (DATASET_INFO, "messages", "give another"),
    ],
)
def test_a_wrong_name_is_one_line(name: str, format: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        export_rows([WHOLE], tmp_path / name, format)
    assert told in str(error.value)


def test_the_list_for_llamafactory_keeps_other_entries(tmp_path: Path) -> None:
    info = tmp_path / DATASET_INFO
    info.write_text('{"theirs": {"file_name": "theirs.json"}}')
    export_rows([WHOLE], tmp_path / "finn.jsonl", "sharegpt")
    export_rows([WHOLE], tmp_path / "finn.parquet", "parquet")
    export_rows([WHOLE], tmp_path / "finn.jsonl", "alpaca")
    assert json.loads(info.read_text()) == {
        "theirs": {"file_name": "theirs.json"},
        "finn": dataset_entry("finn.jsonl", "alpaca"),
        "finn.parquet": dataset_entry("finn.parquet", "parquet"),
    }
    info.write_text("[]")
    with pytest.raises(InputError, match="is no JSON object of data sets; move it away"):
        export_rows([WHOLE], tmp_path / "other.jsonl", "sharegpt")
    assert not (tmp_path / "other.jsonl").exists()
