"""A resume point is whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from molting.train.checkpoint import (
    Position,
    drop_checkpoint,
    load_checkpoint,
    save_checkpoint,
)

HISTORY = (
    {"epoch": 0, "step": 0, "train_loss": None, "validation_loss": 5.1},
    {"epoch": 1, "step": 2, "train_loss": 0.1 + 0.2, "validation_loss": 1 / 3},
)
POSITION = Position(3, 1, 1, 1 / 3, 12.5, 4321, HISTORY, (0.1, 0.7, 1e-9), (3.0, 2.5, 1.0), 512)


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "master/a": torch.randn(3, 4, generator=generator),
        "mean/a": torch.randn(3, 4, generator=generator).to(torch.bfloat16),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path, POSITION, tensors())
    return tmp_path


def test_a_resume_point_comes_back_bit_for_bit(folder: Path) -> None:
    found = load_checkpoint(folder)
    assert found is not None
    position, loaded = found
    assert position == POSITION
    assert set(loaded) == set(tensors())
    for name, tensor in tensors().items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)


def test_a_newer_resume_point_takes_the_place_of_the_older(folder: Path) -> None:
    save_checkpoint(folder, Position(9, 1, 1, 0.5, 1.0, 1, (), ()), {"b": torch.ones(1)})
    found = load_checkpoint(folder)
    assert found is not None
    assert found[0].step == 9
    assert set(found[1]) == {"b"}
    assert len(list(folder.iterdir())) == 1


def test_there_is_none_before_one_is_saved_and_after_it_is_dropped(
    folder: Path, tmp_path: Path
) -> None:
    assert load_checkpoint(tmp_path / "elsewhere") is None
    drop_checkpoint(folder)
    assert load_checkpoint(folder) is None
    drop_checkpoint(folder)


def test_a_write_that_fails_leaves_the_older_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        save_checkpoint(folder, POSITION, tensors())
    found = load_checkpoint(folder)
    assert found is not None
    assert found[0] == POSITION
    assert len(list(folder.iterdir())) == 1


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1, exclude_max=True), tail=st.binary(max_size=9))
def test_law_a_file_that_was_cut_off_is_no_resume_point(share: float, tail: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_checkpoint(folder, POSITION, tensors())
        (path,) = folder.iterdir()
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))] + tail)
        if path.read_bytes() != whole:
            assert load_checkpoint(folder) is None


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_law_no_flipped_bit_goes_unnoticed(data: st.DataObject) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_checkpoint(folder, POSITION, tensors())
        (path,) = folder.iterdir()
        raw = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(raw) - 1), label="byte")
        raw[at] ^= 1 << data.draw(st.integers(0, 7), label="bit")
        path.write_bytes(raw)
        assert load_checkpoint(folder) is None


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"position": "{}"}])
def test_a_file_of_another_kind_is_no_resume_point(
    folder: Path, metadata: dict[str, str] | None
) -> None:
    (path,) = folder.iterdir()
    save_file(tensors(), path, metadata=metadata)
    assert load_checkpoint(folder) is None
