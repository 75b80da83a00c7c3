"""The store may lose what it holds, and never gives back what it was not given."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.errors import StorageError
from molting.memory.store import Memory, key_of

KEYS = [key_of("test", i) for i in range(200)]
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=9)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)  # fmt: skip


def raw(folder: Path) -> sqlite3.Connection:
    return sqlite3.connect(folder / "values.db")


def test_what_is_put_is_found_again_by_another_process(tmp_path: Path) -> None:
    with Memory(tmp_path / "new" / "folder") as memory:
        memory.put({KEYS[0]: {"text": "é😀", "n": 1.5}, KEYS[1]: [None, True]})
        assert memory.get([KEYS[1], KEYS[2]]) == {KEYS[1]: [None, True]}
    with Memory(tmp_path / "new" / "folder") as memory:
        assert memory.get(KEYS) == {KEYS[0]: {"text": "é😀", "n": 1.5}, KEYS[1]: [None, True]}


def test_a_value_can_be_put_again(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put({KEYS[0]: 1})
        memory.put({KEYS[0]: 2})
        assert memory.get(KEYS) == {KEYS[0]: 2}


@settings(max_examples=25, deadline=None)
@given(values=st.dictionaries(st.sampled_from(KEYS), plain, max_size=8))
def test_law_values_come_back_as_they_were(values: dict[str, Any]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, Memory(Path(folder)) as memory:
        memory.put(values)
        assert memory.get(KEYS) == values


@settings(max_examples=50, deadline=None)
@given(left=st.lists(plain, max_size=3), right=st.lists(plain, max_size=3))
def test_law_keys_are_equal_only_for_equal_parts(left: list[Any], right: list[Any]) -> None:
    # Types count: 1, 1.0 and True are different parts.
    assert (key_of(*left) == key_of(*right)) == (repr(left) == repr(right)) or left == right


def test_keys_do_not_depend_on_the_order_of_names() -> None:
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert key_of("ab", "c") != key_of("a", "bc")


def test_two_memories_on_one_folder_see_each_other(tmp_path: Path) -> None:
    with Memory(tmp_path) as one, Memory(tmp_path) as two:
        one.put({KEYS[0]: "one"})
        assert two.get(KEYS) == {KEYS[0]: "one"}
        two.put({KEYS[1]: "two", KEYS[0]: "newer"})
        assert one.get(KEYS) == {KEYS[0]: "newer", KEYS[1]: "two"}


def test_memories_opened_at_once_lose_nothing(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    ready = threading.Barrier(6)

    def work(worker: int) -> None:
        try:
            ready.wait()
            with Memory(tmp_path) as memory:
                for i in range(worker, 60, 6):
                    memory.put({KEYS[i]: i})
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with Memory(tmp_path) as memory:
        assert memory.get(KEYS) == {KEYS[i]: i for i in range(60)}


@pytest.mark.parametrize("column", ["value", "check_sum", "key"])
def test_a_corrupted_entry_is_a_miss_and_the_others_stay(tmp_path: Path, column: str) -> None:
    with Memory(tmp_path) as memory:
        memory.put({KEYS[0]: "good", KEYS[1]: "damaged"})
    damage = {
        "value": "UPDATE entries SET value = CAST('\"other!\"' AS BLOB) WHERE key = ?",
        "check_sum": "UPDATE entries SET check_sum = zeroblob(16) WHERE key = ?",
        # One entry's value under another's key: whole, and still not this one's.
        "key": "UPDATE entries SET (value, check_sum) = "
        f"(SELECT value, check_sum FROM entries WHERE key = '{KEYS[0]}') WHERE key = ?",
    }
    db = raw(tmp_path)
    with db:
        assert db.execute(damage[column], (KEYS[1],)).rowcount == 1
    db.close()
    with Memory(tmp_path) as memory:
        assert memory.get(KEYS) == {KEYS[0]: "good"}
        memory.put({KEYS[1]: "computed again"})
        assert memory.get(KEYS) == {KEYS[0]: "good", KEYS[1]: "computed again"}


@pytest.mark.parametrize("content", [b"", b"this is no database\n" * 100, b"\x00" * 5000])
def test_a_file_that_is_no_database_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "values.db").write_bytes(content)
    with Memory(tmp_path) as memory:
        assert memory.get(KEYS) == {}
        memory.put({KEYS[0]: 1})
    with Memory(tmp_path) as memory:
        assert memory.get(KEYS) == {KEYS[0]: 1}


@pytest.mark.parametrize("first", ["get", "put"])
@pytest.mark.parametrize("begin", [100, 4096])
def test_a_database_whose_pages_are_damaged_is_replaced(
    tmp_path: Path, begin: int, first: str
) -> None:
    values = dict.fromkeys(KEYS, "x" * 300)
    with Memory(tmp_path) as memory:
        memory.put(values)
    path = tmp_path / "values.db"
    whole = path.read_bytes()
    # The header stays, so that the file still opens; what it points to is rubbish.
    path.write_bytes(whole[:begin] + b"\xa5" * (len(whole) - begin))
    with Memory(tmp_path) as memory:
        found = memory.get(KEYS) if first == "get" else {}
        assert all(values[key] == value for key, value in found.items())
        memory.put(values)
        assert memory.get(KEYS) == values


def test_a_folder_that_cannot_be_one_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "values.db").mkdir()
    with pytest.raises(StorageError, match=r"values\.db"):
        Memory(tmp_path)


def test_a_disk_that_is_full_is_one_clear_line(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put({KEYS[0]: "kept"})
        # SQLite's own limit on the file's size fails as a full disk does.
        memory._db.execute("PRAGMA max_page_count = 4")
        with pytest.raises(StorageError, match="free space"):
            memory.put(dict.fromkeys(KEYS[1:], "x" * 4000))
        assert memory.get(KEYS) == {KEYS[0]: "kept"}
