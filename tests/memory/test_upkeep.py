"""The store stays within its budget, and what was used last stays longest."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from molting.memory.audit import clear, holdings, verify
from molting.memory.store import Memory, key_of

GIB = 2**30
KEYS = [key_of("block-1", i) for i in range(40)]


def block(i: int, size: int = 10_000) -> memoryview:
    return memoryview(bytes([i]) * size)


def disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "shards").iterdir())


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    with Memory(tmp_path, 100_000 / GIB) as memory:
        for i in range(9):
            memory.put_blocks({KEYS[i]: block(i)})
        assert memory.get_blocks([KEYS[0]])
        for i in range(9, 12):
            memory.put_blocks({KEYS[i]: block(i)})
        found = memory.get_blocks(KEYS)
        assert KEYS[0] in found
        assert KEYS[11] in found
        assert KEYS[1] not in found
        assert all(bytes(view) == bytes(block(KEYS.index(key))) for key, view in found.items())


def test_small_values_share_the_budget(tmp_path: Path) -> None:
    with Memory(tmp_path, 50_000 / GIB) as memory:
        for i in range(40):
            memory.put({key_of("value-1", i): "x" * 2000})
        assert 5 < holdings(memory).entries < 26
        assert memory.get([key_of("value-1", 39)])
        assert not memory.get([key_of("value-1", 0)])


@settings(max_examples=15, deadline=None)
@given(puts=st.lists(st.tuples(st.integers(0, 39), st.integers(1, 6000)), min_size=20, max_size=60))
def test_law_files_stay_within_the_budget_and_nothing_is_wrong(
    puts: list[tuple[int, int]],
) -> None:
    import tempfile

    budget = 40_000
    with tempfile.TemporaryDirectory() as name, Memory(Path(name), budget / GIB) as memory:
        latest = {}
        for i, size in puts:
            latest[KEYS[i]] = bytes(block(i, size))
            memory.put_blocks({KEYS[i]: memoryview(latest[KEYS[i]])})
            # A sixteenth may come in before the size is looked at, and one value on top.
            assert disk(Path(name)) <= budget * 17 / 16 + 6000 + 64
            found = memory.get_blocks(KEYS)
            assert all(bytes(view) == latest[key] for key, view in found.items())
            assert KEYS[i] in found


def test_rewriting_shards_keeps_other_processes_right(tmp_path: Path) -> None:
    with Memory(tmp_path, 100_000 / GIB) as one, Memory(tmp_path, 100_000 / GIB) as other:
        one.put_blocks({KEYS[0]: block(0)})
        assert other.get_blocks([KEYS[0]])
        for i in range(1, 30):
            one.get_blocks([KEYS[0]])
            one.put_blocks({KEYS[i]: block(i)})
        # The shard that the other has open is gone, and its entry has moved.
        assert {k: bytes(v) for k, v in other.get_blocks([KEYS[0]]).items()} == {
            KEYS[0]: bytes(block(0))
        }


def test_a_store_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put({KEYS[0]: "kept"})
    db = sqlite3.connect(tmp_path / "values.db")
    db.execute("ALTER TABLE entries DROP COLUMN used")
    db.execute("DROP TABLE blocks")
    db.commit()
    db.close()
    with Memory(tmp_path) as memory:
        assert memory.get(KEYS) == {KEYS[0]: "kept"}
        memory.put_blocks({KEYS[1]: block(1)})
        assert len(memory.get_blocks(KEYS)) == 1


def test_holdings_count_by_kind_and_across_processes(tmp_path: Path) -> None:
    reply, other = key_of("reply-2", 1), key_of("reply-2", 2)
    with Memory(tmp_path) as memory:
        memory.put({reply: "aye"})
        memory.put_blocks({KEYS[0]: block(0, 500)})
        memory.get([reply, other])
    with Memory(tmp_path) as memory:
        memory.get_blocks(KEYS[:3])
        found = holdings(memory)
    assert {name: (k.entries, k.hits, k.misses) for name, k in found.kinds.items()} == {
        "reply": (1, 1, 1),
        "block": (1, 1, 2),
    }
    assert found.kinds["block"].bytes == 500
    assert found.entries == 2
    assert found.disk_bytes > 500


def test_verify_names_what_is_damaged_and_drops_it(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put({key_of("reply-2", i): i for i in range(5)})
        memory.put_blocks({KEYS[i]: block(i) for i in range(5)})
        assert verify(memory).damaged == {}
    shard = next((tmp_path / "shards").iterdir())
    raw = bytearray(shard.read_bytes())
    raw[15_000] ^= 1
    shard.write_bytes(raw)
    db = sqlite3.connect(tmp_path / "values.db")
    with db:
        db.execute(
            "UPDATE entries SET value = CAST('7' AS BLOB) WHERE key = ?", (key_of("reply-2", 2),)
        )
    db.close()
    with Memory(tmp_path) as memory:
        audit = verify(memory)
        assert (audit.checked, audit.damaged) == (10, {"reply": 1, "block": 1})
        assert verify(memory).damaged == {}
        assert holdings(memory).entries == 8


def test_verify_says_that_the_index_was_damaged(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put({key_of("reply-2", i): "x" * 500 for i in range(100)})
    path = tmp_path / "values.db"
    raw = path.read_bytes()
    path.write_bytes(raw[:8192] + b"\xa5" * (len(raw) - 8192))
    with Memory(tmp_path) as memory:
        assert verify(memory).index_damaged
        assert not verify(memory).index_damaged


def test_clearing_leaves_nothing_and_says_what_there_was(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put({key_of("reply-2", i): "x" * 5000 for i in range(50)})
        memory.put_blocks({KEYS[i]: block(i) for i in range(5)})
        removed = clear(memory)
        assert (removed.entries, removed.kinds["block"].bytes) == (55, 50_000)
        left = holdings(memory)
        assert (left.entries, left.kinds, left.shards) == (0, {}, 0)
        assert left.disk_bytes < 150_000
        memory.put_blocks({KEYS[0]: block(0)})
        assert len(memory.get_blocks(KEYS)) == 1
