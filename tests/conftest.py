"""What the tests of the whole flow share: the command line called in this process or in one of
its own, and a project so small that the fake model takes it through every stage in seconds."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

# Before anything imports torch. The fake is so small that a second thread only waits, and one
# thread is what makes two runs equal bit for bit.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

EXAMPLE = Path(__file__).parent.parent / "examples" / "skerry"
SLOW = ("test_real_model.py", "test_resume.py")
"""Whoever takes one of these last keeps all others waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: SLOW.index(item.path.name) if item.path.name in SLOW else len(SLOW))


def pytest_collection_finish() -> None:
    # Millions of objects of imported libraries, none of them garbage: a collection that looks at
    # them all takes half a second, and many a test asks for several.
    gc.freeze()


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON object and nothing else."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    @property
    def line(self) -> str:
        """The one line on standard error that says what is wrong; progress lines may precede it."""
        told = [line for line in self.err.splitlines() if line.startswith("molting: ")]
        assert len(told) == 1, self.err
        assert self.err.endswith(told[0] + "\n"), self.err
        assert "Traceback" not in self.err, self.err
        return told[0]


Molting = Callable[..., Done]


@pytest.fixture(scope="session")
def example() -> Path:
    """The shipped example's folder, to read from."""
    return EXAMPLE


@pytest.fixture(scope="session", autouse=True)
def commands_built_once() -> Iterator[None]:
    """Typer builds all of its commands anew at every call; a process calls it once, the tests 700 times."""
    import typer.main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(typer.main, "get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture
def molting(monkeypatch: pytest.MonkeyPatch) -> Molting:
    """`molting ARGUMENTS` as `main` runs it, in this process."""

    def call(*arguments: object, stdin: str | bytes = "") -> Done:
        return _main(monkeypatch, [str(a) for a in arguments], stdin)

    return call


def _main(monkeypatch: pytest.MonkeyPatch, arguments: list[str], stdin: str | bytes = "") -> Done:
    from molting.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["molting", *arguments])
        raw = stdin.encode() if isinstance(stdin, str) else stdin
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main()
    code = ended.value.code
    assert isinstance(code, int)
    return Done(code, out.getvalue(), err.getvalue())


def _toml(value: object) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's.
    return json.dumps(value, ensure_ascii=False)


def _make_project(folder: Path, rows: int = 40, held_out: int = 10, **sections: Any) -> Path:
    """A project of the example's first rows; `sections` adds or replaces keys of molting.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("export.jsonl", rows), ("held_out.jsonl", held_out)):
        lines = (EXAMPLE / "data" / name).read_text("utf-8").splitlines(keepends=True)[:count]
        (folder / name).write_text("".join(lines), "utf-8")
    keys: dict[str, dict[str, Any]] = {
        "persona": {"name": "Skerry", "description": "An old crab.", "voice_never": ["as an AI"]},
        "data": {"files": ["export.jsonl"], "held_out": ["held_out.jsonl"]},
        "base": {"model": "fake", "dtype": "float32"},
        "train": {"epochs": 2},
        "evaluate": {"max_new_tokens": 12, "resamples": 200},
    }
    facts = [{"ask": "Which kitchen thing makes you tremble?", "answer": "boiling pots"}]
    for section, values in sections.items():
        keys[section] = keys.get(section, {}) | values
    text = "".join(
        f"[{section}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())
        for section, values in keys.items()
    )
    text += "".join(
        "[[persona.facts]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in fact.items())
        for fact in facts
    )
    (folder / "molting.toml").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="session")
def make_project() -> Callable[..., Path]:
    return _make_project


@dataclass(frozen=True)
class Finished:
    """A project that `molting run --json` took to its end. To be read; copy it to change it."""

    root: Path
    run: Done


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = _make_project(tmp_path_factory.mktemp("finished") / "project")
    with pytest.MonkeyPatch.context() as monkeypatch:
        done = _main(monkeypatch, ["run", str(root), "--json"])
    assert done.code == 0, done.err
    return Finished(root, done)


# Everything heavy is imported once; each job is a fork of that, so a run that is to be killed
# starts in a fraction of a second. A job names its own process in the first line it answers.
_SERVER = """
import gc, json, os, signal, sys
import torch, transformers, peft, sklearn.linear_model, pyarrow.parquet, scipy.stats
import transformers.models.llama.modeling_llama, safetensors.torch, peft.tuners.lora
import matplotlib.figure, matplotlib.backends.backend_agg, matplotlib.backends.backend_svg
import molting.cli.stages, molting.flow
from molting.cli.main import main
from molting.models.machine import measure_machine
measure_machine()
gc.freeze()
# A shell's background jobs ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        for number, name in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(name, flags, 0o644), number)
        sys.stdout = os.fdopen(1, "w")
        sys.stderr = os.fdopen(2, "w", buffering=1)
        code = 99
        try:
            exec(job["before"])
            sys.argv = ["molting", *job["arguments"]]
            main()
        except SystemExit as ended:
            code = ended.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Apart:
    """`molting` in a process of its own, to be killed; negative codes are signals."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = subprocess.Popen(
            [sys.executable, "-c", _SERVER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __call__(
        self,
        *arguments: object,
        before: str = "",
        when: Callable[[], bool] | None = None,
        send: signal.Signals = signal.SIGKILL,
    ) -> Done:
        """`before` is run in the process first; `send` is sent to it as soon as `when` holds."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        job = {
            "arguments": [str(a) for a in arguments],
            "before": before,
            "out": str(self.folder / "out"),
            "err": str(self.folder / "err"),
        }
        self.server.stdin.write(json.dumps(job) + "\n")
        self.server.stdin.flush()
        pid = int(self.server.stdout.readline())
        if when is not None:
            # The server waits for it, so the process id cannot be another's until it answers.
            end = time.monotonic() + 120
            while not when():
                assert time.monotonic() < end, (self.folder / "err").read_text()
                assert Path(f"/proc/{pid}").exists() or sys.platform != "linux"
                time.sleep(0.002)
            os.kill(pid, send)
        code = int(self.server.stdout.readline())
        return Done(code, (self.folder / "out").read_text(), (self.folder / "err").read_text())

    def close(self) -> None:
        # Closing its input ends it.
        self.server.communicate()


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    server = Apart(tmp_path_factory.mktemp("apart"))
    yield server
    server.close()
