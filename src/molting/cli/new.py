"""`molting new`: a project's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import molting
from molting.cli.console import out, print_json
from molting.core.artifacts import storage_errors, write_bytes, write_text
from molting.core.errors import UsageError
from molting.core.persona import Persona
from molting.core.project import CONFIG_FILE, open_project

if TYPE_CHECKING:
    from molting.curate.chats.record import Chat


def new_project(
    folder: Path, name: str, target: int | None, files: Sequence[Path], example: str, as_json: bool
) -> None:
    """Everything is checked before anything is made."""
    if (folder / CONFIG_FILE).exists():
        raise UsageError(f"{folder / CONFIG_FILE}: exists already; give another folder")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; give a folder to make")
    if example:
        if files or name or target is not None:
            raise UsageError("--example brings its own name and files; use it alone")
        _copy_example(folder, example)
    else:
        _make(folder, name, target, files)
    project = open_project(folder)
    if as_json:
        print_json({"project": str(folder), "persona": project.config.persona.name,
                    "files": list(project.config.data.files)})  # fmt: skip
        return
    out().print(f"made {folder / CONFIG_FILE} for {project.config.persona.name}", markup=False)
    if project.config.data.files:
        out().print(f"next: molting check {folder}, then molting run {folder}", markup=False)
    else:
        out().print(
            f"next: name your chat files under [data] in {folder / CONFIG_FILE}", markup=False
        )


def _make(folder: Path, name: str, target: int | None, files: Sequence[Path]) -> None:
    from molting.curate.formats import read_file

    cards = {file: chat for file in files if (chat := _card(file)) is not None}
    personas = [chat.persona for chat in cards.values() if chat.persona is not None]
    if len(personas) > 1:
        raise UsageError("--from: two character cards; a project has one persona")
    persona = personas[0] if personas else Persona()
    persona = msgspec.structs.replace(persona, name=name.strip() or persona.name)
    if not persona.name:
        raise UsageError('a persona needs a name: molting new DIR --name "…"')
    if target is not None and target < 1:
        raise UsageError(f"--target {target}: must be 1 or more")
    names = {file: f"{file.stem}.jsonl" if file in cards else file.name for file in files}
    twice = sorted({n for n in names.values() if [*names.values()].count(n) > 1})
    if twice or len(names) < len(files):
        raise UsageError(
            f"--from: two files are called {(twice or [files[0].name])[0]}; rename one"
        )
    made = {file: _card_rows(chat) for file, chat in cards.items()}
    for file in files:
        if file not in made:
            read_file(file)
    with storage_errors(folder):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        for file in files:
            if file in made:
                write_bytes(folder / "data" / names[file], made[file])
            else:
                shutil.copyfile(file, folder / "data" / names[file])
    write_text(folder / CONFIG_FILE, _toml(persona, target, [f"data/{n}" for n in names.values()]))


def _card(file: Path) -> Chat | None:
    """The character card in a file, which says itself who the persona is; None for rows."""
    from molting.curate.chats.reading import read_chat

    if file.suffix.lower() not in (".png", ".json") or not file.is_file():
        return None
    chat = read_chat(file, file.as_posix())
    return chat if chat is not None and chat.persona is not None else None


def _card_rows(card: Chat) -> bytes:
    from molting.curate.chats.threads import conversations_of

    assert card.persona is not None
    rows = conversations_of(card, card.persona.name).conversations
    if not rows:
        raise UsageError(f"{card.file}: the card has no dialogue; bring chat rows with --from")
    return b"".join(msgspec.json.encode({"messages": row.messages}) + b"\n" for row in rows)


def _toml(persona: Persona, target: int | None, files: Sequence[str]) -> str:
    def text(value: object) -> str:
        # JSON's strings and lists of strings are TOML's, but for one control character.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

    wanted = f"target = {target}" if target else "# target = 150          # rows to train on"
    return f"""\
# A Molting project. Every key, its default and its meaning: docs/configuration.md

[persona]
name = {text(persona.name)}
# Who it is, in a sentence or two; used for the prompt that the tune is compared with.
description = {text(persona.description)}
voice_does = {text(persona.voice_does)}           # habits of speech
voice_never = []          # phrases it never says
boundaries = []
samples = {text(persona.samples)}              # a few lines in its voice

# What it must know; each fact is asked during evaluation. One block a fact.
# [[persona.facts]]
# ask = "Where do you live?"
# answer = "in a lighthouse"
# accept = ["lighthouse"]

[data]
files = {text(list(files))}
# held_out = ["data/held_out.jsonl"]   # your own evaluation rows (default: some are set aside)

[curate]
{wanted}

[base]
model = "smollm2-135m"
"""


def _copy_example(folder: Path, example: str) -> None:
    roots = [
        Path(molting.__file__).parent / "examples",
        Path(molting.__file__).parents[2] / "examples",
    ]
    known = sorted({p.parent.name for root in roots for p in root.glob(f"*/{CONFIG_FILE}")})
    for root in roots:
        if (root / example / CONFIG_FILE).is_file():
            with storage_errors(folder):
                shutil.copytree(
                    root / example,
                    folder,
                    dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns(".molting"),
                )
            return
    raise UsageError(
        f"--example {example}: no such example; there are: {', '.join(known) or 'none'}"
    )
