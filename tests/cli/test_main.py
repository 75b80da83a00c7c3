"""Every mistake a person can make is one line, the right exit code, and nothing lost."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molting import __version__
from molting.core.project import Molt, open_project, project_lock

GOOD = '{"prompt": "Who are you?", "response": "Skerry, shoreling. Sit."}\n'


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        # SQLite's side files come and go with each reader.
        if path.is_file() and path.name != "lock" and not path.name.startswith("project.db")
    }


@pytest.fixture
def project(make_project: Callable[..., Path], tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


@pytest.mark.parametrize("command", ["run", "check", "curate", "duplicates", "train"])
def test_a_missing_chat_file_is_named(command: str, project: Path, molting: Any) -> None:
    (project / "export.jsonl").unlink()
    done = molting(command, project, "--json")
    assert (done.code, done.out) == (2, "")
    assert done.line == "molting: export.jsonl: no such file"


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_chat_file_is_named(text: str, project: Path, molting: Any) -> None:
    (project / "export.jsonl").write_text(text)
    done = molting("run", project)
    assert done.code == 2
    assert done.line == "molting: export.jsonl: is empty"


def test_wrong_json_names_its_line(project: Path, molting: Any, tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(GOOD * 6 + '{"prompt": "Who", "response": \n' + GOOD)
    for command in ("check", "duplicates"):
        done = molting(command, path)
        assert done.code == 2
        assert f"{path}:7: not valid JSON: " in done.line
    before = files(project)
    with (project / "export.jsonl").open("a") as file:
        file.write("{oops}\n")
    done = molting("run", project)
    assert done.code == 2
    assert done.line.startswith("molting: export.jsonl:41: not valid JSON: ")
    assert set(files(project)) == set(before)


def test_a_wrong_row_and_a_wrong_role_name_their_line(molting: Any, tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(GOOD + "[1]\n")
    assert f"{path}:2: a row must be an object" in molting("check", path).line
    path.write_text('{"messages": [{"role": "wizard", "content": "x"}]}\n')
    assert f"{path}:1: unknown role 'wizard'" in molting("check", path).line


def test_a_file_without_assistant_turns_says_which_roles_it_knows(
    molting: Any, tmp_path: Path
) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "Hello?"}]}\n' * 3)
    done = molting("check", path)
    assert done.code == 2
    assert "no assistant turn in any of its 3 rows" in done.line


def test_an_unknown_key_names_the_file_the_key_and_the_right_one(
    project: Path, molting: Any
) -> None:
    path = project / "molting.toml"
    path.write_text(path.read_text() + "\n[curate]\ntaget = 5\n")
    done = molting("run", project)
    assert done.code == 2
    assert done.line == f"molting: {path}: curate.taget: unknown key; did you mean `target`?"


def test_a_persona_without_a_name_is_told_where_to_write_it(project: Path, molting: Any) -> None:
    path = project / "molting.toml"
    path.write_text(path.read_text().replace('name = "Skerry"', 'name = "  "'))
    done = molting("run", project)
    assert done.code == 2
    assert "persona.name: the persona has no name; add `name = " in done.line
    assert molting("new", project / "other").line.startswith("molting: a persona needs a name: ")


@pytest.mark.parametrize("command", ["run", "check", "train"])
def test_a_name_cannot_be_taken_away_for_one_call(
    command: str, project: Path, molting: Any
) -> None:
    done = molting(command, project, "--set", 'persona.name=""')
    assert done.code == 2
    assert "persona.name: the persona has no name" in done.line
    assert not (project / "other").exists()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("train.epoch=3", "train.epoch: unknown key; did you mean `epochs`?"),
        ("trian.epochs=3", "trian: unknown key; did you mean `train`?"),
        ("train.epochs=many", "train.epochs: expected `int`, got `str`"),
        ("train.epochs=0", "train.epochs: expected `int` >= 1"),
        ("epochs=3", "--set epochs=3: must look like section.key=value"),
        ("train.epochs", "--set train.epochs: must look like section.key=value"),
    ],
)
def test_a_wrong_setting_is_told_as_strictly_as_in_the_file(
    setting: str, told: str, project: Path, molting: Any
) -> None:
    done = molting("run", project, "--set", setting)
    assert done.code == 2
    assert done.line == f"molting: {told}"
    assert not (project / ".molting").exists()


def test_too_few_rows_is_a_failed_check(project: Path, molting: Any) -> None:
    lines = (project / "export.jsonl").read_text("utf-8").splitlines(keepends=True)
    (project / "export.jsonl").write_text(lines[3], "utf-8")
    done = molting("run", project)
    assert done.code == 1
    assert "only 1 of 1 rows can be used; at least 12 are needed" in done.line
    check = molting("check", project, "--json")
    assert check.code == 1
    assert check.json["findings"][0]["code"] == "too_few_rows"
    assert not list((project / ".molting" / "corpora").glob("*"))


def test_rows_longer_than_the_limit_stop_a_run_unless_told_otherwise(
    project: Path, molting: Any
) -> None:
    short = ("--set", "train.max_tokens=200")
    done = molting("run", project, *short)
    assert done.code == 1
    assert "the preflight found reply_cut_partly" in done.line
    assert "--anyway" in done.line
    assert not (project / ".molting" / "molts").exists()
    anyway = molting("train", project, *short, "--set", "train.epochs=1", "--anyway", "--json")
    assert anyway.code == 0, anyway.err
    assert anyway.json["molt"] == 1


def test_held_out_prompts_longer_than_the_context_are_one_line(project: Path, molting: Any) -> None:
    # The fake's context is 2048 bytes.
    turns = [("user", "Tell me of the sea. " * 120), ("assistant", "It is wet, shoreling.")]
    long = {"messages": [{"role": role, "content": text} for role, text in turns]}
    with (project / "held_out.jsonl").open("a") as file:
        file.write(json.dumps(long) + "\n")
    done = molting("run", project)
    assert done.code == 1
    assert "the preflight found held_out_prompt_too_long" in done.line
    assert not (project / ".molting" / "molts").exists(), "found before an hour of training"
    check = molting("check", project, "--json")
    found = {finding["code"]: finding for finding in check.json["findings"]}
    assert found["held_out_prompt_too_long"]["count"] == 1
    assert "context of 2048" in found["held_out_prompt_too_long"]["message"]
    anyway = molting("run", project, "--anyway")
    assert anyway.code == 2
    assert "leaves no room for a reply in the model's context of 2048" in anyway.line
    assert molting("show", project, "--json").json["molt"] == 1, "what was trained is kept"


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("smollm-135m", "did you mean 'smollm2-135m'?"),
        ("nobody/nothing-of-this-name", "was not found; tried: Hub nobody/nothing-of-this-name: "),
        ("./models/none", "no such folder or GGUF file"),
        ("none.gguf", "none.gguf: no such GGUF file"),
    ],
)
def test_a_base_model_that_is_nowhere_is_one_line(
    model: str, told: str, project: Path, molting: Any
) -> None:
    done = molting("train", project, "--set", f"base.model={model}")
    assert done.code == 2
    assert told in done.line
    assert not (project / ".molting" / "molts").exists()


def test_a_full_disk_is_named_and_the_same_command_goes_on_afterwards(
    project: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def full(handle: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith(".tmp"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to know which file is written")
    before = files(project)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = molting("curate", project)
    assert done.code == 2
    assert "no space left on the disk; free some and run the same command again" in done.line
    assert ".molting/corpora/" in done.line
    assert files(project) == before
    assert molting("curate", project).code == 0


def test_a_disk_that_fills_up_while_training_is_one_line_too(
    project: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import safetensors.torch

    def full(*_: Any, **__: Any) -> None:
        # The words of safetensors 0.6 on a full tmpfs; it is no OSError.
        raise safetensors.SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    settings = ("--set", "train.epochs=1")
    with monkeypatch.context() as patch:
        patch.setattr(safetensors.torch, "save_file", full)
        done = molting("train", project, *settings)
    assert done.code == 2
    assert ".molting/molts/1: no space left on the disk" in done.line
    assert not list((project / ".molting").rglob("*.tmp"))
    again = molting("train", project, *settings, "--json")
    assert again.code == 0, again.err
    assert again.json["molt"] == 1


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_named(
    number: int, project: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def refuse(path: Path, *arguments: Any, **more: Any) -> None:
        if project in path.parents:
            raise OSError(number, os.strerror(number), str(path))
        make(path, *arguments, **more)

    monkeypatch.setattr(Path, "mkdir", refuse)
    done = molting("run", project)
    assert done.code == 2
    assert done.line == f"molting: {project}/.molting: cannot be written: {os.strerror(number)}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(project: Path, molting: Any) -> None:
    project.chmod(0o555)
    try:
        done = molting("run", project)
    finally:
        project.chmod(0o755)
    assert done.code == 2
    assert "cannot be written" in done.line


@pytest.mark.parametrize("command", ["run", "curate", "train"])
def test_a_second_run_in_the_same_folder_is_refused_at_once(
    command: str, project: Path, molting: Any
) -> None:
    with project_lock(open_project(project)):
        done = molting(command, project)
    assert done.code == 2
    assert done.line.startswith(f"molting: {project}: another molting process is working here")


@pytest.mark.parametrize("command", ["show", "evaluate", "chat"])
def test_before_any_molt_there_is_nothing_to_look_at(
    command: str, project: Path, molting: Any
) -> None:
    done = molting(command, project)
    assert (done.code, done.out) == (2, "")
    assert done.line == (
        f"molting: {project}: no trained molt yet; `molting run {project}` makes one"
    )
    assert not (project / ".molting").exists()


def test_a_molt_that_is_not_there_tells_which_are(finished: Any, molting: Any) -> None:
    done = molting("show", finished.root, "--molt", 7)
    assert done.code == 2
    assert done.line == f"molting: {finished.root}: no molt 7; there are: 1"


@pytest.mark.parametrize("row", [0, -1, 41, 999])
def test_a_row_out_of_range_tells_the_range(row: int, project: Path, molting: Any) -> None:
    path = project / "export.jsonl"
    done = molting("check", path, "--model", "fake", "--preview", f"--row={row}")
    assert done.code == 2
    assert done.line == f"molting: --row {row}: there are rows 1 to 40"


def test_a_folder_that_is_no_project_says_what_makes_one(tmp_path: Path, molting: Any) -> None:
    assert molting("check", tmp_path / "none").line.endswith("none: no such file")
    for command in ("run", "show", "curate"):
        assert "no such folder; `molting new" in molting(command, tmp_path / "none").line
        assert "`molting new DIR --name PERSONA --from FILE`" in molting(command, tmp_path).line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--bogus"], "No such option: --bogus"),
        (["nope"], "No such command 'nope'."),
        (["new"], "Missing argument 'DIR'."),
        (["duplicates", "x", "--threshold", "7"], "Invalid value for '--threshold'"),
        (["show", "--molt", "first"], "Invalid value for '--molt'"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], told: str, molting: Any) -> None:
    done = molting(*arguments)
    assert (done.code, done.out) == (2, "")
    assert told in done.line
    assert len(done.err.splitlines()) == 1


def test_molting_alone_shows_the_help(molting: Any) -> None:
    done = molting()
    assert done.code == 2
    assert "curate" in done.out + done.err
    assert "Traceback" not in done.err
    helped = molting("--help")
    assert (helped.code, helped.err) == (0, "")
    assert molting("--version").out == f"molting {__version__}\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "out of memory; lower train.batch_rows"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 7 bytes"),
            "out of memory; lower",
        ),
        (OSError(errno.EIO, "Input/output error", "/somewhere"), "/somewhere: Input/output error"),
        (KeyboardInterrupt(), "interrupted; finished stages are kept"),
    ],
)
def test_what_the_system_does_to_a_person_is_one_line(
    error: BaseException, told: str, project: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("molting.cli.stages.read_inputs", fail)
    done = molting("curate", project)
    assert done.code == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert told in done.line


def test_an_interrupt_that_training_did_not_see_is_not_forgotten(
    project: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*_: Any) -> Molt:
        os.kill(os.getpid(), signal.SIGTERM)
        return Molt(1, "b2:f", "b2:c", None, 0.0, 1.0)

    monkeypatch.setattr("molting.cli.stages.trained", late)
    monkeypatch.setattr("molting.cli.stages._preflight", lambda *_: None)
    done = molting("run", project)
    assert (done.code, done.out) == (130, "")
    assert done.line == "molting: interrupted; molt 1 is trained, the same command goes on"


def test_a_fault_of_the_program_is_not_hidden(
    project: Path, molting: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("molting.cli.stages.read_inputs", fail)
    with pytest.raises(RuntimeError, match="a fault"):
        molting("curate", project)


def test_the_module_is_the_command(finished: Any) -> None:
    command = [sys.executable, "-m", "molting"]
    done = subprocess.run(
        [*command, "show", str(finished.root / "none")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("molting: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_copy_of_a_project_is_a_project(finished: Any, tmp_path: Path, molting: Any) -> None:
    copy = shutil.copytree(finished.root, tmp_path / "elsewhere")
    assert molting("show", copy, "--json").json == finished.run.json
