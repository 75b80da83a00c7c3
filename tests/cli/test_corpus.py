from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def grown(make_project: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions: as it came, with decisions, with another target."""
    from molting.cli.review import Options, run_review
    from molting.cli.stages import run_curate
    from molting.core.corpus import load_corpus, versions
    from molting.core.journal import Journal
    from molting.core.project import open_project

    root = make_project(tmp_path_factory.mktemp("corpus") / "p", rows=60)
    run_curate(root, [], False, True)
    project = open_project(root)
    rows = load_corpus(versions(project.corpora)[0].folder).split("train")
    run_review(root, [], Options(decide=(rows[0].id, "reject"), note="[dull]"))
    turns = (*rows[1].turns[:-1], type(rows[1].turns[-1])("assistant", "Clack, [shoreling]."))
    Journal(project).append("anna", rows[1].id, "edit", turns=turns, original=rows[1].turns)
    run_curate(root, [], False, True)
    run_curate(root, ["curate.target=15"], False, True)
    return root


@pytest.fixture
def project(grown: Path, tmp_path: Path) -> Path:
    return shutil.copytree(grown, tmp_path / "p")


def test_the_log_lists_versions_newest_first_with_what_changed(grown: Path, molting: Any) -> None:
    listed = molting("corpus", "log", grown, "--json").json["versions"]
    assert [v["version"] for v in listed] == ["v3", "v2", "v1"]
    assert [v["parent_version"] for v in listed] == ["v2", "v1", None]
    assert [c["key"] for c in listed[0]["changed"]] == ["curate.target"]
    assert {c["key"]: c["b"] for c in listed[1]["changed"]} == {
        "review.edit": 1, "review.reject": 1,
    }  # fmt: skip
    assert listed[2]["changed"] is None
    for version in listed:
        assert version["rows_in"] == version["kept"] + sum(version["rejected"].values())
        assert version["created"].endswith("+00:00")
        assert version["folder"].startswith(".molting/corpora/")
        assert version["molts"] == []
    plain = " ".join(molting("corpus", "log", grown).out.split())
    assert "after v2: curate.target absent → 15" in plain


def test_a_corpus_that_is_found_again_is_no_new_version(project: Path, molting: Any) -> None:
    for _ in range(2):
        molting("curate", project)
    assert len(molting("corpus", "log", project, "--json").json["versions"]) == 3


def test_a_diff_shows_what_happened_to_each_row(grown: Path, molting: Any) -> None:
    found = molting("corpus", "diff", "v1", "v2", grown, "--json").json
    assert (found["a"]["version"], found["b"]["version"]) == ("v1", "v2")
    counts = found["counts"]
    assert (counts["edited"], counts["added"], counts["removed"]) == (1, 0, 0)
    assert counts["kept_to_rejected"] >= 1
    rejected = [r for r in found["rows"] if r["b"]["reason"] == "rejected_by_reviewer"]
    assert [r["b"]["evidence"]["note"] for r in rejected] == ["[dull]"]
    (edited,) = [r for r in found["rows"] if "edited" in r["changes"]]
    assert edited["b"]["evidence"]["original"] == edited["a"]["id"]
    new = "".join(text for sign, text in edited["words"] if sign in "=+")
    assert "Clack, [shoreling]." in new
    same = molting("corpus", "diff", "v2", "v2", grown, "--json").json
    assert (same["rows"], same["recipe"]) == ([], [])
    plain = molting("corpus", "diff", "v1", found["b"]["id"], grown).out
    for word in ("v1 → v2", "edited", "kept → rejected", "note [dull]", "{+", "unchanged:"):
        assert word in " ".join(plain.split()), word


def test_show_tells_a_version_and_a_row(grown: Path, molting: Any) -> None:
    shown = molting("corpus", "show", "v3", grown, "--json").json
    assert shown["recipe"]["curate"]["target"] == 15
    assert shown["splits"]["train"] == 15
    assert "curate.target = 15" in molting("corpus", "show", "v3", grown).out
    rows = molting("corpus", "diff", "v1", "v2", grown, "--json").json["rows"]
    edited = next(r for r in rows if "edited" in r["changes"])
    number = int(edited["b"]["source"].rpartition(":")[2])
    row = molting("corpus", "show", "v2", grown, "--row", number, "--json").json
    assert row["id"] == edited["b"]["id"]
    assert row["messages"][-1]["content"] == "Clack, [shoreling]."
    assert row["original"][-1]["content"] != row["messages"][-1]["content"]
    assert row["words"] == edited["words"]
    plain = molting("corpus", "show", "v2", grown, "--row", number).out
    assert "action: edit" in plain
    assert "{+Clack+}" in plain
    plain = molting("corpus", "show", "v1", grown, "--row", 1)
    assert plain.code == 0
    assert "assistant" in plain.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["diff", "v1", "v9"], "v9: no such corpus; there are v1, v2, v3"),
        (["show", "b2:"], "b2:: no such corpus"),
        (["show", "v1", "--row", "0"], "--row 0: v1 has rows 1 to 70"),
        (["diff", "v1"], "Missing argument 'B'."),
        (["nope"], "No such command 'nope'."),
    ],
)
def test_a_wrong_request_is_one_line(
    arguments: list[str], told: str, grown: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(grown)
    done = molting("corpus", *arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.line


def test_before_the_first_corpus(
    make_project: Callable[..., Path], tmp_path: Path, molting: Any
) -> None:
    root = make_project(tmp_path / "p")
    assert molting("corpus", "log", root, "--json").json == {"versions": []}
    assert "no corpus yet; `molting curate" in molting("corpus", "log", root).out
    assert "no corpus yet" in molting("corpus", "show", "v1", root).line
    assert not (root / ".molting").exists()


def test_the_log_knows_which_molt_grew_from_which_corpus(finished: Any, molting: Any) -> None:
    (version,) = molting("corpus", "log", finished.root, "--json").json["versions"]
    assert version["molts"] == [1]
    assert "molt 1" in molting("corpus", "log", finished.root).out
