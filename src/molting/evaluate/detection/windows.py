"""A writer's text as a few windows of about the same length, spread over all of it."""

from __future__ import annotations

from collections.abc import Sequence


def windows(pieces: Sequence[str], words: int, most: int) -> list[str]:
    """Windows of about `words` words, at most `most`, evenly spread; never none.

    Short pieces stand together, one a line; a long one is cut. Which windows are taken depends on
    nothing but the text.
    """
    found: list[str] = []
    open_lines: list[str] = []
    room = words
    for piece in pieces:
        rest = piece.split()
        # A piece that does not fit begins a window of its own, unless little is in this one.
        if open_lines and len(rest) > room and room < words // 2:
            found.append("\n".join(open_lines))
            open_lines, room = [], words
        while rest:
            open_lines.append(" ".join(rest[:room]))
            taken = len(rest[:room])
            rest, room = rest[room:], room - taken
            if room == 0:
                found.append("\n".join(open_lines))
                open_lines, room = [], words
    if open_lines:
        found.append("\n".join(open_lines))
    if len(found) <= most:
        return found
    if most == 1:
        return found[:1]
    return [found[round(i * (len(found) - 1) / (most - 1))] for i in range(most)]
