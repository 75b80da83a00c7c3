from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.artifacts import (
    MANIFEST,
    atomic_folder,
    atomic_write,
    file_hash,
    read_json,
    storage_errors,
    sweep_temporary,
    to_json,
    write_bytes,
    write_json,
    write_text,
)
from molting.core.errors import StorageError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_write_replaces_the_file_and_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.txt"
    write_text(path, "one")
    write_text(path, "zwei ü")
    assert path.read_bytes() == "zwei ü".encode()
    assert names(path.parent) == {"a.txt"}


def test_a_writer_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        atomic_write(path, fail)
    assert path.read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def interrupt(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, interrupt)
    assert path.read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    seen: list[str] = []

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        seen.append(path.read_text())

    atomic_write(path, write)
    assert seen == ["old"]
    assert path.read_text() == "new"


def test_a_written_file_has_ordinary_permissions(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(umask)
    # mkstemp alone would leave 0600, which no other user or server could read.
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_that_says_what_to_do(tmp_path: Path, number: int) -> None:
    def full(temporary: Path) -> None:
        raise OSError(number, os.strerror(number))

    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(StorageError, match="no space left on the disk; free some") as caught:
        atomic_write(tmp_path / "a.txt", full)
    assert str(caught.value).startswith(str(tmp_path / "a.txt"))
    assert caught.value.__suppress_context__
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, number: int) -> None:
    with (
        pytest.raises(StorageError, match="cannot be written: "),
        storage_errors(tmp_path / "a"),
    ):
        raise OSError(number, os.strerror(number))


def test_other_failures_of_the_system_are_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), storage_errors(tmp_path):
        raise IsADirectoryError(errno.EISDIR, "is a folder")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "corpora" / "one"

    def fill() -> None:
        with atomic_folder(target) as temporary:
            (temporary / "rows").write_text("half")
            assert not target.exists()
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fill()
    assert names(tmp_path / "corpora") == set()
    with atomic_folder(target) as temporary:
        (temporary / "rows").mkdir()
        (temporary / "rows" / "a").write_text("whole")
        (temporary / MANIFEST).write_text("{}")
    assert names(tmp_path / "corpora") == {"one"}
    assert (target / "rows" / "a").read_text() == "whole"


def test_a_failing_second_version_leaves_the_first_folder(tmp_path: Path) -> None:
    target = tmp_path / "one"
    with atomic_folder(target) as temporary:
        (temporary / "a").write_text("old")

    def fail() -> None:
        with atomic_folder(target) as temporary:
            (temporary / "a").write_text("new")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="no space left"):
        fail()
    assert names(tmp_path) == {"one"}
    assert (target / "a").read_text() == "old"
    with atomic_folder(target) as temporary:
        (temporary / "b").write_text("new")
    assert names(target) == {"b"}


def test_the_sweep_takes_only_what_a_killed_writer_left(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.x1.tmp").write_text("half")
    (tmp_path / ".folder.x2.tmp").mkdir()
    (tmp_path / ".folder.x2.tmp" / "rows").write_text("half")
    for kept in ("a.txt", ".hidden", "b.tmp"):
        (tmp_path / kept).write_text("whole")
    sweep_temporary(tmp_path)
    assert names(tmp_path) == {"a.txt", ".hidden", "b.tmp"}
    sweep_temporary(tmp_path / "missing")


class Point(msgspec.Struct):
    x: float
    label: str | None = None


def test_an_unknown_number_is_null_and_never_zero(tmp_path: Path) -> None:
    value = {
        "nan": float("nan"),
        "inf": [float("inf"), -float("inf"), 1.5],
        "struct": Point(float("nan")),
        "zero": 0.0,
        7: (1, None, True),
    }
    write_json(tmp_path / "a.json", value)
    assert b"NaN" not in (tmp_path / "a.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {
        "nan": None,
        "inf": [None, None, 1.5],
        "struct": {"x": None, "label": None},
        "zero": 0.0,
        "7": [1, None, True],
    }


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(PLAIN)
def test_json_comes_back_as_it_went(value: object) -> None:
    raw = to_json(value)
    assert raw.endswith(b"\n")
    assert msgspec.json.decode(raw) == value


def test_a_file_hash_tells_one_changed_byte(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)
    before = file_hash(path)
    assert before.startswith("b2:")
    assert file_hash(path) == before
    path.write_bytes(b"x" * 2_999_999 + b"y")
    assert file_hash(path) != before
