"""Append-only files for large values, read through memory maps.

A shard is bytes end to end; what lies where, the index in SQLite knows. Appends happen under the
index's write lock, one process at a time. Names are never used twice, so a map that another
process still holds of a dropped shard is only old, never wrong. What a killed writer has left
without an entry in the index is dead weight until its shard is rewritten.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

_ALIGN = 64
"""Values begin at multiples of this many bytes, as vector loads like it."""
LARGEST = 256 << 20
"""A shard that has reached this many bytes is not appended to any more."""


class Shards:
    """The shard files of one folder."""

    def __init__(self, folder: Path, largest: int = LARGEST) -> None:
        self.folder, self.largest = folder, largest
        self._maps: dict[str, mmap.mmap] = {}

    def append(
        self, values: Sequence[bytes | memoryview], *, fresh: bool = False
    ) -> list[tuple[str, int]]:
        """Write values behind the newest shard, or into a fresh one; name and offset of each.

        Hold the index's write lock.
        """
        places: list[tuple[str, int]] = []
        file = self._newest(fresh)
        try:
            for value in values:
                if file.tell() >= self.largest:
                    file.close()
                    file = self._newest(True)
                file.write(bytes(-file.tell() % _ALIGN))
                places.append((Path(file.name).name, file.tell()))
                file.write(value)
        finally:
            file.close()
        return places

    def _newest(self, fresh: bool) -> BinaryIO:
        """The newest shard, open at its end; a new one behind it when there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        names = sorted(self.sizes())
        if fresh or not names:
            number = int(names[-1].split("-")[0]) + 1 if names else 1
            names.append(f"{number:06d}-{secrets.token_hex(4)}.shard")
        file = (self.folder / names[-1]).open("ab")
        file.seek(0, os.SEEK_END)
        return file

    def view(self, name: str, offset: int, length: int) -> memoryview | None:
        """The bytes at a place, read-only; None when the file has no such place."""
        if length == 0:
            # An empty file cannot be mapped.
            return memoryview(b"")
        try:
            held = self._maps.get(name)
            # A file that was cut is seen before its pages are touched, which would end the process.
            if held is None or len(held) < offset + length or held.size() < len(held):
                self._maps.pop(name, None)
                with (self.folder / name).open("rb") as file:
                    held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self._maps[name] = held
        except (OSError, ValueError):
            return None
        if offset < 0 or length < 0 or len(held) < offset + length:
            return None
        return memoryview(held)[offset : offset + length]

    def sizes(self) -> dict[str, int]:
        """Bytes of each shard file."""
        if not self.folder.is_dir():
            return {}
        found = {}
        for path in self.folder.iterdir():
            number = path.name.split("-")[0]
            if path.suffix == ".shard" and number.isdigit():
                with contextlib.suppress(FileNotFoundError):
                    found[path.name] = path.stat().st_size
        return found

    def drop(self, names: Iterable[str]) -> None:
        """Remove shards. Where the system refuses (a map is open on Windows), a later time does."""
        for name in names:
            self._maps.pop(name, None)
            with contextlib.suppress(OSError):
                (self.folder / name).unlink()

    def close(self) -> None:
        # Views that were given out keep their map; the rest go with it.
        self._maps.clear()
