"""The example's battery, fitted once, and what the tests of the score hold against it; and a speaker
of the shipped fake with an adapter that moves it, for the measures beside the score."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from molting.core.config import Curate, Train, load_config
from molting.core.persona import Persona
from molting.core.progress import Silent
from molting.curate.filters import filter_rows
from molting.curate.formats import read_file
from molting.evaluate.battery import certified, fit_battery, floor_of, fold_of
from molting.evaluate.score import Measured, Scale, score, voice_estimate
from molting.evaluate.systems import Speaker
from molting.memory.store import Memory
from molting.models.base import load_model
from molting.models.lora import attach_lora
from molting.models.sources import find_model
from molting.signals.contrast import neutral_replies

torch.set_num_threads(1)

N = 40
"""Prompts. Of the 120 neutral replies a third is the base, a third is what attackers dress up, and
a third ships as contrast: nothing that is scored has taught the battery."""


class Room:
    def __init__(self, example: Path) -> None:
        config = load_config(example / "molting.toml")
        rows = read_file(example / "data" / "export.jsonl").conversations
        good = [
            row for row, noise in zip(rows, filter_rows(rows, Curate()), strict=True) if not noise
        ]
        held_out = read_file(example / "data" / "held_out.jsonl").conversations[:N]
        neutral = [contrast.reply for contrast in neutral_replies()]
        self.persona: Persona = config.persona
        self.prompts = [row.prompt for row in held_out]
        self.own_replies = [row.reply for row in held_out]
        self.base_replies, self.neutral_replies = neutral[::3], neutral[1::3]
        self.training = [(row.prompt, row.reply) for row in good]
        base = dict(zip(self.prompts, self.base_replies, strict=True))
        halves = [{p: r for p, r in base.items() if fold_of(p, 2) != k} for k in (0, 1)]
        self.battery = fit_battery(self.persona, self.training, halves)
        self.base = self.measured(self.base_replies)
        self.own = self.measured(self.own_replies)
        scale = Scale(self.base, self.own, paired=True)
        self.certificate = certified(
            self.battery, self.own_replies, self.prompts, self.base_replies
        )
        self.scale = scale._replace(floor=floor_of(self.certificate))

    def measured(self, replies: list[str], stopped: bool | None = True, **probes: Any) -> Measured:
        return self.battery.measure(
            self.prompts, [[(reply, stopped)] for reply in replies], self.base_replies, **probes
        )

    def score(self, model: Measured) -> dict[str, Any]:
        return score(model, self.scale, 100, 0)

    def scored(self, replies: list[str], **more: Any) -> float:
        value = self.score(self.measured(replies, **more))["score"]
        assert isinstance(value, float)
        return value

    def voice(self, model: Measured, *, body: bool = False) -> float:
        value = voice_estimate(model, self.scale, 100, 0, body=body).value
        assert value is not None
        return value


@pytest.fixture(scope="session")
def room(example: Path) -> Room:
    shipped = neutral_replies()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("molting.evaluate.battery.neutral_replies", lambda: shipped[2::3])
        return Room(example)


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
