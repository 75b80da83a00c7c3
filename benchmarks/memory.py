"""Is the memory safe? Random damage to its files, two processes that write, a store deleted.

python -m benchmarks.memory [--json] [--corruptions 10000] [--only corruptions,writers,deletion]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from molting.memory.store import Memory, key_of

KINDS = ("bit", "byte", "stretch", "zeros", "swap", "cut", "shift")
"""What happens to a shard: one bit or byte is changed, a stretch is overwritten or zeroed, two
stretches change places, the file ends early, a byte goes missing and all behind it moves up."""


def damage(folder: Path, draw: random.Random, kind: str = "") -> set[str]:
    """Damage a shard once at random; the keys of the blocks whose bytes are not what they were."""
    kind = kind or draw.choice(KINDS)
    path = draw.choice(sorted((folder / "shards").iterdir()))
    before = path.read_bytes()
    db = sqlite3.connect(folder / "values.db")
    query = "SELECT key, offset, length FROM blocks WHERE shard = ? AND length > 0"
    places = db.execute(query, (path.name,)).fetchall()
    db.close()
    after = before
    while after == before:
        # Aim at a block: between them lies padding that nothing depends on.
        _, offset, length = draw.choice(places)
        at = offset + draw.randrange(length)
        end = min(len(before), at + draw.randrange(1, 200))
        raw = bytearray(before)
        if kind == "bit":
            raw[at] ^= 1 << draw.randrange(8)
        elif kind == "byte":
            raw[at] = draw.randrange(256)
        elif kind == "stretch":
            raw[at:end] = draw.randbytes(end - at)
        elif kind == "zeros":
            raw[at:end] = bytes(end - at)
        elif kind == "swap":
            _, other, size = draw.choice(places)
            size = min(size, length)
            raw[offset : offset + size], raw[other : other + size] = (
                before[other : other + size],
                before[offset : offset + size],
            )
        elif kind == "cut":
            del raw[at:]
        else:
            del raw[at]
        after = bytes(raw)
    path.write_bytes(after)
    return {
        key
        for key, offset, length in places
        if after[offset : offset + length] != before[offset : offset + length]
    }


def corruptions(count: int, seed: int = 0) -> dict[str, Any]:
    """Damage a store `count` times, each time a whole one; how often was it not noticed?"""
    draw = random.Random(seed)
    blocks = {key_of("block-1", i): draw.randbytes(500 + 37 * i) for i in range(24)}
    tried: Counter[str] = Counter()
    unnoticed = wrong = blocks_hit = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "memory"
        with Memory(folder) as memory:
            memory.put_blocks({key: memoryview(raw) for key, raw in blocks.items()})
        (shard,) = (folder / "shards").iterdir()
        whole_shard, whole_index = shard.read_bytes(), (folder / "values.db").read_bytes()
        for _ in range(count):
            kind = draw.choice(KINDS)
            hit = damage(folder, draw, kind)
            with Memory(folder) as memory:
                found = {key: bytes(view) for key, view in memory.get_blocks(blocks).items()}
            wrong += sum(found[key] != blocks[key] for key in found)
            unnoticed += bool(hit & found.keys())
            blocks_hit += len(hit)
            tried[kind] += 1
            shard.write_bytes(whole_shard)
            (folder / "values.db").write_bytes(whole_index)
    return {
        "corruptions": count,
        "by_kind": dict(sorted(tried.items())),
        "blocks_hit": blocks_hit,
        "unnoticed": unnoticed,
        "wrong_values_returned": wrong,
    }


def _write(folder: Path, worker: int, count: int, ready: Any) -> None:
    ready.wait()
    with Memory(folder) as memory:
        for i in range(worker, count, 2):
            memory.put_blocks(
                {key_of("block-1", i): memoryview(random.Random(i).randbytes(20_000))}
            )
            memory.put({key_of("value-1", i): i})


def writers(count: int = 2000) -> dict[str, Any]:
    """Two processes put blocks and values in turn; how many are missing afterwards?"""
    context = multiprocessing.get_context()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        ready = context.Barrier(2)
        workers = [
            context.Process(target=_write, args=(Path(name), n, count, ready)) for n in range(2)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - begun
        keys = [key_of("block-1", i) for i in range(count)]
        values = [key_of("value-1", i) for i in range(count)]
        with Memory(Path(name)) as memory:
            blocks, found = memory.get_blocks(keys), memory.get(values)
            right = sum(
                key in blocks and bytes(blocks[key]) == random.Random(i).randbytes(20_000)
                for i, key in enumerate(keys)
            )
            right_values = sum(found.get(key) == i for i, key in enumerate(values))
            del blocks
    return {
        "blocks_written": count,
        "blocks_right": right,
        "values_written": count,
        "values_right": right_values,
        "failed_processes": sum(worker.exitcode != 0 for worker in workers),
        "seconds": round(seconds, 1),
    }


def deletion(model: str, rows: int, epochs: int) -> dict[str, Any]:
    """Train in fast mode with an empty memory, a full one, one deleted half-way, and a damaged one."""
    from benchmarks.fast_runs import fast_run

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "memory"
        first = fast_run(model, rows, epochs, folder)
        again = fast_run(model, rows, epochs, folder)
        damage(folder, random.Random(1))
        damaged = fast_run(model, rows, epochs, folder)
        shutil.rmtree(folder)
        deleted = fast_run(model, rows, epochs, folder)
    runs = {"empty": first, "full": again, "damaged": damaged, "deleted": deleted}
    return {
        "model": model,
        "rows": rows,
        "epochs": epochs,
        "equal_bit_for_bit": len({run.adapter for run in runs.values()}) == 1,
        "runs": {key: run.told for key, run in runs.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--corruptions", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="corruptions,writers,deletion")
    parser.add_argument("--model", default="fake")
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()
    wanted = options.only.split(",")
    found: dict[str, Any] = {}
    if "corruptions" in wanted:
        found["corruptions"] = corruptions(options.corruptions, options.seed)
    if "writers" in wanted:
        found["writers"] = writers()
    if "deletion" in wanted:
        found["deletion"] = deletion(options.model, options.rows, options.epochs)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, values in found.items():
        print(name)
        for key, value in values.items():
            print(f"  {key}: {value}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
