"""Plain scripts: `Name: what is said`, with further lines that belong to the line before."""

from __future__ import annotations

import re
import textwrap
from collections import Counter

from molting.core.conversation import Source
from molting.core.errors import InputError
from molting.curate.chats.record import Chat, Message, Thread
from molting.signals.text import fold

_SAID = re.compile(
    r"(?:\*\*|__)?(?P<who>[^\W_][^:*\n]{0,39}?)\s?(?P<aside>\([^()\n]{1,60}\))?(?:\*\*|__)?\s?:"
    r"(?:\*\*|__)?(?:\s+(?P<text>.*)|$)"
)
_BREAK = re.compile(r"\s*(?:<START>|[-=*_#]{3,}|\* \* \*)\s*", re.IGNORECASE)
_MOST_WORDS = 4
"""A longer run of words before a colon is a sentence, not a name."""


def looks_like_script(text: str) -> bool:
    """Whether at least a third of the first lines name a speaker, one of them twice."""
    lines = [line for line in text.split("\n")[:400] if line.strip()]
    names = Counter(fold(found["who"]) for line in lines if (found := _said(line)))
    return bool(names) and max(names.values()) >= 2 and 3 * sum(names.values()) >= len(lines)


def read_script(text: str, shown: str) -> Chat:
    """Messages in order. A line of `---` or `<START>` begins a new conversation.

    A name counts when it stands so on two lines, or once if it is written like a name and has
    words after it. An indented line always belongs to the line before.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    found = [None if line[:1].isspace() else _said(line) for line in lines]
    lone = Counter(fold(m["who"]) for m in found if m)
    spelled: dict[str, Counter[str]] = {}
    for m in found:
        if m:
            spelled.setdefault(fold(m["who"]), Counter())[m["who"].strip()] += 1
    names = {key: spellings.most_common(1)[0][0] for key, spellings in spelled.items()}
    threads: list[list[tuple[str, int, list[str]]]] = [[]]
    early = 0
    for number, (line, m) in enumerate(zip(lines, found, strict=True), 1):
        if _BREAK.fullmatch(line):
            threads.append([])
        elif m and (lone[fold(m["who"])] > 1 or (m["text"] and _like_a_name(m["who"]))):
            words = " ".join(part for part in (m["aside"], m["text"]) if part)
            threads[-1].append((names[fold(m["who"])], number, [words]))
        elif threads[-1]:
            threads[-1][-1][2].append(line)
        elif line.strip():
            early += 1
    dropped: Counter[str] = Counter()
    made = []
    for place, thread in enumerate(threads, 1):
        messages = []
        for who, number, body in thread:
            # Wrapped lines are indented alike; what they are indented by is no text.
            rest = textwrap.dedent("\n".join(body[1:]))
            words = f"{body[0]}\n{rest}".strip()
            if words:
                messages.append(Message(who, words, Source(shown, number)))
            else:
                dropped["empty"] += 1
        if messages:
            made.append(Thread(f"{shown}#{place}", tuple(messages)))
    if not made:
        raise InputError("holds no line such as `Name: text`", file=shown)
    notes = (f"lines before the first speaker left out: {early}",) if early else ()
    return Chat(shown, "script", tuple(made), dict(dropped), notes)


def _said(line: str) -> re.Match[str] | None:
    found = _SAID.fullmatch(line.rstrip())
    if found is None or len(found["who"].split()) > _MOST_WORDS:
        return None
    return found


def _like_a_name(who: str) -> bool:
    """`Old Finn`, not `I have`: no word begins with a small letter."""
    return not any(word[0].islower() for word in who.split())
