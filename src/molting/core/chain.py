"""Tables that only grow: each entry's id is a hash over its fields and the id of the one before.

Triggers refuse UPDATE, DELETE and any INSERT but the next entry, and a changed byte breaks the chain
at its entry. The chain finds faults of disks and copies; it has no key, and does not stop a person
who recomputes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Chain(NamedTuple):
    """One such table of .molting/project.db."""

    table: str
    what: str
    """What the table is called in a refusal."""
    person: bytes
    """BLAKE2b's personalisation, so that no other table's hashes pass for this one's."""
    fields: tuple[str, ...]
    """All are text; the last is `previous`, the id of the entry before."""

    @property
    def columns(self) -> tuple[str, ...]:
        return ("number", "id", *self.fields)

    @property
    def schema(self) -> str:
        table, what = self.table, self.what
        return f"""
CREATE TABLE IF NOT EXISTS {table} (
    number INTEGER PRIMARY KEY,
    id     TEXT NOT NULL UNIQUE,
    {", ".join(f"{name} TEXT NOT NULL" for name in self.fields)}
);
CREATE TRIGGER IF NOT EXISTS {table}_never_change BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{what} is append-only'); END;
CREATE TRIGGER IF NOT EXISTS {table}_never_go BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, '{what} is append-only'); END;
CREATE TRIGGER IF NOT EXISTS {table}_only_follow BEFORE INSERT ON {table}
WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM {table})
  OR NEW.previous IS NOT coalesce((SELECT id FROM {table} ORDER BY number DESC LIMIT 1), '')
BEGIN SELECT RAISE(ABORT, '{what} takes only its next entry'); END;
"""

    @property
    def insert(self) -> str:
        names = self.columns
        return (
            f"INSERT INTO {self.table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        )

    @property
    def select(self) -> str:
        """All entries, oldest first."""
        return f"SELECT {', '.join(self.columns)} FROM {self.table} ORDER BY number"

    def id_of(self, number: int, texts: Sequence[str]) -> str:
        """The id that entry `number` must have, whose fields are `texts`."""
        digest = hashlib.blake2b(digest_size=16, person=self.person)
        for text in (str(number), *texts):
            raw = text.encode("utf-8", "surrogateescape")
            digest.update(len(raw).to_bytes(8, "little"))
            digest.update(raw)
        return "b2:" + digest.hexdigest()

    def first_fault(self, entries: Iterable[tuple[int, str, Sequence[str]]]) -> int | None:
        """The place, from 1, of the first (number, id, texts) that does not follow from the one
        before; None if all do."""
        previous = ""
        for place, (number, entry_id, texts) in enumerate(entries, 1):
            if (number, texts[-1], entry_id) != (place, previous, self.id_of(number, texts)):
                return place
            previous = entry_id
        return None
