"""A finding of the preflight: how bad it is, which rows, what to do, and what is left after curation."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from molting.core.conversation import Conversation
from molting.curate.filters import REASONS

Severity = Literal["error", "warning", "note"]


class Finding(msgspec.Struct, frozen=True):
    """One kind of fault: how bad, which rows, what to do."""

    code: str
    severity: Severity
    message: str
    remedy: str
    rows: tuple[str, ...] = ()
    """`file:line` of every row concerned; empty for a fault of the configuration."""
    remaining: int = 0
    """Rows still concerned after curation; 1 for a fault of the configuration."""

    @property
    def open(self) -> bool:
        return self.remaining > 0


def merge(files: Sequence[Finding], training: Sequence[Finding]) -> list[Finding]:
    """Findings of the files as they came, each with what is left of it after curation."""
    after = {finding.code: finding for finding in training}
    merged = []
    for finding in files:
        later = after.pop(finding.code, None)
        if finding.rows or later is None:
            left = 0 if later is None else (len(later.rows) or 1)
        else:
            left = 1
        chosen = later if later is not None and not later.rows else finding
        if later is not None:
            chosen = msgspec.structs.replace(chosen, severity=later.severity)
        merged.append(msgspec.structs.replace(chosen, rows=finding.rows, remaining=left))
    merged += [msgspec.structs.replace(f, remaining=len(f.rows) or 1) for f in after.values()]
    return merged


def soften(found: Sequence[Finding], kept_by_person: Collection[str]) -> list[Finding]:
    """Noise and duplicates become notes where a person has kept every row concerned (`file:line`)."""
    theirs = {*REASONS, "foreign_template_tokens"}
    return [
        msgspec.structs.replace(
            finding, severity="note", message=f"{finding.message} (kept by a reviewer)"
        )
        if finding.code in theirs and finding.rows and {*finding.rows} <= {*kept_by_person}
        else finding
        for finding in found
    ]


def new_finding(
    code: str, severity: Severity, message: str, remedy: str, rows: Sequence[Conversation] = ()
) -> Finding:
    """A finding about `rows`, all of which are still concerned."""
    places = tuple(str(row.source) for row in rows)
    return Finding(code, severity, message, remedy, places, len(places) or 1)


def told_rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
