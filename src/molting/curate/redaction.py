"""Rows without their secrets: `curate.secrets = "redact"`.

This comes before everything else in a curation, for training rows and held-out rows alike: two rows
that differ only in an address are duplicates once it is gone, and no later step, no corpus on disk
and no evidence ever sees the secret. One row comes out for each that went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from molting.core.config import Curate
from molting.core.conversation import Conversation, Turn, Verdict
from molting.signals.secrets import redact_all


class Redacted(msgspec.Struct, frozen=True):
    """Rows as they may be kept, and for each changed one (by place) the evidence of the change."""

    rows: list[Conversation]
    evidence: dict[int, dict[str, Any]]

    def explain(self, i: int, verdict: Verdict) -> Verdict:
        """The verdict of row `i`, with what was redacted in it."""
        if i not in self.evidence:
            return verdict
        # Where a person has edited the row, its `original` is the row as it came.
        return msgspec.structs.replace(verdict, evidence=self.evidence[i] | verdict.evidence)


def redact_rows(rows: Sequence[Conversation], config: Curate) -> Redacted:
    """The rows, redacted when the configuration says so; else as they are.

    Evidence: `original`, the id of the row as it came, and `redacted`, the turn, kind and span (in
    the original's text) of every find; never the secret itself.
    """
    if config.secrets != "redact":
        return Redacted(list(rows), {})
    made, evidence = [], {}
    for i, row in enumerate(rows):
        clean = redact_all([turn.text for turn in row.turns])
        found = [
            {"turn": t, "kind": hit.kind, "span": [hit.start, hit.end]}
            for t, redaction in enumerate(clean)
            for hit in redaction.hits
        ]
        if not found:
            made.append(row)
            continue
        turns = [
            Turn(turn.role, redaction.text)
            for turn, redaction in zip(row.turns, clean, strict=True)
        ]
        made.append(Conversation(tuple(turns), row.source))
        evidence[i] = {"original": row.id, "redacted": found}
    return Redacted(made, evidence)
