"""Turns as a text that a person can edit, and back.

    [user]
    Is there any broth left?

    [assistant]
    Half a pot, shoreling.

A line that is only a role in brackets begins a turn. Lines before the first one that begin with #
are remarks. A line of the text itself that is, or nearly is, a role in brackets has a backslash
before it. White space around a turn's text does not count.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

from molting.core.conversation import Role, Turn
from molting.core.errors import InputError

ROLES: tuple[Role, ...] = get_args(Role)
_BEGIN = re.compile(r"\[(system|user|assistant)\]\s*\Z")
_BRACKETS = re.compile(r"\[(\w+)\]\s*\Z")
_LINES = re.compile(r"\r\n|\r|\n")
REMARK = """# Change what is below, save and close. A line [user], [assistant] or [system] begins a turn.
# Close without a change, and nothing is decided.

"""


def to_text(turns: Sequence[Turn]) -> str:
    """The text form; `from_text` gives these turns back."""
    parts = []
    for turn in turns:
        lines = [
            "\\" + line if _role_meant(line.lstrip("\\")) else line
            for line in _LINES.split(turn.text)
        ]
        parts.append("\n".join([f"[{turn.role}]", *lines]) + "\n")
    return "\n".join(parts)


def from_text(text: str, original: Sequence[Turn] = ()) -> tuple[Turn, ...]:
    """Turns of the text form. A turn that says the same as in `original` is that very turn.

    Raises InputError, with the line, for what cannot be trained on.
    """
    turns: list[tuple[int, Role, list[str]]] = []
    for number, line in enumerate(_LINES.split(text), 1):
        begins = _BEGIN.match(line)
        if begins:
            role = next(role for role in ROLES if role == begins[1])
            turns.append((number, role, []))
        elif turns:
            _refuse_misspelt(line, number)
            escaped = line.startswith("\\") and _role_meant(line.lstrip("\\"))
            turns[-1][2].append(line[1:] if escaped else line)
        elif line.strip() and not line.startswith("#"):
            raise InputError(f"line {number}: text before the first [user] or [assistant] line")
    if not turns:
        raise InputError("no turn; a line [user] or [assistant] begins one")
    _refuse_untrainable(turns)
    found = []
    for place, (_, role, lines) in enumerate(turns):
        said = "\n".join(lines).strip()
        old = original[place] if place < len(original) else None
        same = old is not None and old.role == role and _plain(old.text) == said
        found.append(old if old is not None and same else Turn(role, said))
    return tuple(found)


def _plain(text: str) -> str:
    return "\n".join(_LINES.split(text)).strip()


def replace_reply(text: str, turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """What a person types without an editor: the whole text form, or only a new last reply."""
    if any(_BEGIN.match(line) for line in _LINES.split(text)):
        return from_text(text, turns)
    if not text.strip():
        raise InputError("the new reply is empty")
    last = max((i for i, turn in enumerate(turns) if turn.role == "assistant"), default=None)
    if last is None:
        raise InputError("there is no reply to replace; give the whole conversation")
    said = Turn("assistant", _plain(text))
    return from_text(to_text([*turns[:last], said, *turns[last + 1 :]]), turns)


def _role_meant(line: str) -> Role | None:
    """The role that a line in brackets is or was perhaps meant to be; None for any other line."""
    found = _BRACKETS.match(line)
    close = found and difflib.get_close_matches(found[1].lower(), ROLES, 1, 0.75)
    return next(role for role in ROLES if role == close[0]) if close else None


def _refuse_misspelt(line: str, number: int) -> None:
    meant = _role_meant(line)
    if meant:
        raise InputError(
            f"line {number}: {line.strip()} is no role; did you mean [{meant}]? "
            "(a backslash before it makes it text)"
        )


def _refuse_untrainable(turns: Sequence[tuple[int, Role, list[str]]]) -> None:
    said = {
        role: any("".join(lines).strip() for _, r, lines in turns if r == role) for role in ROLES
    }
    for role in ("assistant", "user"):
        if not said[role]:
            raise InputError(f"no [{role}] turn says anything")
    for number, role, lines in turns:
        if role == "assistant" and not "".join(lines).strip():
            raise InputError(f"line {number}: the [assistant] turn is empty")
    for (_, before, _), (number, role, _) in pairwise(turns):
        if before == role:
            raise InputError(f"line {number}: two [{role}] turns in a row; join them")
