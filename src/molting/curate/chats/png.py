"""The texts in a PNG image's chunks; the picture itself is not decoded."""

from __future__ import annotations

import zlib
from pathlib import Path

from molting.core.errors import InputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LARGEST = 1 << 26
"""Bytes that a compressed text may unpack to."""


def png_texts(path: Path, shown: str) -> dict[str, bytes]:
    """Keyword → text of the tEXt, zTXt and iTXt chunks (PNG specification, section 11.3.3)."""
    raw = path.read_bytes()
    if not raw.startswith(SIGNATURE):
        raise InputError("is no PNG image", file=shown)
    texts: dict[str, bytes] = {}
    place = len(SIGNATURE)
    while place < len(raw):
        length = int.from_bytes(raw[place : place + 4], "big")
        kind = raw[place + 4 : place + 8]
        data = raw[place + 8 : place + 8 + length]
        if len(kind) < 4 or len(data) < length:
            raise InputError("the PNG image is cut off; copy it again", file=shown)
        if kind in (b"tEXt", b"zTXt", b"iTXt"):
            keyword, _, rest = data.partition(b"\0")
            text = _text(kind, rest)
            if text is None:
                raise InputError("the PNG image has a damaged text chunk", file=shown)
            texts[keyword.decode("latin-1")] = text
        if kind == b"IEND":
            break
        # Length, kind and check sum frame the data.
        place += 12 + length
    return texts


def _text(kind: bytes, rest: bytes) -> bytes | None:
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return _unpacked(rest[1:])
    # iTXt: packed?, how, language \0 translated keyword \0 text
    packed, parts = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
    if len(parts) < 3:
        return None
    return _unpacked(parts[2]) if packed else parts[2]


def _unpacked(data: bytes) -> bytes | None:
    reader = zlib.decompressobj()
    try:
        text = reader.decompress(data, _LARGEST)
    except zlib.error:
        return None
    return text if reader.eof else None
