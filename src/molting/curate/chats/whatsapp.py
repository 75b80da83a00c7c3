"""WhatsApp's `.txt` export: Android, iPhone, or copied from WhatsApp Web."""

from __future__ import annotations

import re
from collections import Counter

from molting.core.conversation import Source
from molting.core.errors import InputError
from molting.curate.chats.notices import MARK, is_notice, words_of
from molting.curate.chats.record import Chat, Message, Thread
from molting.curate.chats.whatsapp_dates import STYLES, Stamp, moment, order_of, stamp_of

_HEAD_ONLY = re.compile("^[\u200e\u200f\u202a-\u202e\ufeff]+")
_SPACES = re.compile("[\u00a0\u202f]")
_SAID = re.compile(r"(?P<who>.{1,100}?):(?: (?P<text>.*)|$)")
_LOOK = 60
"""Lines looked at to recognise the format."""


def looks_like_whatsapp(text: str) -> bool:
    """Whether one of the first lines has the head of a message."""
    lines = text.split("\n", _LOOK)[:_LOOK]
    return any(_head(line, style) for line in lines for style in STYLES)


def read_whatsapp(text: str, shown: str) -> Chat:
    """Messages of several lines stay whole; notices and placeholders are counted."""
    lines = text.replace("\r\n", "\n").split("\n")
    counts = Counter(style for line in lines for style in STYLES if _head(line, style))
    if not counts:
        raise InputError("holds no WhatsApp message", file=shown)
    # A line in another phone's style was pasted into a message: it begins none.
    style = counts.most_common(1)[0][0]
    heads: list[tuple[int, Stamp, str]] = []
    bodies: list[list[str]] = []
    early = 0
    for number, line in enumerate(lines, 1):
        found = _head(line, style)
        if found:
            heads.append((number, stamp_of(found), found["rest"]))
            bodies.append([])
        elif bodies:
            bodies[-1].append(line)
        elif line.strip():
            early += 1
    order, certain = order_of([stamp for _, stamp, _ in heads])
    dropped: Counter[str] = Counter()
    messages: list[Message] = []
    for (number, stamp, rest), body in zip(heads, bodies, strict=True):
        said = _SAID.fullmatch(rest)
        who = _name(said["who"]) if said else ""
        if not said or not who or is_notice(who):
            dropped["service"] += 1
            continue
        words, reason = words_of("\n".join([said["text"] or "", *body]))
        if reason:
            dropped[reason] += 1
        else:
            messages.append(Message(who, words, Source(shown, number), moment(stamp, order)))
    notes = [f"dates read as {order}" + ("" if certain else " (a guess: they fit both ways)")]
    if early:
        notes.append(f"lines before the first message left out: {early}")
    return Chat(shown, "whatsapp", (Thread(shown, tuple(messages)),), dict(dropped), tuple(notes))


def _head(line: str, style: str) -> re.Match[str] | None:
    # Cheap first: most lines of a long message have no digit where a date begins.
    start = _HEAD_ONLY.sub("", line) if line[:1] in "\u200e\u200f\u202a\u202b\u202c\ufeff" else line
    if not (start[:1].isdecimal() or start[:1] == "["):
        return None
    # One character for one, before the text only: a person's own blanks are hers.
    head = _SPACES.sub(" ", start[:48]) + start[48:]
    return STYLES[style].fullmatch(head)


def _name(raw: str) -> str:
    name = raw.replace(MARK, "").strip("\u202a\u202b\u202c\u200f\u2068\u2069 ")
    # A contact that is not in the address book is written with a tilde.
    return " ".join(name.removeprefix("~").split())
