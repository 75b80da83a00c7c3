"""Secrets and personal data, as spans. Nothing found here may leave in an export."""

from __future__ import annotations

import re

from molting.signals.noise import Hit

_PATTERNS: dict[str, str] = {
    "private_key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----",
    "api_key": r"\b(?:sk|pk|rk)[-_](?:[a-z]+[-_])?[A-Za-z0-9_-]{12,}\b|\bgh[pousr]_[A-Za-z0-9]{20,}\b"
    r"|\bgithub_pat_\w{20,}\b|\bxox[abprs]-[\w-]{10,}|\bAIza[\w-]{30,}|\bhf_[A-Za-z0-9]{20,}\b"
    r"|\bmoltbook_[\w-]{12,}|\bglpat-[\w-]{16,}",
    "aws_key": r"\b(?:AKIA|ASIA)[A-Z0-9]{12,16}\b",
    "jwt": r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,}",
    "url_password": r"\b[a-z][a-z0-9+.-]*://[^\s:/@]+:[^\s/@]+@[^\s/]+",
    # "The secret is butter!" gives nothing away: what follows must look made up, not spoken.
    "password": r"\b(?:password|passwd|passphrase|api[_ -]?key)\s*(?:is|=|:)\s*[\"'`]?"
    r"(?=[^\s\"'`]*(?:\d|[!@#$%^&*_]+[A-Za-z0-9]))[^\s\"'`,;]{6,}"
    r"|(?<![A-Za-z])(?:secret|token)(?:[_ ]key)?\s*(?:is|=|:)\s*[\"'`]?"
    r"(?=[^\s\"'`]*[A-Za-z])(?=[^\s\"'`]*\d)[A-Za-z0-9+/=_!@#$%^&*.]{8,}",
    "email": r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b",
    "card_number": r"\b(?:\d[ -]?){12,18}\d\b",
    "phone": r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ .-]?|\d{2,4}[ .-])\d{3,4}[ .-](?!000\b)\d{3,4}\b"
    r"|\b555-\d{4}\b|(?<![\w.])\+\d{9,14}\b",
    "ip_address": r"(?<![\d.])(?!127\.|0\.0\.0\.0)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\.?\d)",
    "home_path": r"(?<!\w)(?:(?:/home/|/Users/|[A-Za-z]:\\Users\\)[A-Za-z0-9._-]+(?:[/\\][^\s\"',;]*)?|/root/\S+)",
    "ssn": r"\b\d{3}-\d{2}-\d{4}\b",
}
_COMPILED = {kind: re.compile(pattern) for kind, pattern in _PATTERNS.items()}
_CASELESS = re.compile(_PATTERNS["password"], re.IGNORECASE)


def find_secrets(text: str) -> list[Hit]:
    """All secrets and personal data in `text`, leftmost first, without overlaps."""
    found: list[Hit] = []
    for kind, pattern in _COMPILED.items():
        compiled = _CASELESS if kind == "password" else pattern
        for match in compiled.finditer(text):
            if kind == "card_number" and not _luhn(match.group()):
                continue
            found.append(Hit(kind, match.start(), match.end()))
    kept: list[Hit] = []
    for hit in sorted(found, key=lambda hit: (hit.start, -hit.end)):
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
    return kept


def redact(text: str) -> str:
    """`text` with every secret replaced by its kind in brackets."""
    for hit in reversed(find_secrets(text)):
        text = f"{text[: hit.start]}[{hit.kind}]{text[hit.end :]}"
    return text


def _luhn(text: str) -> bool:
    """The check digit of payment cards: random digit runs rarely pass it."""
    digits = [int(c) for c in text if c.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    total = 0
    for i, digit in enumerate(reversed(digits)):
        doubled = digit * 2 if i % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0
