"""The fake is a real model, and the same one every time."""

from __future__ import annotations

import pytest
import torch

from molting.models.fake import fake_model, fake_tokenizer


def test_the_fake_is_the_same_model_every_time_and_leaves_the_random_state_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = fake_model().state_dict()
    assert torch.equal(torch.rand(3), expected)
    second = fake_model().state_dict()
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())


@pytest.mark.parametrize("text", ["hello", "é😀\n\t", "<|user|>\nhi<|end|>\n", " a  b "])
def test_the_fakes_tokenizer_loses_nothing(text: str) -> None:
    tokenizer = fake_tokenizer()
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_the_fakes_tokenizer_has_one_token_a_byte_and_one_a_marker() -> None:
    tokenizer = fake_tokenizer()
    assert len(tokenizer("é!", add_special_tokens=False)["input_ids"]) == 3
    assert tokenizer("<|end|>", add_special_tokens=False)["input_ids"] == [tokenizer.eos_token_id]
    assert len(tokenizer) <= fake_model().config.vocab_size
