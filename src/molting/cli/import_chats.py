"""`molting import`: chat exports to rows that `molting new --from` takes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from molting.cli.console import Terminal, out, print_json
from molting.core.artifacts import storage_errors, write_bytes
from molting.core.config import Import
from molting.core.conversation import Conversation
from molting.core.errors import InputError, UsageError
from molting.core.progress import Progress
from molting.curate.chats.record import REASONS, Chat
from molting.curate.chats.threads import conversations_of, find_speaker, speakers
from molting.curate.formats import ReadFile


class _Made(NamedTuple):
    persona: str
    """Empty where the rows said already who the assistant is."""
    rows: list[Conversation]
    files: list[dict[str, Any]]


def run_import(
    names: Sequence[str],
    persona: str,
    to: Path | None,
    pause: float | None,
    turns: int | None,
    as_json: bool,
) -> None:
    """Everything is read and checked before anything is written."""
    how = _how(pause, turns)
    if to is not None and to.suffix.lower() not in (".jsonl", ".ndjson"):
        raise UsageError(f"--to {to}: the rows are JSON Lines; give a name that ends in .jsonl")
    if to is not None and any(Path(name).resolve() == to.resolve() for name in names):
        raise UsageError(f"--to {to}: is one of the files to read; give another name")
    with Terminal() as terminal:
        read = [_read(name, terminal) for name in names]
        made = _conversations(read, persona, how)
    if not made.rows:
        raise UsageError(
            f"{made.persona or 'the assistant'} is in no conversation of these files; "
            "nothing is written"
        )
    target = to or _default(made.persona, names)
    write_bytes(target, b"".join(_row(row) for row in made.rows))
    _tell(made, read, target, how, as_json)


def _how(pause: float | None, turns: int | None) -> Import:
    if pause is not None and not pause > 0:
        raise UsageError(f"--pause {pause:g}: must be more than 0 hours")
    if turns is not None and turns < 2:
        raise UsageError(f"--turns {turns}: must be 2 or more")
    given = {"pause_hours": pause, "turns": turns}
    return msgspec.structs.replace(
        Import(), **{key: value for key, value in given.items() if value is not None}
    )


def _read(name: str, progress: Progress) -> Chat | ReadFile:
    from molting.curate.chats.reading import read_chat
    from molting.curate.datasets import fetch_dataset, hub_id, read_dataset
    from molting.curate.formats import read_file

    path = Path(name)
    on_hub = None if path.exists() else hub_id(name)
    if on_hub:
        progress.say(f"{name}: looking on the Hugging Face Hub …")
        folder, commit = fetch_dataset(*on_hub)
        found: Chat | ReadFile = read_dataset(folder, f"{on_hub[0]}@{commit}")
    else:
        # Rows may be shared: where they came from is named without the folders above.
        shown = path.name or path.resolve().name
        try:
            chat = read_chat(path, shown)
            if chat is not None:
                found = chat
            elif path.is_dir():
                found = read_dataset(path, shown)
            else:
                found = read_file(path, shown)
        except InputError as error:
            # The error may name the folders: it is for the person who typed them.
            told = str(error)
            if told.startswith(shown):
                told = path.as_posix() + told[len(shown) :]
            raise InputError(told) from None
    if isinstance(found, Chat):
        told = f"{found.format} format, {found.messages} messages, {len(found.speakers)} speakers"
    else:
        told = f"{found.format} format, {len(found.conversations)} rows"
    progress.say(f"{name}: {told}")
    for note in found.notes:
        progress.say(f"  {note}")
    return found


def _conversations(read: Sequence[Chat | ReadFile], persona: str, how: Import) -> _Made:
    chats = [item for item in read if isinstance(item, Chat)]
    cards = [chat.persona for chat in chats if chat.persona is not None]
    if not persona and len(cards) == len(chats) and len({card.name for card in cards}) == 1:
        persona = cards[0].name
    who = iter(find_speaker(persona, chats)) if chats else iter(())
    rows: list[Conversation] = []
    files: list[dict[str, Any]] = []
    called: Counter[str] = Counter()
    for item in read:
        about: dict[str, Any] = {"file": item.file, "format": item.format}
        if isinstance(item, Chat):
            name = next(who)
            # An impossible name: where the persona is not, every message is counted as such.
            made = conversations_of(item, name if name is not None else "\0", how)
            called[name or ""] += item.speakers[name] if name else 0
            new = list(made.conversations)
            about |= {
                "messages": item.messages,
                "in_conversations": made.in_turns,
                "dropped": dict(sorted(made.dropped.items())),
            }
        else:
            new = [row for row in item.conversations if row.replies]
            lost = len(item.conversations) - len(new)
            about |= {
                "rows": len(item.conversations),
                "dropped": {"no_persona": lost} if lost else {},
            }
        files.append(about | {"conversations": len(new), "notes": list(item.notes)})
        rows += new
    return _Made(called.most_common(1)[0][0] if called else "", rows, files)


def _row(row: Conversation) -> bytes:
    # Trainers read `messages`; a person finds the place again by `source`.
    return msgspec.json.encode({"messages": row.messages, "source": row.source}) + b"\n"


def _default(persona: str, names: Sequence[str]) -> Path:
    stem = re.sub(r"[^\w.-]+", "-", persona.casefold()).strip("-.") or "imported"
    target = Path(f"{stem}.jsonl")
    with storage_errors(target):
        if target.exists() or any(Path(name).resolve() == target.resolve() for name in names):
            raise UsageError(f"{target}: exists already; say with --to where to write")
    return target


def _tell(
    made: _Made, read: Sequence[Chat | ReadFile], target: Path, how: Import, as_json: bool
) -> None:
    chats = [item for item in read if isinstance(item, Chat)]
    card = next((chat.persona for chat in chats if chat.persona is not None), None)
    dropped: Counter[str] = Counter()
    for about in made.files:
        dropped.update(about["dropped"])
    turns = Counter(turn.role for row in made.rows for turn in row.turns)
    if as_json:
        print_json(
            {
                "to": target.as_posix(),
                "persona": made.persona or None,
                "conversations": len(made.rows),
                "turns": dict(turns),
                "dropped": dict(sorted(dropped.items())),
                "speakers": dict(speakers(chats).most_common()),
                "files": made.files,
                "pause_hours": how.pause_hours,
                "most_turns": how.turns,
                "card": None if card is None else msgspec.to_builtins(card),
            }
        )
        return
    console = out()
    console.print(
        f"wrote {target}: {len(made.rows)} conversations, {turns['assistant']} turns of "
        f"{made.persona or 'the assistant'}, {turns['user']} of others",
        markup=False,
    )
    for reason, count in sorted(dropped.items()):
        console.print(f"  left out {count}: {REASONS[reason]}", markup=False)
    if card is not None:
        console.print(
            "  the card also says who it is: `molting new DIR --from CARD` takes both", markup=False
        )
    name = made.persona or "PERSONA"
    console.print(f'next: molting new DIR --name "{name}" --from {target}', markup=False)
