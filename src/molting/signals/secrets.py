"""Secrets and personal data, as spans, and text without them. Nothing found here may leave.

The rules stand in `credentials`, `phones`, `personal` and `national_ids`. What is redacted is
replaced by its kind in brackets; such a placeholder is a wall that no rule looks across, and
`find_secrets` looks at what is left between its finds until nothing more is found. So the redacted
text holds no secret, and redacting it again changes nothing: both follow from how it is made.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from molting.signals import credentials, personal, phones
from molting.signals.noise import Hit
from molting.signals.rules import Rule, Scanned, hits

_RULES: tuple[Rule, ...] = (
    *credentials.RULES, *personal.RULES, *phones.RULES, *credentials.GENERIC,
)  # fmt: skip
"""Where two finds overlap they become one, of the kind of the rule that stands first."""
KINDS = tuple(dict.fromkeys(one.kind for one in _RULES))
"""Every kind of find. A closed list."""
_PLACEHOLDER = re.compile(rf"\[({'|'.join(KINDS)})(?: (\d{{1,6}}))?\]")


class Redaction(NamedTuple):
    """A text that may be shown, and where in the original the finds stood."""

    text: str
    hits: list[Hit]


def find_secrets(text: str) -> list[Hit]:
    """All secrets and personal data in `text`, leftmost first, without overlaps."""
    found: list[Hit] = []
    at = 0
    open_: list[tuple[int, int]] = []
    for match in _PLACEHOLDER.finditer(text):
        open_.append((at, match.start()))
        at = match.end()
    open_.append((at, len(text)))
    while open_:
        start, end = open_.pop()
        merged = _scan(text[start:end])
        at = start
        for hit in merged:
            found.append(Hit(hit.kind, start + hit.start, start + hit.end))
            open_.append((at, start + hit.start))
            at = start + hit.end
        if merged:
            open_.append((at, end))
    return sorted(found, key=lambda hit: hit.start)


def redact(text: str) -> Redaction:
    """`text` with every secret replaced by its kind in brackets, and what was replaced."""
    return redact_all([text])[0]


def redact_all(texts: Sequence[str]) -> list[Redaction]:
    """Redact the texts of one conversation.

    The first e-mail address is `[email]`, a second one `[email 2]`, and the same address has the
    same placeholder everywhere: who is meant stays readable, and most text needs no number.
    """
    used: dict[str, int] = {}
    for text in texts:
        for match in _PLACEHOLDER.finditer(text):
            used[match[1]] = max(used.get(match[1], 0), int(match[2] or 1))
    known: dict[tuple[str, str], str] = {}
    redacted = []
    for text in texts:
        found = find_secrets(text)
        pieces, at = [], 0
        for hit in found:
            key = (hit.kind, _same(text[hit.start : hit.end]))
            if key not in known:
                used[hit.kind] = number = used.get(hit.kind, 0) + 1
                known[key] = f"[{hit.kind}]" if number == 1 else f"[{hit.kind} {number}]"
            pieces += [text[at : hit.start], known[key]]
            at = hit.end
        redacted.append(Redaction("".join([*pieces, text[at:]]), found))
    return redacted


def _scan(text: str) -> list[Hit]:
    """One look with every rule; overlapping finds become one."""
    if len(text) < 5:
        return []
    scanned = Scanned.of(text)
    found = [(hit, rank) for rank, one in enumerate(_RULES) for hit in hits(scanned, one)]
    merged: list[tuple[Hit, int]] = []
    for hit, rank in sorted(found, key=lambda item: (item[0].start, -item[0].end, item[1])):
        last, first = merged[-1] if merged else (None, 0)
        if last is None or hit.start >= last.end:
            merged.append((hit, rank))
            continue
        kind = hit.kind if rank < first else last.kind
        merged[-1] = (Hit(kind, last.start, max(last.end, hit.end)), min(rank, first))
    return [hit for hit, _ in merged]


def _same(secret: str) -> str:
    """What is left of a secret when only its spelling varies."""
    return "".join(c for c in secret.casefold() if c.isalnum())
