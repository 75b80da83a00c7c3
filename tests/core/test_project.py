from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from molting.core.artifacts import MANIFEST, write_json
from molting.core.config import Config
from molting.core.errors import ConfigError, MoltingError, StorageError, UsageError
from molting.core.project import CONFIG_FILE, Project, open_project, project_lock, shown_model


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / CONFIG_FILE).write_text('[persona]\nname = "Jack"\n')
    return open_project(tmp_path)


def test_a_project_opens_by_its_folder_or_its_configuration(project: Project) -> None:
    assert project.config.persona.name == "Jack"
    assert open_project(project.root / CONFIG_FILE).root == project.root


def test_a_wrong_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder; `molting new"):
        open_project(tmp_path / "none")
    with pytest.raises(ConfigError, match="no such file; `molting new"):
        open_project(tmp_path)
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(UsageError, match=r"is a file; give the folder that holds molting\.toml"):
        open_project(tmp_path / "a.jsonl")


def test_reading_a_project_writes_nothing(project: Project) -> None:
    assert project.molts() == []
    with pytest.raises(UsageError, match="no trained molt yet"):
        project.molt()
    assert not project.state.exists()


def test_the_same_work_is_claimed_once_and_other_work_is_its_child(project: Project) -> None:
    first = project.claim_molt("b2:a", "b2:corpus")
    assert (first.number, first.parent, first.finished) == (1, None, None)
    assert project.claim_molt("b2:a", "b2:corpus") == first
    second = project.claim_molt("b2:b", "b2:corpus")
    assert (second.number, second.parent) == (2, 1)
    assert [molt.number for molt in project.molts()] == [1, 2]


def test_a_finished_molt_is_found_again(project: Project) -> None:
    first = project.claim_molt("b2:a", "b2:corpus")
    project.finish_molt(first.number)
    again = project.claim_molt("b2:a", "b2:corpus")
    assert again.number == first.number
    assert again.finished is not None
    assert again.finished >= again.created


def test_only_a_molt_with_a_manifest_is_trained(project: Project) -> None:
    for name in ("a", "b", "c"):
        project.claim_molt(name, "corpus")
    for number in (1, 2):
        write_json(project.molt_folder(number) / MANIFEST, {"molt": number})
    assert project.molt().number == 2
    assert project.molt(1).number == 1
    assert project.manifest(1) == {"molt": 1}
    assert project.manifest(3) is None
    with pytest.raises(UsageError, match="no molt 3; there are: 1, 2"):
        project.molt(3)


def test_a_failed_change_leaves_the_list_as_it_was(project: Project) -> None:
    project.claim_molt("a", "corpus")

    def fail() -> None:
        with project.database() as db:
            db.execute("DELETE FROM molts")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert len(project.molts()) == 1


def test_a_damaged_database_is_one_line(project: Project) -> None:
    project.state.mkdir()
    (project.state / "project.db").write_bytes(b"this is no database at all" * 50)
    with pytest.raises(StorageError, match=r"project\.db: "):
        project.molts()


def test_paths_are_shown_without_the_home_of_anyone(tmp_path: Path) -> None:
    project = Project(tmp_path / "p", Config())
    assert project.shown(tmp_path / "p" / "data" / "a.jsonl") == "data/a.jsonl"
    assert project.shown(tmp_path / "p" / "data" / ".." / "a.jsonl") == "a.jsonl"
    assert project.shown(tmp_path / "elsewhere" / "b.jsonl") == "b.jsonl"


_HOLD = """
import sys
from pathlib import Path
from molting.core.config import Config
from molting.core.project import Project, project_lock
with project_lock(Project(Path(sys.argv[1]), Config())):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_told_at_once_and_may_work_afterwards(project: Project) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(project.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(MoltingError, match="another molting process is working here"),
            project_lock(project),
        ):
            pytest.fail("two writers at once")
        # Closing its input ends the other.
        other.communicate()
    assert other.returncode == 0
    with project_lock(project):
        pass


def test_a_lock_is_given_back_after_a_failure(project: Project) -> None:
    def fail() -> None:
        with project_lock(project):
            raise RuntimeError("broke")

    with pytest.raises(RuntimeError, match="broke"):
        fail()
    with project_lock(project):
        pass


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("smollm2-135m", "smollm2-135m"),
        ("owner/name", "owner/name"),
        ("/home/someone/models/small", "small"),
        ("~/models/small", "small"),
        ("../models/small.gguf", "small.gguf"),
        ("C:/models/small", "small"),
    ],
)
def test_of_a_path_to_a_model_only_the_end_is_shown(spec: str, shown: str) -> None:
    assert shown_model(spec) == shown
