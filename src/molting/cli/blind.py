"""`molting blind-ab`: people compare replies blind, in the terminal or on a page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from molting.cli.console import out, print_json
from molting.cli.judge import interval, voice_detector
from molting.cli.settings import open_with
from molting.core.artifacts import write_json, write_text
from molting.core.errors import UsageError
from molting.core.project import Molt, Project
from molting.core.votes import Choice, append_votes, read_votes
from molting.evaluate.blind import Sheet, SheetItem, blind_page, open_sheet, read_ballot, results
from molting.evaluate.comparisons import shown_prompt
from molting.flow import molt_corpus

_KEYS: dict[str, Choice] = {"a": "left", "b": "right", "t": "tie"}


class Options(NamedTuple):
    """The flags. At most one of `page`, `votes`, `report` says what is to be done."""

    page: Path | None = None
    votes: Sequence[Path] = ()
    report: bool = False
    voter: str = "voter"
    prompts: int | None = None
    as_json: bool = False


def run_blind(
    folder: Path, number: int | None, options: Options, settings: Sequence[str] = ()
) -> None:
    """Ask, or write the page, or take votes in; then say how it stands."""
    if sum((options.page is not None, bool(options.votes), options.report)) > 1:
        raise UsageError("give one of --page, --votes and --report")
    project = open_with(folder, settings)
    molt = project.molt(number)
    sheet = open_sheet(
        project.molt_folder(molt.number),
        molt.number,
        options.prompts or project.config.judge.prompts,
    )
    if options.page is not None:
        write_text(options.page, blind_page(sheet, project.config.persona.name))
        told = f"{len(sheet.items)} items; then: molting blind-ab {folder} --votes FILE"
        if options.as_json:
            print_json({"page": str(options.page), "sheet": sheet.id, "items": len(sheet.items)})
        else:
            out().print(f"{options.page}: {told}", markup=False)
        return
    # Every file is read before any vote is written.
    ballots = [read_ballot(file, sheet) for file in options.votes]
    for ballot in ballots:
        append_votes(project, ballot.voter, sheet.id, ballot.votes)
    if not ballots and not options.report:
        _ask(project, sheet, options.voter)
    _tell(project, molt, sheet, options.as_json)


def refuse_other_replies(*files: Path | None) -> None:
    """`evaluate --blind-ab` is about a molt's own transcripts."""
    if any(file is not None for file in files):
        raise UsageError("--blind-ab compares a molt's own replies; give it without other files")


def _ask(project: Project, sheet: Sheet, voter: str) -> None:
    """Item after item on standard error, one key and Enter each; what is answered is kept at once."""
    done = {vote.item for vote in read_votes(project, sheet.id) if vote.voter == voter}
    waiting = [item for item in sheet.items if item.id not in done]
    place = 0
    while place < len(waiting):
        item = waiting[place]
        _show(item, project.config.persona.name, len(done) + place + 1, len(sheet.items))
        answer = sys.stdin.readline()
        key = answer.strip().lower()
        if not answer or key == "q":
            return
        if key == "u" and place:
            place -= 1
        elif key in _KEYS:
            append_votes(project, voter, sheet.id, [(item.id, _KEYS[key])])
            place += 1
        else:
            _say("a, b, t for no difference, u for the one before, q to stop")


def _show(item: SheetItem, persona: str, place: int, total: int) -> None:
    left, right = item.sides
    _say(f"\n{place} of {total}  {shown_prompt(item.pair.prompt)}\n")
    _say(f"A  {left or '(says nothing)'}\n\nB  {right or '(says nothing)'}\n")
    sys.stderr.write(f"Which is more {persona}? [a/b/t/u/q] ")
    sys.stderr.flush()


def _say(text: str) -> None:
    # A reply may hold escape sequences: what a terminal would obey is shown as a dot.
    shown = "".join(c if c.isprintable() or c == "\n" else "·" for c in text)
    sys.stderr.write(shown + "\n")


def _tell(project: Project, molt: Molt, sheet: Sheet, as_json: bool) -> None:
    votes = read_votes(project, sheet.id)
    voice = voice_detector(molt_corpus(project, molt)) if votes else None
    options = project.config.evaluate
    found: dict[str, Any] = {"molt": molt.number} | results(
        sheet, votes, voice.score if voice else None, options.resamples, options.seed
    )
    if votes:
        from molting.report.page import write_report

        write_json(project.molt_folder(molt.number) / "people.json", found)
        _say(f"report: {write_report(project, molt)}")
    if as_json:
        print_json(found)
        return
    console = out()
    console.print(
        f"{found['votes']} votes of {len(found['voters'])} on {found['items']} items, "
        f"{found['ties']} of them no difference",
        markup=False,
    )
    for rival, won in found["wins_over"].items():
        console.print(f"the tune is preferred to the {rival}: {interval(won)}", markup=False)
    agreement = found["agreement_with_voice"]
    console.print(
        f"agrees with the voice detector: {interval(agreement['share']) if agreement else 'not measured'}",
        markup=False,
    )
    for pair in found["between_voters"]:
        console.print(
            f"κ of {' and '.join(pair['voters'])}: {interval(pair['kappa'])}", markup=False
        )
