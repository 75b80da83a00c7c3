"""A review session: on a terminal with single keys, over a pipe with one command a line."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console

from molting.cli.console import out
from molting.cli.review_screen import KEYS, show_row
from molting.core.config import Config
from molting.core.conversation import Conversation, Turn
from molting.core.errors import InputError, UsageError
from molting.core.rulings import Decision
from molting.curate.filters import REASONS, filter_rows
from molting.curate.review import Item
from molting.curate.session import Session
from molting.curate.turntext import REMARK, from_text, replace_reply, to_text

HELP = f"""{KEYS}

  k  keep the row, whatever filters, duplicates or selection say (not: what is held out)
  r  reject the row
  e  keep it in other words: opens $VISUAL or $EDITOR; without one, type the last reply anew
  n  add a note; the row stays
  u  take back the last decision and go back to its row
  s  leave the row undecided; the next session asks again
  v  show all of a long row
  q  quit; everything decided is on the disk already"""


def _typed() -> Iterator[str]:
    """The lines of standard input; one that is no UTF-8 ends the session in words."""
    # Bytes, because a locale's own decoding either fails in a traceback or lets anything through.
    for number, raw in enumerate(iter(sys.stdin.buffer.readline, b""), 1):
        try:
            yield raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(
                f"standard input, line {number}: byte {error.start + 1} is not UTF-8; "
                "nothing of this line was decided"
            ) from None


def scripted(session: Session) -> None:
    """Commands from standard input, one a line; a line of output for each decision on the disk.

    `k [note]`, `r [note]`, `n note`, `u`, `s`, `q`; `e`, then the new last reply or the whole
    conversation in the text form, then a line with only a full stop. What cannot be understood
    ends the session, because the next line would be about another row than was meant.
    """
    lines = enumerate(_typed(), 1)
    for number, line in lines:
        key, _, rest = line.strip().partition(" ")
        if not key:
            continue
        if key == "q":
            return
        if key == "u":
            undone = session.undo()
            if undone is None:
                raise UsageError(f"standard input, line {number}: nothing to undo")
            _acknowledge(undone[0])
            continue
        if session.current is None:
            raise UsageError(f"standard input, line {number}: the queue is at its end")
        if key == "s":
            session.skip()
        elif key == "k":
            _acknowledge(session.keep(rest))
        elif key == "r":
            _acknowledge(session.reject(rest))
        elif key == "n" and rest:
            _acknowledge(session.note(rest))
        elif key == "e":
            words = session.words(session.current)
            try:
                turns = _changed(replace_reply(_until_stop(line for _, line in lines), words.turns),
                                 words)  # fmt: skip
            except InputError as error:
                raise UsageError(
                    f"standard input, the edit in line {number}: {error}; the row stays as it was"
                ) from None
            _acknowledge(session.edit(turns))
        else:
            raise UsageError(
                f"standard input, line {number}: {line.strip()!r} is no command; {KEYS}"
            )


def interactive(session: Session, config: Config) -> None:
    """One row at a time, single keys."""
    console = out()
    said, whole = "", False
    while session.current is not None:
        console.clear()
        show_row(console, session, session.current, whole)
        if said:
            console.print(said, style="yellow", markup=False)
        said, whole = "", False
        for key in _keys():
            if key in "qQ":
                return
            if key in "vV":
                whole = True
            elif key == "?":
                console.print(HELP, markup=False)
                console.print("any key goes on", style="dim")
                typer.getchar()
            elif key in "nN":
                text = console.input("note: ").strip()
                said = _noted(session, text) if text else "no note"
            elif key in "eE":
                said = _edit(session, config, console)
            elif key in "uU":
                said = _undone(session)
            elif key in "kKrRsS":
                said = _simple(session, key.lower(), config)
            else:
                said = f"{key!r} is no key; {KEYS}"
            if said or whole or session.current is None or key in "nNeE?":
                # What was typed ahead was meant for what would have come next without this.
                break
    console.clear()
    if said:
        console.print(said, style="yellow", markup=False)
    console.print("The queue is at its end.", style="bold")


def _simple(session: Session, key: str, config: Config) -> str:
    item = session.current
    assert item is not None
    if key == "s":
        session.skip()
        return ""
    if key == "r":
        session.reject()
        return ""
    session.keep()
    return _objection(session.words(item), item, config)


def _noted(session: Session, text: str) -> str:
    try:
        session.note(text)
    except UsageError as error:
        return str(error)
    return "noted"


def _undone(session: Session) -> str:
    undone = session.undo()
    if undone is None:
        return "nothing to undo"
    return f"undone: {undone[1].action} of {undone[1].row[3:11]}"


def _edit(session: Session, config: Config, console: Console) -> str:
    item = session.current
    assert item is not None
    words = session.words(item)
    try:
        editor = find_editor()
        if editor:
            turns = from_text(_in_editor(editor, REMARK + to_text(words.turns)), words.turns)
        else:
            console.print(
                "No editor ($VISUAL, $EDITOR). Type the last reply anew; a line with only a full "
                "stop ends it.",
                markup=False,
            )
            turns = replace_reply(_until_stop(iter(sys.stdin.readline, "")), words.turns)
        turns = _changed(turns, words)
        session.edit(turns)
    except (InputError, UsageError) as error:
        return f"not changed: {error}"
    return _objection(session.words(item), item, config) or "kept in other words"


def _objection(words: Conversation, item: Item, config: Config) -> str:
    """What filters still say against a row that was kept; it stays all the same."""
    (verdict,) = filter_rows([words], config.curate)
    if verdict is None or item.verdict.reason == "cut_off" == verdict.reason:
        return ""
    told = verdict.evidence.get("matched") or verdict.evidence.get("kind") or ""
    return f"kept, although it {REASONS[verdict.reason]}{f' ({told})' if told else ''}; u takes it back"


def _changed(turns: tuple[Turn, ...], words: Conversation) -> tuple[Turn, ...]:
    if turns == words.turns:
        raise InputError("nothing is different")
    return turns


def _until_stop(lines: Iterator[str]) -> str:
    found: list[str] = []
    for line in lines:
        if line.rstrip("\r\n") == ".":
            return "".join(found)
        found.append(line)
    raise InputError("ends without a line that is only a full stop")


def find_editor() -> str | None:
    """$VISUAL, $EDITOR, or an editor that nearly every machine has; None where there is none."""
    named = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    return named or next((e for e in ("nano", "vim", "vi", "notepad") if shutil.which(e)), None)


def _in_editor(editor: str, text: str) -> str:
    with tempfile.TemporaryDirectory(prefix="molting-review-") as folder:
        path = Path(folder) / "row.txt"
        path.write_text(text, encoding="utf-8")
        command = [editor] if shutil.which(editor) else shlex.split(editor)
        try:
            code = subprocess.run([*command, str(path)], check=False).returncode
        except OSError as error:
            raise InputError(f"{editor}: {error.strerror}") from None
        if code != 0:
            raise InputError(f"{editor} ended with code {code}")
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"what {editor} left cannot be read: {error}") from None


def _keys() -> str:
    """What was pressed: one key, or several typed ahead; a function key is one that nobody knows."""
    try:
        pressed = typer.getchar()
    except EOFError:
        return "q"
    return "\x1b" if pressed.startswith("\x1b") else pressed


def ack(decision: Decision) -> str:
    """The line that says that a decision is on the disk: number, action, row, id."""
    return f"{decision.number} {decision.action} {decision.row} {decision.id}"


def _acknowledge(decision: Decision) -> None:
    # Written only after the decision is: whoever reads this line can rely on it.
    sys.stdout.write(ack(decision) + "\n")
    sys.stdout.flush()
