"""Damage from wrong encodings: text that was written as one and read as another.

Mojibake is told by undoing it: characters that, written back as Windows-1252 or Latin-1, are valid
UTF-8 of several bytes were such bytes once. Real text in those encodings hardly ever is.
"""

from __future__ import annotations

import re

from molting.signals.noise import Hit

KINDS = (
    "mojibake",
    "replacement_character",
    "control_character",
    "html_entity",
    "escaped_character",
)

_HIGH = re.compile(r"[^\x00-\x7f]{2,12}")
_ODD_SPACE = re.compile(r"(?<=[\s\w.,!?])Â(?=[ \u00a0])|(?<!\w)â€(?!\w)")
_PLAIN = [
    ("replacement_character", re.compile(r"\ufffd+|(?<=\w)\?{2,}(?=[a-z])|[\ud800-\udfff]+")),
    ("control_character", re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u0080-\u009f\ufeff\u200e\u200f\u202a-\u202e]+")),
    ("html_entity", re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|hellip|mdash|ndash|[lr][sd]quo|#\d{2,6}|#x[0-9a-f]{2,5});", re.IGNORECASE)),
    ("escaped_character", re.compile(r"\\u[0-9a-fA-F]{4}|\\x[89a-fA-F][0-9a-fA-F]|(?<=[\w.!?,])\\[nrt](?=[A-Z \\]|$)")),
]  # fmt: skip


def find_damage(text: str) -> list[Hit]:
    """Every place where an encoding went wrong, leftmost first, without overlaps."""
    found = [Hit("mojibake", start, end) for start, end in _mojibake(text)]
    found += [Hit("mojibake", m.start(), m.end()) for m in _ODD_SPACE.finditer(text)]
    found += [
        Hit(kind, m.start(), m.end()) for kind, pattern in _PLAIN for m in pattern.finditer(text)
    ]
    kept: list[Hit] = []
    for hit in sorted(found, key=lambda hit: (hit.start, -hit.end)):
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
    return kept


def _mojibake(text: str) -> list[tuple[int, int]]:
    if text.isascii():
        return []
    found: list[tuple[int, int]] = []
    for match in _HIGH.finditer(text):
        run, at = match.group(), 0
        while at < len(run) - 1:
            # UTF-8 sequences are two to four bytes, so that many characters.
            size = next((n for n in (4, 3, 2) if _was_utf8(run[at : at + n], n)), 0)
            if size:
                start = match.start() + at
                if found and found[-1][1] == start:
                    found[-1] = (found[-1][0], start + size)
                else:
                    found.append((start, start + size))
            at += size or 1
    return found


def _was_utf8(piece: str, size: int) -> bool:
    if len(piece) != size:
        return False
    for encoding in ("cp1252", "latin-1"):
        try:
            original = piece.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
        if len(original) == 1 and original != piece:
            return True
    return False
