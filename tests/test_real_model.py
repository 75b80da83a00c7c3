"""One run with the real weights: what the fake cannot show."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from molting.core.errors import ModelNotFound
from molting.evaluate.items import ItemSet, shipped_sets
from molting.evaluate.probes import IDENTITY_QUESTIONS
from molting.models.sources import ModelSource, find_model
from molting.signals.contrast import neutral_replies

MODEL = "smollm2-135m"


@pytest.fixture(scope="module")
def source() -> ModelSource:
    try:
        return find_model(MODEL)
    except ModelNotFound as error:
        pytest.skip(f"the real weights are not here and cannot be fetched: {error}")


@pytest.mark.real
def test_the_real_model_learns_in_one_epoch_and_plain_peft_reads_the_adapter(
    source: ModelSource,
    make_project: Callable[..., Path],
    tmp_path: Path,
    molting: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    root = make_project(
        tmp_path / "project",
        rows=50,
        held_out=4,
        curate={"target": 12, "semantic": "off"},
        base={"model": MODEL, "dtype": "auto"},
        train={"epochs": 1, "batch_rows": 4, "learning_rate": 1e-3},
        evaluate={"max_new_tokens": 8, "resamples": 200, "choices": 2, "robustness": 1},
        split={"validation_rows": 3},
    )
    # A fraction of the texts and questions, and of the time.
    neutral = neutral_replies()[::12]
    monkeypatch.setattr("molting.evaluate.retention.neutral_replies", lambda: neutral)
    few = tuple(ItemSet(some.name, some.kind, some.items[:2]) for some in shipped_sets())
    monkeypatch.setattr("molting.evaluate.retention.shipped_sets", lambda: few)
    monkeypatch.setattr("molting.evaluate.measure.DETECTOR_PROMPTS", 8)
    monkeypatch.setattr("molting.evaluate.probes.IDENTITY_QUESTIONS", IDENTITY_QUESTIONS[:1])
    done = molting("run", root, "--json")
    assert done.code == 0, done.err
    shown = done.json
    assert shown["molt"] == 1
    assert shown["corpus"]["splits"]["train"] == 12
    assert shown["train"]["total_parameters"] > 135_000_000
    history = json.loads((root / ".molting/molts/1/manifest.json").read_text())["train"]["history"]
    before, after = (record["validation_loss"] for record in history)
    assert after < before

    for system in ("base", "tuned"):
        assert math.isfinite(shown["perplexity"][system])
        # Four held-out texts are too few to certify a voice by.
        assert shown["voice"][system]["value"] is None
        assert shown["personality"][system]["score"] is None
    assert shown["perplexity"]["tuned"] < shown["perplexity"]["base"]
    assert not shown["voice"]["measurable"]

    assert source.folder is not None
    model = AutoModelForCausalLM.from_pretrained(source.folder, dtype=torch.float32)
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    with torch.no_grad():
        plain = model(ids).logits
        tuned = PeftModel.from_pretrained(model, root / shown["paths"]["adapter"])(ids).logits
    assert torch.isfinite(tuned).all()
    assert not torch.allclose(plain, tuned)
