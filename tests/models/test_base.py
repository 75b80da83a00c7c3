"""Loading: frozen, with its stops; whatever is wrong with a folder is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from molting.core.errors import ModelNotFound, UsageError
from molting.models.base import load_model, load_tokenizer
from molting.models.fake import fake_model, fake_tokenizer
from molting.models.quiet import quiet
from molting.models.sources import find_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The fake as a model folder."""
    path = tmp_path / "base"
    with quiet():
        fake_model().save_pretrained(path)
        fake_tokenizer().save_pretrained(path)
    return path


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_loaded_model_is_frozen_and_in_the_dtype_asked_for(dtype: str) -> None:
    base = load_model(find_model("fake"), dtype)
    assert {str(p.dtype) for p in base.model.parameters()} == {f"torch.{dtype}"}
    assert not any(p.requires_grad for p in base.model.parameters())
    assert not base.model.training
    assert base.dtype == dtype
    assert base.context_tokens == 2048
    assert base.stop_ids == {base.tokenizer.eos_token_id}


def test_a_folder_holds_the_same_model(folder: Path) -> None:
    base = load_model(find_model(str(folder)), "float32")
    ids = torch.tensor([base.tokenizer("hello", add_special_tokens=False)["input_ids"]])
    assert torch.equal(base.model(ids).logits, fake_model()(ids).logits)


def test_every_end_that_the_model_or_its_tokenizer_names_stops_a_reply(folder: Path) -> None:
    model = fake_model()
    model.generation_config.eos_token_id = [256, 7]
    model.config.eos_token_id = 9
    with quiet():
        model.save_pretrained(folder)
    assert load_model(find_model(str(folder)), "float32").stop_ids == {256, 7, 9}


def test_a_model_without_a_chat_template_is_refused(folder: Path) -> None:
    tokenizer = fake_tokenizer()
    tokenizer.chat_template = None
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    with pytest.raises(UsageError, match="no chat template"):
        load_tokenizer(find_model(str(folder)))


@pytest.mark.parametrize("length", [0, 5, 5000])
def test_damaged_weights_are_one_clear_line(folder: Path, length: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelNotFound, match="weights cannot be loaded") as caught:
        load_model(find_model(str(folder)), "float32")
    assert "\n" not in str(caught.value)


def test_a_damaged_tokenizer_is_one_clear_line(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ModelNotFound, match="tokenizer cannot be read"):
        load_tokenizer(find_model(str(folder)))
