"""A speaker of the shipped fake with an adapter that moves it, for the measures beside the score."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from molting.core.config import Train
from molting.core.progress import Silent
from molting.evaluate.systems import Speaker
from molting.memory.store import Memory
from molting.models.base import load_model
from molting.models.lora import attach_lora
from molting.models.sources import find_model

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Speaker]:
    base = load_model(find_model("fake"), "float32")
    model = attach_lora(base.model, Train(rank=4), "fake", seed=0).eval()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    with Memory(tmp_path_factory.mktemp("memory")) as memory:
        yield Speaker(base, model, "b2:adapter", "You are Skerry.", memory, Silent())
