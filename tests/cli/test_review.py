"""`molting review` by hand, over a pipe, by id; and what curation makes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molting.core.errors import StorageError
from molting.core.journal import Journal
from molting.core.project import open_project

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def curated(make_project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has been curated once; to be copied."""
    from molting.cli.stages import run_curate

    root = make_project(tmp_path_factory.mktemp("review") / "p", rows=60, curate={"target": 20})
    run_curate(root, [], False, True)
    return root


@pytest.fixture
def project(curated: Path, tmp_path: Path) -> Path:
    return shutil.copytree(curated, tmp_path / "p")


def entries(project: Path) -> list[Any]:
    return Journal(open_project(project)).decisions()


def test_the_queue_as_json_says_why_each_row_is_in_it(project: Path, molting: Any) -> None:
    before = sorted(project.rglob("*"))
    found = molting("review", project, "--json").json
    assert sorted(project.rglob("*")) == before, "looking writes nothing"
    assert found["reviewer"] == "reviewer"
    assert 10 < found["rows"] == len(found["queue"]) <= 150
    assert [row["place"] for row in found["queue"]] == list(range(1, found["rows"] + 1))
    for row in found["queue"]:
        assert row["why"]
        assert row["messages"]
        assert row["opinion"] is None
    assert molting("review", project, "--json").json == found
    short = molting("review", project, "--count", 5, "--json").json
    assert short["rows"] == 5


def test_bytes_that_are_no_text_end_the_session_in_one_line(project: Path, molting: Any) -> None:
    done = molting("review", project, stdin=b"k\nr caf\xe9\nk\n")
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(
        "molting: standard input, line 2: byte 6 is not UTF-8"
    )
    assert len(done.out.splitlines()) == 1, "the first decision is on the disk, no other"


def test_over_a_pipe_every_decision_is_acknowledged_and_there(project: Path, molting: Any) -> None:
    said = "k good one\nr\nn too long?\nu\ne\nClack, shoreling. Sit.\n.\ns\n\nk\nq\nk\n"
    done = molting("review", project, "--reviewer", "anna", stdin=said)
    assert done.code == 0, done.err
    acks = [line.split() for line in done.out.splitlines()]
    journal = entries(project)
    assert [(str(d.number), d.action, d.row, d.id) for d in journal] == [tuple(a) for a in acks]
    assert [d.action for d in journal] == ["keep", "reject", "note", "undo", "edit", "keep"]
    assert journal[0].note == "good one"
    assert journal[4].turns[-1].text == "Clack, shoreling. Sit."
    assert {d.reviewer for d in journal} == {"anna"}
    assert "5 of" not in done.out
    assert "2 kept · 1 edited · 1 rejected; `molting curate" in done.err
    # The next session begins where this one was undecided.
    queue = molting("review", project, "--reviewer", "anna", "--json").json
    assert queue["decided"] == {"keep": 2, "edit": 1, "reject": 1}
    assert [row["place"] for row in queue["queue"]][:2] == [4, 6]
    other = molting("review", project, "--reviewer", "bob", "--json").json
    assert [row["place"] for row in other["queue"]][:2] == [1, 2]
    again = molting("review", project, "--reviewer", "anna", "--again", "--json").json
    assert [row["opinion"] for row in again["queue"]][:5] == [
        "keep",
        "reject",
        "edit",
        None,
        "keep",
    ]


@pytest.mark.parametrize(
    ("said", "told", "count"),
    [
        ("k\nx\nk\n", "line 2: 'x' is no command; k keep", 1),
        ("n\n", "line 1: 'n' is no command", 0),
        ("u\n", "line 1: nothing to undo", 0),
        ("k\ne\n[user]\nhi\n.\nk\n", "the edit in line 2: no [assistant] turn says anything", 1),
        ("e\nnever ended\n", "ends without a line that is only a full stop", 0),
        ("k\n" * 200, "the queue is at its end", None),
    ],
)
def test_a_script_that_is_not_understood_ends_there(
    said: str, told: str, count: int | None, project: Path, molting: Any
) -> None:
    done = molting("review", project, stdin=said)
    assert done.code == 2
    assert told in done.line
    kept = entries(project)
    assert len(kept) == len(done.out.splitlines()) == (len(kept) if count is None else count)


def test_an_edit_with_nothing_new_is_refused(project: Path, molting: Any) -> None:
    row = molting("review", project, "--json").json["queue"][0]
    done = molting("review", project, stdin=f"e\n{row['messages'][-1]['content']}\n.\n")
    assert done.code == 2
    assert "nothing is different" in done.line


def test_deciding_by_id_or_place_and_listing(project: Path, molting: Any) -> None:
    rows = molting("curate", project, "--json").json["rows"]
    first, second = rows[4], rows[7]
    done = molting("review", project, "--decide", first["id"], "reject", "--note", "dull")
    assert (done.code, done.out.split()[:3]) == (0, ["1", "reject", first["id"]])
    told = molting("review", project, "--decide", first["id"][3:13], "note", "--note", "[b]hm",
                   "--json").json  # fmt: skip
    assert (told["action"], told["row"], told["note"]) == ("note", first["id"], "[b]hm")
    assert molting("review", project, "--decide", second["source"], "keep").code == 0
    molting("review", project, "--decide", first["id"], "keep", "--reviewer", "bob")
    listed = molting("review", project, "--list", "--json").json
    assert listed["entries"] == len(listed["journal"]) == 4
    by_row = {row["row"]: row for row in listed["rows"]}
    assert by_row[first["id"]]["kept"] is False
    assert by_row[first["id"]]["disagreement"] is True
    assert by_row[first["id"]]["source"] == first["source"]
    assert by_row[first["id"]]["by"]["reviewer"]["notes"] == ["dull", "[b]hm"]
    assert by_row[second["id"]]["kept"] is True
    plain = molting("review", project, "--list").out
    for word in ("rejected", "disagree)", "dull;", "[b]hm", "bob:"):
        assert word in plain, word
    # Undo by the row takes the last decision back, by a decision's id that one.
    undone = molting("review", project, "--decide", first["id"], "undo", "--json").json
    assert undone["undoes"] == told["id"]
    reject = listed["journal"][0]["id"]
    assert molting("review", project, "--decide", reject, "undo", "--json").json["undoes"] == reject
    state = molting("review", project, "--list", "--json").json["rows"]
    assert next(row for row in state if row["row"] == first["id"])["kept"] is True


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--decide", "b2:zzz", "keep"], "b2:zzz: no such row; give its id or file:line"),
        (["--decide", "b2:", "keep"], "b2:: no such row"),
        (["--decide", "export.jsonl:1", "burn"], "'burn' is none of keep, reject, note, undo"),
        (["--decide", "export.jsonl:1", "note"], "a note is empty"),
        (["--decide", "export.jsonl:1", "undo"], "reviewer has decided nothing about it"),
        (["--list", "--verify"], "--list and --verify: one at a time"),
        (["--note", "x"], "--note: goes with --decide"),
        (["--reviewer", " "], "a reviewer needs a name"),
        (["--compare", "anna", "bob"], "--compare: anna has decided nothing; reviewers: none"),
        (["--count", "0"], "Invalid value for '--count'"),
    ],
)
def test_a_wrong_request_is_one_line(
    arguments: list[str], told: str, project: Path, molting: Any
) -> None:
    done = molting("review", project, *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.line
    assert not (project / ".molting" / "project.db").exists()


def test_curation_honours_decisions_and_an_undo_leads_back(project: Path, molting: Any) -> None:
    before = molting("curate", project, "--json").json
    kept = next(row for row in before["rows"] if row["split"] == "train")
    noise = next(row for row in before["rows"] if row["reason"] == "boilerplate")
    molting("review", project, "--decide", kept["id"], "reject", "--note", "dull")
    molting("review", project, "--decide", noise["id"], "keep")
    done = molting("curate", project, "--json")
    after = done.json
    assert "decisions of reviewers that apply: 1 keep, 1 reject" in done.err
    rows = {row["source"]: row for row in after["rows"]}
    assert rows[kept["source"]]["reason"] == "rejected_by_reviewer"
    assert rows[kept["source"]]["evidence"]["note"] == "dull"
    assert rows[noise["source"]]["evidence"]["over"][0] == "boilerplate"
    assert after["id"] != before["id"]
    assert after["rows_in"] == before["rows_in"]
    checked = molting("check", project, "--json")
    assert checked.code == 0, checked.err
    (finding,) = [f for f in checked.json["findings"] if f["code"] == "boilerplate"]
    trained = rows[noise["source"]]["split"] == "train"
    assert (finding["severity"], finding["remaining"]) == (("note", 1) if trained else ("error", 0))
    for row in (kept, noise):
        molting("review", project, "--decide", row["id"], "undo")
    assert molting("curate", project, "--json").json == before


def test_two_reviewers_are_compared(project: Path, molting: Any) -> None:
    molting("review", project, "--reviewer", "anna", stdin="k\nk\nr\nr\nk\nr\n")
    molting("review", project, "--reviewer", "bob", stdin="k\nk\nr\nk\nk\nr\nk\n")
    found = molting("review", project, "--compare", "anna", "bob", "--json").json
    assert (found["n"], found["agreed"], found["only"]) == (6, 5, [0, 1])
    assert found["kappa"]["value"] == pytest.approx(2 / 3)
    assert found["table"]["reject"] == {"keep": 1, "edit": 0, "reject": 2}
    told = " ".join(molting("review", project, "--compare", "anna", "bob").out.split())
    assert "Cohen's κ 0.67 [" in told
    assert "they agree on 5 of 6 rows" in told
    assert molting("review", project, "--compare", "anna", "cleo").line.endswith(
        "cleo has decided nothing; reviewers: anna, bob"
    )


def test_a_damaged_or_shortened_journal_stops_curation_and_is_told(
    project: Path, molting: Any
) -> None:
    import sqlite3

    assert molting("review", project, "--verify").out == "nothing has been decided yet\n"
    molting("review", project, stdin="k\nr\n")
    whole = molting("review", project, "--verify")
    assert (whole.code, whole.out) == (0, "2 entries, the chain holds, the last entry is there\n")
    db = sqlite3.connect(project / ".molting" / "project.db")
    db.execute("DROP TRIGGER decisions_never_go")
    db.execute("DELETE FROM decisions WHERE number = 2")
    db.commit()
    db.close()
    checked = molting("review", project, "--verify", "--json")
    assert checked.code == 1
    assert json.loads(checked.out) == {
        "entries": 1, "valid": True, "complete": False, "ok": False,
        "problem": "2 entries were written, 1 are left",
    }  # fmt: skip
    assert "the review journal is shortened: 2 entries were written" in checked.line
    for command in (("curate", project), ("review", project, "--list"), ("check", project)):
        done = molting(*command)
        assert done.code == 1
        assert "`molting review --verify` says more" in done.line
    # The person accepts the loss, as docs/review.md says.
    (project / ".molting" / "review-head.json").unlink()
    assert molting("curate", project).code == 0


def test_a_disk_that_fills_up_ends_a_session_with_one_line(
    project: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append
    left = [2]

    def full(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise StorageError("project.db: no space left on the disk; free some")
        return append(*arguments, **more)

    monkeypatch.setattr(Journal, "append", full)
    done = molting("review", project, stdin="k\nk\nk\nk\n")
    assert done.code == 2
    assert "no space left on the disk" in done.line
    assert len(done.out.splitlines()) == len(entries(project)) == 2


class Keys:
    """A person at a terminal: keys, lines, and what the editor does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, keys: list[str], lines: list[str]) -> None:
        self.keys, self.lines = iter(keys), iter(lines)
        monkeypatch.setattr("typer.getchar", lambda: next(self.keys))
        monkeypatch.setattr("rich.console.Console.input", lambda *_, **__: next(self.lines))
        monkeypatch.setattr("sys.stdin.readline", lambda: next(self.lines, ""), raising=False)


@pytest.fixture
def sit(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Review at a terminal; gives what the screen has shown."""
    import io

    from molting.cli.console import Terminal
    from molting.cli.review import make_queue
    from molting.cli.review_session import interactive
    from molting.curate.session import Session

    opened = open_project(project)
    items = make_queue(opened, 40, Terminal())
    monkeypatch.setenv("COLUMNS", "100")

    def at(*keys: str, lines: tuple[str, ...] = (), editor: str = "") -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        Keys(monkeypatch, list(keys), list(lines))
        monkeypatch.setattr("molting.cli.review_session.find_editor", lambda: editor or None)
        capsys.readouterr()
        interactive(Session(Journal(opened), items, "anna"), opened.config)
        return capsys.readouterr().out

    return at


def test_at_a_terminal_single_keys_decide(sit: Callable[..., str], project: Path) -> None:
    shown = sit("k", "r", "s", "n", "u", "u", "?", "x", "z", "\x1b[A", "kk", "q", lines=("a note",))
    assert [d.action for d in entries(project)] == [
        "keep",
        "reject",
        "note",
        "undo",
        "undo",
        "keep",
        "keep",
    ]
    for told in (
        "1 of 40 · 0 kept · 0 rejected   anna", "2 of 40 · 1 kept", "3 of 40 · 1 kept · 1 rejected",
        "noted", "undone: note of ", "undone: reject of ", "leave the row undecided",
        "is no key; k keep", "why  ", "signals  ",
    ):  # fmt: skip
        assert told in shown, told


def test_at_a_terminal_an_editor_edits_and_a_broken_edit_leaves_the_row(
    sit: Callable[..., str], project: Path, tmp_path: Path
) -> None:
    good, broken, failing = (tmp_path / name for name in ("good", "broken", "failing"))
    good.write_text("#!/bin/sh\nprintf '\\nClack, says the crab.\\n' >> \"$1\"\n")
    broken.write_text("#!/bin/sh\necho '[asistant]' >> \"$1\"\n")
    failing.write_text("#!/bin/sh\nexit 3\n")
    for script in (good, broken, failing):
        script.chmod(0o755)

    def told(editor: Path) -> str:
        # The folder's name decides where the line breaks.
        return " ".join(sit("e", "q", editor=str(editor)).split())

    assert "did you mean [assistant]?" in told(broken)
    assert "ended with code 3" in told(failing)
    assert "not changed: nothing is different" in sit("e", "q", editor="true")
    assert "No such file" in told(tmp_path / "none")
    assert entries(project) == []
    assert "kept in other words" in sit("e", "q", editor=f"sh {good}")
    (edit,) = entries(project)
    assert edit.turns[-1].text.endswith("Clack, says the crab.")
    assert edit.turns[:-1] == edit.original[:-1]


def test_at_a_terminal_without_an_editor_the_reply_is_typed(
    sit: Callable[..., str], project: Path
) -> None:
    shown = sit("e", "e", "q", lines=("Clack, mate.\n", ".\n", "\n", ".\n"))
    assert "Type the last reply anew" in shown
    assert "not changed: the new reply is empty" in shown
    (edit,) = entries(project)
    assert edit.turns[-1].text == "Clack, mate."


def test_at_a_terminal_what_filters_still_say_is_told(
    sit: Callable[..., str], project: Path
) -> None:
    shown = sit("e", "q", lines=("As an AI, I cannot sail the seas.\n", ".\n"))
    assert "kept, although it a reply speaks as a stock assistant (As an AI)" in shown


def test_a_few_kills_lose_nothing() -> None:
    """The whole of it is `python -m benchmarks.review_kills`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.review_kills", "--kills", "5", "--rows", "60",
         "--window", "0.15"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert (result["kills"], result["faults"]) == (5, [])
    assert result["acknowledged"] > 0
    assert result["entries"] >= result["acknowledged"]
