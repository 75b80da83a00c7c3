"""`molting new`: a project's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import molting
from molting.cli.console import out, print_json
from molting.core.artifacts import storage_errors, write_text
from molting.core.errors import UsageError
from molting.core.project import CONFIG_FILE, open_project


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

    if not name.strip():
        raise UsageError('a persona needs a name: molting new DIR --name "…"')
    if target is not None and target < 1:
        raise UsageError(f"--target {target}: must be 1 or more")
    names = [file.name for file in files]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise UsageError(f"--from: two files are called {twice[0]}; rename one")
    for file in files:
        read_file(file)
    with storage_errors(folder):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(file, folder / "data" / file.name)
    write_text(folder / CONFIG_FILE, _toml(name.strip(), target, [f"data/{n}" for n in names]))


def _toml(name: str, target: int | None, files: Sequence[str]) -> str:
    def text(value: object) -> str:
        # JSON's strings and lists of strings are TOML's.
        return json.dumps(value, ensure_ascii=False)

    wanted = f"target = {target}" if target else "# target = 150          # rows to train on"
    return f"""\
# A Molting project. Every key, its default and its meaning: docs/configuration.md

[persona]
name = {text(name)}
description = ""          # who it is, in a sentence or two; used for the prompt it is compared with
voice_does = []           # habits of speech
voice_never = []          # phrases it never says
boundaries = []

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
