"""Slack's export: a folder or a .zip with a folder a channel and in it a file a day."""

from __future__ import annotations

import functools
import html
import json
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from molting.core.conversation import Source
from molting.core.errors import InputError
from molting.curate.chats.record import (
    Chat,
    Message,
    Thread,
    aliases_of,
    as_text,
    distinct_names,
    seconds,
)

_DAY = re.compile(r"\d{4}-\d\d-\d\d\.json")
_LINK = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")
_SAID = {None, "", "thread_broadcast", "me_message", "bot_message", "file_share", "file_comment"}
"""Subtypes that are somebody's words; every other one is a notice."""

Read = Callable[[], bytes]


def slack_files(export: Path | zipfile.ZipFile) -> dict[str, Read]:
    """Name inside the export → its bytes; empty when it has no file named after a day.

    A zip must stay open for as long as the files are read.
    """
    if isinstance(export, Path):
        inside = sorted([*export.glob("*.json"), *export.glob("*/*.json")])
        found: dict[str, Read] = {p.relative_to(export).as_posix(): p.read_bytes for p in inside}
    else:
        found = {
            name: functools.partial(export.read, name)
            for name in sorted(export.namelist())
            # Zipped again by hand, an export lies in a folder of the zip.
            if name.endswith(".json") and name.count("/") < 3 and not name.startswith("__MACOSX")
        }
    return found if _days(found) else {}


def channel_files(path: Path) -> dict[str, Read]:
    """The same for one channel's folder or one day's file, with the users.json beside the folder."""
    path = path.resolve()
    folder = path if path.is_dir() else path.parent
    inside = sorted(folder.glob("*.json")) if path.is_dir() else [path]
    found: dict[str, Read] = {
        f"{folder.name}/{p.name}": p.read_bytes for p in inside if _DAY.fullmatch(p.name)
    }
    users = folder.parent / "users.json"
    if found and users.is_file():
        found[users.name] = users.read_bytes
    return found


def _days(files: Iterable[str]) -> list[str]:
    """The files named after a day that lie in a channel's folder."""
    return [n for n in files if "/" in n and _DAY.fullmatch(PurePosixPath(n).name)]


def read_slack(files: Mapping[str, Read], shown: str) -> Chat:
    """A thread a channel, and one a thread of replies: its first message moves there."""
    days = _days(files)
    users = _users(files, shown)
    rows: dict[str, list[tuple[float, Source, dict[str, Any]]]] = {}
    for name in days:
        value = _json(files[name], f"{shown}/{name}")
        if not isinstance(value, list):
            raise InputError("holds no list of messages", file=f"{shown}/{name}")
        channel = PurePosixPath(name).parent.name
        for number, row in enumerate(value, 1):
            if not isinstance(row, dict):
                raise InputError("a message must be an object", file=f"{shown}/{name}", line=number)
            when = seconds(row.get("ts")) or 0.0
            rows.setdefault(channel, []).append((when, Source(f"{shown}/{name}", number), row))
    for found in rows.values():
        for _, _, row in found:
            # People of other workspaces are in no users.json, only beside their messages.
            account, profile = as_text(row.get("user")), row.get("user_profile")
            if account and account not in users and isinstance(profile, dict):
                users[account] = _name(profile) or account
    called = distinct_names(users)
    dropped: Counter[str] = Counter()
    threads: dict[str, list[Message]] = {}
    for channel, found in rows.items():
        found.sort(key=lambda item: item[0])
        answered = {row["thread_ts"] for _, _, row in found
                    if row.get("thread_ts") and row.get("thread_ts") != row.get("ts")}  # fmt: skip
        for when, source, row in found:
            words = resolve(as_text(row.get("text")), called)
            who = _author(row, called)
            reason = _reason(row, who, words)
            if reason:
                dropped[reason] += 1
                continue
            root = row.get("thread_ts") or row.get("ts")
            name = f"{channel}#{root}" if root in answered else channel
            threads.setdefault(name, []).append(Message(who, words, source, when or None))
    pairs = [(account, name) for account, name in called.items()]
    pairs += [(handle, called[a]) for a, handle in _handles(files, shown) if a in called]
    return Chat(
        shown,
        "slack",
        tuple(Thread(name, tuple(found)) for name, found in threads.items()),
        dict(dropped),
        (f"{len(rows)} channels",)
        + (() if users else ("no users.json: speakers are shown by their account",)),
        aliases_of(pairs, called.values()),
    )


def resolve(text: str, called: Mapping[str, str]) -> str:
    """Slack's markup as a person saw it: names for accounts, labels for links, plain characters."""

    def plain(found: re.Match[str]) -> str:
        kind, target, label = found[1], found[2], found[3]
        if kind == "@":
            return "@" + (label or called.get(target, target)).removeprefix("@")
        if kind == "#":
            return "#" + (label or target)
        if kind == "!":
            # <!here>, <!subteam^S1|@team>, <!date^…|1 May>
            return label or "@" + target.partition("^")[0]
        return label or target.removeprefix("mailto:")

    return html.unescape(_LINK.sub(plain, text))


def _author(row: dict[str, Any], called: Mapping[str, str]) -> str:
    account = as_text(row.get("user"))
    if account:
        return called.get(account, account)
    profile = row.get("bot_profile")
    bot = as_text(profile.get("name")) if isinstance(profile, dict) else ""
    return as_text(row.get("username")) or bot or as_text(row.get("bot_id"))


def _reason(row: dict[str, Any], who: str, words: str) -> str | None:
    if row.get("subtype") == "tombstone":
        return "deleted"
    if row.get("type", "message") != "message" or row.get("hidden"):
        return "service"
    if row.get("subtype") not in _SAID:
        return "service"
    if not words:
        return "media" if row.get("files") or row.get("attachments") else "empty"
    return None if who else "no_author"


def _users(files: Mapping[str, Read], shown: str) -> dict[str, str]:
    return {
        str(user["id"]): _name(user.get("profile") or {}) or as_text(user.get("real_name"))
        or as_text(user.get("name")) or str(user["id"])
        for user in _user_rows(files, shown)
    }  # fmt: skip


def _handles(files: Mapping[str, Read], shown: str) -> Iterable[tuple[str, str]]:
    for user in _user_rows(files, shown):
        for key in ("name", "real_name"):
            if as_text(user.get(key)):
                yield str(user["id"]), as_text(user[key])


def _user_rows(files: Mapping[str, Read], shown: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in files:
        if PurePosixPath(name).name in ("users.json", "org_users.json"):
            value = _json(files[name], f"{shown}/{name}")
            if not isinstance(value, list):
                raise InputError("holds no list of users", file=f"{shown}/{name}")
            found += [u for u in value if isinstance(u, dict) and u.get("id")]
    return found


def _name(profile: dict[str, Any]) -> str:
    return as_text(profile.get("display_name")) or as_text(profile.get("real_name"))


def _json(read: Read, shown: str) -> Any:
    try:
        return json.loads(read())
    except (ValueError, RecursionError) as error:
        line = str(error).splitlines()[0]
        raise InputError(f"not valid JSON: {line}", file=shown) from None
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise InputError(f"cannot be unpacked: {error}", file=shown) from None
