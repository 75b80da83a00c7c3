"""Large values in shards: whole or a miss, whatever happens to the files and whoever writes."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.memory.shards import Shards
from molting.memory.store import Memory, key_of
from molting.memory.upkeep import rewrite

KEYS = [key_of("block-1", i) for i in range(64)]


def block(i: int, size: int = 3000) -> memoryview:
    return memoryview(random.Random(i).randbytes(size))


def whole(memory: Memory, keys: list[str] = KEYS) -> dict[str, bytes]:
    return {key: bytes(view) for key, view in memory.get_blocks(keys).items()}


def files(folder: Path) -> list[Path]:
    return sorted((folder / "shards").iterdir())


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 5000), min_size=1, max_size=12), parts=st.integers(1, 4))
def test_law_blocks_come_back_as_they_were(sizes: list[int], parts: int) -> None:
    blocks = {KEYS[i]: block(i, size) for i, size in enumerate(sizes)}
    names = list(blocks)
    with tempfile.TemporaryDirectory() as folder:
        with Memory(Path(folder)) as memory:
            for start in range(parts):
                memory.put_blocks({key: blocks[key] for key in names[start::parts]})
            assert whole(memory) == {key: bytes(raw) for key, raw in blocks.items()}
        with Memory(Path(folder)) as memory:
            assert whole(memory) == {key: bytes(raw) for key, raw in blocks.items()}


def test_a_block_put_again_is_the_newer_one(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put_blocks({KEYS[0]: block(1)})
        memory.put_blocks({KEYS[0]: block(2)})
        assert whole(memory) == {KEYS[0]: bytes(block(2))}


def test_law_random_damage_to_shards_is_always_found(tmp_path: Path) -> None:
    """As `python -m benchmarks.memory` does 10,000 times."""
    from benchmarks.memory import damage

    blocks = {key: bytes(block(i, 200 + i)) for i, key in enumerate(KEYS)}
    draw = random.Random(5)
    for number in range(25):
        folder = tmp_path / str(number)
        with Memory(folder) as memory:
            memory.put_blocks({key: memoryview(raw) for key, raw in blocks.items()})
        hit = damage(folder, draw)
        with Memory(folder) as memory:
            found = whole(memory)
            # What comes back is what was put, and what was hit does not come back.
            assert all(found[key] == blocks[key] for key in found)
            assert hit
            assert not hit & set(found), number
            memory.put_blocks({key: memoryview(blocks[key]) for key in hit})
            assert whole(memory) == blocks


def test_a_block_under_anothers_key_is_foreign(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put_blocks({KEYS[0]: block(0), KEYS[1]: block(1)})
    db = sqlite3.connect(tmp_path / "values.db")
    with db:
        db.execute(
            "UPDATE blocks SET (shard, offset, length, check_sum) = (SELECT shard, offset, length, "
            "check_sum FROM blocks WHERE key = ?) WHERE key = ?",
            (KEYS[0], KEYS[1]),
        )
    db.close()
    with Memory(tmp_path) as memory:
        assert whole(memory) == {KEYS[0]: bytes(block(0))}


@pytest.mark.parametrize("place", [("offset", -1), ("offset", 1 << 40), ("length", -5)])
def test_an_index_that_points_nowhere_is_a_miss(tmp_path: Path, place: tuple[str, int]) -> None:
    with Memory(tmp_path) as memory:
        memory.put_blocks({KEYS[0]: block(0), KEYS[1]: block(1)})
    db = sqlite3.connect(tmp_path / "values.db")
    with db:
        db.execute(f"UPDATE blocks SET {place[0]} = ? WHERE key = ?", (place[1], KEYS[1]))
    db.close()
    with Memory(tmp_path) as memory:
        assert whole(memory) == {KEYS[0]: bytes(block(0))}


def test_a_shard_cut_while_it_is_read_is_a_miss_and_not_the_end(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put_blocks({KEYS[0]: block(0), KEYS[1]: block(1, 100_000)})
        assert len(whole(memory)) == 2
        os.truncate(files(tmp_path)[0], 4096)
        assert whole(memory) == {KEYS[0]: bytes(block(0))}


def test_shards_that_are_gone_are_misses(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put_blocks({KEYS[0]: block(0)})
        files(tmp_path)[0].unlink()
        # The map that is open still has it; a new one has not.
        assert whole(memory) in ({}, {KEYS[0]: bytes(block(0))})
    with Memory(tmp_path) as memory:
        assert whole(memory) == {}
        memory.put_blocks({KEYS[0]: block(0)})
        assert whole(memory) == {KEYS[0]: bytes(block(0))}


def test_a_lost_index_leaves_misses(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        memory.put_blocks({KEYS[0]: block(0)})
    (tmp_path / "values.db").write_bytes(b"no database" * 1000)
    with Memory(tmp_path) as memory:
        assert whole(memory) == {}
        memory.put_blocks({KEYS[1]: block(1)})
        assert whole(memory) == {KEYS[1]: bytes(block(1))}


def test_a_full_shard_is_followed_by_another(tmp_path: Path) -> None:
    shards = Shards(tmp_path, largest=1000)
    places = shards.append([bytes([i]) * 600 for i in range(5)])
    assert [size for _, size in sorted(shards.sizes().items())] == [1240, 1240, 600]
    for i, (name, offset) in enumerate(places):
        view = shards.view(name, offset, 600)
        assert view is not None
        assert bytes(view) == bytes([i]) * 600
    assert shards.view(places[-1][0], 0, 601) is None
    shards.close()


def test_a_writer_waits_until_another_has_written(tmp_path: Path) -> None:
    found_end = threading.Event()

    def slow() -> None:
        with Memory(tmp_path) as memory:
            newest = memory.shards._newest

            def late(fresh: bool) -> BinaryIO:
                # Knows where the shard ends, and writes a good while later.
                file = newest(fresh)
                found_end.set()
                time.sleep(0.2)
                return file

            memory.shards._newest = late  # type: ignore[method-assign]
            memory.put_blocks({KEYS[1]: block(1)})

    with Memory(tmp_path) as memory:
        memory.put_blocks({KEYS[0]: block(0)})
        thread = threading.Thread(target=slow)
        thread.start()
        assert found_end.wait(30)
        memory.put_blocks({KEYS[2]: block(2)})
        thread.join()
        assert whole(memory) == {key: bytes(block(i)) for i, key in enumerate(KEYS[:3])}


def test_a_block_that_is_moved_while_it_is_looked_up_is_found(tmp_path: Path) -> None:
    with Memory(tmp_path) as one, Memory(tmp_path) as other:
        one.put_blocks({KEYS[0]: block(0)})
        one.put_blocks({KEYS[1]: block(1), KEYS[2]: block(2)})
        one.put_blocks({KEYS[2]: block(3), KEYS[1]: block(4)})
        view = other.shards.view
        moved = []

        def late(name: str, offset: int, length: int) -> memoryview | None:
            # Between the look into the index and the look into the shard, it is rewritten.
            if not moved:
                moved.append(name)
                with one._db:
                    left = rewrite(one._db, one.shards)
                assert name in left
                one.shards.drop(left)
            return view(name, offset, length)

        other.shards.view = late  # type: ignore[method-assign]
        assert whole(other, KEYS[:1]) == {KEYS[0]: bytes(block(0))}
        assert moved


def _write(folder: Path, worker: int, ready: multiprocessing.Barrier) -> None:  # type: ignore[valid-type]
    ready.wait()  # type: ignore[attr-defined]
    with Memory(folder) as memory:
        for i in range(worker, len(KEYS), 2):
            memory.put_blocks({KEYS[i]: block(i)})
            memory.put({key_of("value-1", i): i})


def test_two_writing_processes_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    ready = context.Barrier(2)
    workers = [context.Process(target=_write, args=(tmp_path, n, ready)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with Memory(tmp_path) as memory:
        assert whole(memory) == {key: bytes(block(i)) for i, key in enumerate(KEYS)}
        values = [key_of("value-1", i) for i in range(len(KEYS))]
        assert memory.get(values) == {key: i for i, key in enumerate(values)}


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
@pytest.mark.parametrize("step", ["bytes", "index"])
def test_a_writer_that_is_killed_leaves_the_old_state(tmp_path: Path, step: str) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with Memory(tmp_path) as memory:
        memory.put_blocks({KEYS[0]: block(0)})
    pid = os.fork()
    if pid == 0:
        memory = Memory(tmp_path)
        append = memory.shards.append
        if step == "bytes":
            # Half of the bytes are out.
            half = block(1)[:1000]
            memory.shards.append = lambda values, **_: die(append([half]))  # type: ignore[assignment]
        else:
            memory.shards.append = lambda values, **_: (append(values), die())[0]  # type: ignore
        memory.put_blocks({KEYS[0]: block(9), KEYS[1]: block(1)})
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    with Memory(tmp_path) as memory:
        assert whole(memory) == {KEYS[0]: bytes(block(0))}
        memory.put_blocks({KEYS[1]: block(1)})
        assert whole(memory) == {KEYS[0]: bytes(block(0)), KEYS[1]: bytes(block(1))}
