"""Votes only grow; the last word counts; a changed one is noticed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from molting.core.config import Config
from molting.core.errors import CheckFailed, MoltingError, UsageError
from molting.core.project import Project
from molting.core.votes import append_votes, read_votes


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, Config())


def test_the_last_word_counts_and_the_first_is_kept(project: Project) -> None:
    assert read_votes(project, "s") == []
    append_votes(project, "ann", "s", [("i", "left"), ("j", "tie")])
    assert append_votes(project, "ann", "s", [("i", "left")]) == []
    append_votes(project, "ann", "s", [("i", "right")])
    append_votes(project, "bob", "s", [("i", "left")])
    append_votes(project, "ann", "other", [("i", "left")])
    found = {(v.voter, v.item): v.choice for v in read_votes(project, "s")}
    assert found == {("ann", "i"): "right", ("ann", "j"): "tie", ("bob", "i"): "left"}
    with project.database() as db:
        assert db.execute("SELECT count(*) FROM votes").fetchone() == (5,)


@pytest.mark.parametrize("change", ["DELETE FROM votes", "UPDATE votes SET choice = 'right'"])
def test_nothing_said_can_be_unsaid(project: Project, change: str) -> None:
    append_votes(project, "ann", "s", [("i", "left"), ("j", "left")])
    with (
        pytest.raises((MoltingError, sqlite3.Error), match="append-only"),
        project.database() as db,
    ):
        db.execute(change)
    # Who takes the guards away is found out by the chain.
    with sqlite3.connect(project.state / "project.db") as raw:
        raw.execute("DROP TRIGGER votes_never_change")
        raw.execute("UPDATE votes SET choice = 'right' WHERE number = 1")
    raw.close()
    with pytest.raises(CheckFailed, match="entry 1 does not follow"):
        read_votes(project, "s")
    with pytest.raises(CheckFailed):
        append_votes(project, "ann", "s", [("k", "left")])


@pytest.mark.parametrize(("voter", "choice"), [(" ", "left"), ("ann", "both")])
def test_nonsense_is_refused_whole(project: Project, voter: str, choice: Any) -> None:
    with pytest.raises(UsageError):
        append_votes(project, voter, "s", [("i", "left"), ("j", choice)])
    assert read_votes(project, "s") == []
