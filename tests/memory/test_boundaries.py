"""What lies below the adapted layers: computed once, the same bit for bit, and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from molting.core.config import Train
from molting.core.progress import Silent
from molting.memory.boundaries import Boundaries
from molting.memory.store import Memory
from molting.models.base import LoadedModel, load_model
from molting.models.lora import attach_lora
from molting.models.render import Rendered
from molting.models.sources import ModelSource, find_model
from molting.models.tuner import Tuner
from molting.train.steppers import TunerStepper

STOP = 256
SHAPE: dict[str, Any] = {
    "vocab_size": 264, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip


@functools.cache
def source() -> ModelSource:
    return find_model("fake", None, Silent())


def deep(kind: str = "llama", seed: int = 1) -> LoadedModel:
    """Four layers, so that there is something between one boundary and another."""
    torch.manual_seed(seed)
    made = LlamaForCausalLM(LlamaConfig(**SHAPE))
    if kind == "qwen2":
        made = Qwen2ForCausalLM(Qwen2Config(**SHAPE))
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter)
    made.eval().requires_grad_(False)
    return LoadedModel(source(), made, None, frozenset({STOP}), "float32")


def adapted(base: LoadedModel, top: int, rank: int = 3) -> Any:
    return attach_lora(base.model, Train(mode="fast", top_layers=top, rank=rank), "x", 0)


def row(*tails: Sequence[int], head: int = 12) -> Rendered:
    """A head that ends a turn, then turns."""
    ids = [*((7 * i) % 250 for i in range(head)), STOP]
    for tail in tails:
        ids += [*tail, STOP]
    return Rendered(tuple(ids), tuple(i > head + 2 for i in range(len(ids))), True)


ROWS = [row(range(20)), row(range(30, 39), range(60, 66)), row([5])]


def hidden(base: LoadedModel, rows: Sequence[Rendered], layer: int) -> list[torch.Tensor]:
    """What transformers itself computes there."""
    found = []
    for one in rows:
        output = base.model(torch.tensor([one.ids]), output_hidden_states=True)
        found.append(output.hidden_states[layer][0])
    return found


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@pytest.mark.parametrize("top", [1, 3])
def test_the_stream_is_the_models_own(tmp_path: Path, kind: str, top: int) -> None:
    base = deep(kind)
    expected = hidden(base, ROWS, 4 - top)
    with Memory(tmp_path) as memory:
        found = Boundaries(memory, base, adapted(base, top))(ROWS)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


TAILS = st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=9), min_size=1, max_size=3)


@settings(max_examples=10, deadline=None)
@given(
    tails=st.lists(TAILS, min_size=1, max_size=5), cut=st.integers(0, 5), head=st.integers(0, 14)
)
def test_law_company_and_memory_change_no_bit(
    tmp_path_factory: pytest.TempPathFactory, tails: list[Any], cut: int, head: int
) -> None:
    base = deep()
    model = adapted(base, 2)
    rows = [row(*t, head=head) for t in tails]
    with (
        Memory(tmp_path_factory.mktemp("one")) as one,
        Memory(tmp_path_factory.mktemp("two")) as two,
    ):
        whole = Boundaries(one, base, model)(rows)
        parts = Boundaries(two, base, model)
        apart = parts(rows[:cut]) + parts(rows[cut:])
        again = Boundaries(one, base, model)
        remembered = again(rows)
        assert again.passes == 0
        for a, b, c in zip(whole, apart, remembered, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(a, c)


def test_the_same_words_behind_another_head_are_something_else(tmp_path: Path) -> None:
    base = deep()
    one = row(range(20))
    other = Rendered((9, 8, *one.ids[2:]), one.trained, True)
    with Memory(tmp_path) as memory:
        boundaries = Boundaries(memory, base, adapted(base, 2))
        found = [*boundaries([one]), *boundaries([other])]
    for stream, expected in zip(found, hidden(base, [one, other], 2), strict=True):
        torch.testing.assert_close(stream, expected, rtol=1e-5, atol=1e-5)


def test_a_shared_head_is_computed_and_kept_once(tmp_path: Path) -> None:
    base = deep()
    with Memory(tmp_path) as memory:
        boundaries = Boundaries(memory, base, adapted(base, 2))
        boundaries(ROWS)
        # Three tails and one head, two layers each.
        assert (boundaries.computed, boundaries.passes) == (4, 8)
        boundaries([row([9, 9])])
        assert (boundaries.computed, boundaries.remembered, boundaries.passes) == (5, 1, 10)
        tokens = len(ROWS[0].ids) + sum(len(r.ids) - 13 for r in ROWS[1:]) + 3
        assert sum(n for (n,) in memory.rows("SELECT length FROM blocks")) == tokens * 24 * 4


def test_other_settings_above_the_boundary_run_nothing_below(tmp_path: Path) -> None:
    base = deep()
    with Memory(tmp_path) as memory:
        Boundaries(memory, base, adapted(base, 2))(ROWS)
        other = deep()
        second = Boundaries(memory, other, adapted(other, 2, rank=7))
        second(ROWS)
        assert (second.passes, second.computed) == (0, 0)


def test_fewer_layers_start_from_the_boundary_that_is_remembered(tmp_path: Path) -> None:
    base, other = deep(), deep()
    with Memory(tmp_path / "one") as memory, Memory(tmp_path / "two") as empty:
        Boundaries(memory, base, adapted(base, 3))(ROWS)
        fewer = Boundaries(memory, other, adapted(other, 1))
        from_remembered = fewer(ROWS)
        # Layers 1 and 2 for each part; layer 0 lies below what is remembered.
        assert set(fewer.passes_of_layers()) == {1, 2}
        from_tokens = Boundaries(empty, other, fewer.model)(ROWS)
        assert all(map(torch.equal, from_remembered, from_tokens))


def test_more_layers_or_other_weights_are_computed_anew(tmp_path: Path) -> None:
    base, other = deep(), deep()
    with Memory(tmp_path) as memory:
        Boundaries(memory, base, adapted(base, 1))(ROWS)
        more = Boundaries(memory, other, adapted(other, 2))
        more(ROWS)
        assert more.remembered == 0
        foreign = deep(seed=2)
        foreign_source = msgspec.structs.replace(source(), weights="b2:other")
        foreign = LoadedModel(foreign_source, foreign.model, None, foreign.stop_ids, "float32")
        strange = Boundaries(memory, foreign, adapted(foreign, 1))
        strange(ROWS)
        assert strange.remembered == 0


@pytest.mark.parametrize("change", ["bytes", "length"])
def test_a_damaged_entry_is_computed_again(tmp_path: Path, change: str) -> None:
    base = deep()
    model = adapted(base, 2)
    with Memory(tmp_path) as memory:
        before = Boundaries(memory, base, model)(ROWS)
        if change == "bytes":
            (shard,) = (tmp_path / "shards").iterdir()
            raw = bytearray(shard.read_bytes())
            raw[len(raw) // 2] ^= 4
            shard.write_bytes(raw)
        else:
            # Whole, under its own key, and of another shape: not ours.
            ((key,), *_) = memory.rows("SELECT key FROM blocks")
            memory.put_blocks({key: memoryview(bytes(96))})
        again = Boundaries(memory, base, model)
        assert all(map(torch.equal, again(ROWS), before))
        assert again.computed == 1


@pytest.mark.parametrize("top", [1, 2, 3])
def test_gradients_are_those_without_a_memory(tmp_path: Path, top: int) -> None:
    base = deep()
    model = adapted(base, top)
    torch.manual_seed(3)
    masters = {n: torch.randn_like(p) * 0.1 for n, p in model.named_parameters() if p.requires_grad}
    with Memory(tmp_path) as memory:
        fast = TunerStepper(model, Boundaries(memory, base, model))
        plain = TunerStepper(model)
        assert len(fast.tuner.layers) == top < len(plain.tuner.layers)
        found = []
        for stepper in (fast, plain):
            stepper.load(masters)
            found.append((*stepper.gradients(ROWS, 40), stepper.losses(ROWS)))
    (nats, grads, losses), (other_nats, other_grads, other_losses) = found
    assert nats == pytest.approx(other_nats, rel=1e-5)
    assert grads.keys() == other_grads.keys() == masters.keys()
    for name, grad in grads.items():
        torch.testing.assert_close(grad, other_grads[name], rtol=1e-4, atol=1e-5)
    assert [x.nats for x in losses] == pytest.approx([x.nats for x in other_losses], rel=1e-5)


def test_a_tuner_over_a_memory_holds_no_lower_layer() -> None:
    base = load_model(source(), "float32")
    model = attach_lora(base.model, Train(mode="fast", top_layers=1, rank=2), "x", 0)
    assert len(Tuner(model, lambda rows: []).layers) == 1
