from __future__ import annotations

from pathlib import Path

import pytest

from molting.core.errors import (
    CheckFailed,
    ConfigError,
    InputError,
    Interrupted,
    ModelNotFound,
    MoltingError,
    StorageError,
    UsageError,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (MoltingError, 2),
        (UsageError, 2),
        (ConfigError, 2),
        (InputError, 2),
        (ModelNotFound, 2),
        (StorageError, 2),
        (CheckFailed, 1),
        (Interrupted, 130),
    ],
)
def test_each_kind_has_its_exit_code(kind: type[MoltingError], code: int) -> None:
    error = kind("it broke")
    assert isinstance(error, MoltingError)
    assert (error.exit_code, str(error)) == (code, "it broke")


def test_the_place_comes_first() -> None:
    config = ConfigError("wrong", file=Path("p/molting.toml"), key="train.rank")
    assert str(config) == f"{Path('p/molting.toml')}: train.rank: wrong"
    assert str(InputError("wrong", file="a.jsonl", line=3)) == "a.jsonl:3: wrong"
    assert str(InputError("wrong", file="a.jsonl")) == "a.jsonl: wrong"
