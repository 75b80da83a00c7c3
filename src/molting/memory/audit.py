"""What the memory holds, whether it is whole, and how to empty it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import msgspec

from molting.memory.store import Memory

_CHUNK = 256
"""Values checked in one go."""


class Kind(msgspec.Struct, kw_only=True):
    """What is held of one kind, and how often it was asked for since the memory was made."""

    entries: int = 0
    bytes: int = 0
    hits: int = 0
    misses: int = 0


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the memory holds. `disk_bytes` is what the files take, dropped values included."""

    kinds: dict[str, Kind]
    entries: int
    bytes: int
    disk_bytes: int
    budget_bytes: int
    shards: int


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What `verify` found; damaged values are dropped and will be computed again."""

    checked: int
    damaged: dict[str, int]
    """By kind."""
    index_damaged: bool
    """The database itself could not be read, and all was dropped."""


def holdings(memory: Memory) -> Holdings:
    """What is there by kind: entries, bytes, hits and misses."""
    memory.note_use()
    kinds: dict[str, Kind] = {}
    for table, size in (("entries", "length(value)"), ("blocks", "length")):
        for key, count, total in memory.rows(
            f"SELECT substr(key, 1, instr(key, ':') - 1), count(*), sum({size}) "
            f"FROM {table} GROUP BY 1"
        ):
            kind = kinds.setdefault(shown_kind(key), Kind())
            kind.entries += count
            kind.bytes += total
    for key, hits, misses in memory.rows("SELECT kind, hits, misses FROM asked"):
        kind = kinds.setdefault(shown_kind(key), Kind())
        kind.hits += hits
        kind.misses += misses
    sizes = memory.shards.sizes()
    files = sum(path.stat().st_size for path in memory.folder.glob("values.db*"))
    return Holdings(
        kinds=dict(sorted(kinds.items())),
        entries=sum(kind.entries for kind in kinds.values()),
        bytes=sum(kind.bytes for kind in kinds.values()),
        disk_bytes=files + sum(sizes.values()),
        budget_bytes=memory.budget,
        shards=len(sizes),
    )


def verify(memory: Memory, report: Callable[[int, int], None] | None = None) -> Audit:
    """Check every value against its checksum, and drop what does not match."""
    checked = 0
    damaged: dict[str, int] = {}
    broken = not memory.check_index()
    keys = [
        [key for (key,) in memory.rows(f"SELECT key FROM {table} ORDER BY key")]
        for table in ("entries", "blocks")
    ]
    total = sum(map(len, keys))
    readers: tuple[Callable[[list[str]], Collection[str]], ...] = (
        memory.whole_values,
        memory.whole_blocks,
    )
    for some, whole in zip(keys, readers, strict=True):
        for start in range(0, len(some), _CHUNK):
            chunk = some[start : start + _CHUNK]
            found = whole(chunk)
            for key in chunk:
                if key not in found:
                    kind = shown_kind(key.partition(":")[0])
                    damaged[kind] = damaged.get(kind, 0) + 1
            checked += len(chunk)
            if report:
                report(checked, total)
    return Audit(checked=checked, damaged=damaged, index_damaged=broken)


def clear(memory: Memory) -> Holdings:
    """Remove everything; what was there is returned."""
    before = holdings(memory)
    memory.clear()
    return before


def shown_kind(kind: str) -> str:
    """`reply-2` is shown as `reply`: what follows is a version, or the hash of a space of values."""
    return re.sub(r"-(\d+|[0-9a-f]{12})$", "", kind) or "other"
