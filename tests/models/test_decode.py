"""The scheduler: whatever the places, every prompt gets the reply that it gets alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.models import decode as module
from molting.models.decode import decode
from molting.models.engine import Engine
from molting.models.fake import fake_model


def lively() -> torch.nn.Module:
    """The fake with livelier weights: as shipped, it says one token over and over."""
    model = fake_model().requires_grad_(False)
    generator = torch.Generator().manual_seed(4)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            parameter.normal_(std=0.25, generator=generator)
    return model


MODEL = lively()
ENGINE = Engine(MODEL, adapter=False)


def greedy(logits: torch.Tensor, draw: np.ndarray) -> torch.Tensor:
    return logits.argmax(-1)


def answers(
    prompts: list[tuple[int, ...]], most_new: int, stop: frozenset[int]
) -> dict[int, tuple[list[int], bool]]:
    found = decode(ENGINE, prompts, most_new, lambda i: np.zeros(most_new), greedy, stop)
    listed = [(i, list(ids), stopped) for i, ids, stopped in found]
    assert sorted(i for i, _, _ in listed) == list(range(len(prompts)))
    return {i: (ids, stopped) for i, ids, stopped in listed}


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 255), min_size=1, max_size=40), min_size=1, max_size=9),
    st.integers(0, 70),
    st.integers(1, 4),
    st.integers(1, 40),
)
def test_law_a_reply_does_not_depend_on_places_neighbours_or_a_shared_prefix(
    tails: list[list[int]], shared: int, places: int, most_new: int
) -> None:
    head = [i % 250 for i in range(shared)]
    prompts = [tuple(head + tail) for tail in tails]
    # What the fake says now and then: some replies stop, some run on.
    stop = frozenset(range(0, 264, 7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_ROWS", places)
        together = answers(prompts, most_new, stop)
    for i, prompt in enumerate(prompts):
        assert together[i] == answers([prompt], most_new, stop)[0]


@pytest.mark.parametrize("shared", [0, 7, 8, 40, 63, 64, 80])
def test_replies_are_those_of_the_general_implementation_without_any_cache(shared: int) -> None:
    head = [(7 * i) % 250 for i in range(shared)]
    prompts = [(*head, *(100 + i + k for k in range(3 + i))) for i in range(3)]
    found = answers(prompts, 12, frozenset())
    said = set()
    for i, prompt in enumerate(prompts):
        ids = list(prompt)
        with torch.inference_mode():
            for _ in range(12):
                ids.append(int(MODEL(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        assert found[i] == (ids[len(prompt) :], False)
        said |= set(found[i][0])
    # A model that says one thing whatever stands before would show nothing.
    assert len(said) > 6


def test_a_small_budget_of_memory_only_means_fewer_places(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = [tuple(range(i, i + 30 + i)) for i in range(6)]
    free = answers(prompts, 12, frozenset())
    monkeypatch.setattr(module, "CACHE_BYTES", 1)
    assert answers(prompts, 12, frozenset()) == free


def test_a_stop_token_is_no_part_of_the_reply_and_a_full_reply_ended_by_length() -> None:
    [(ids, stopped)] = answers([(1, 2, 3)], 5, frozenset()).values()
    assert len(ids) == 5
    assert not stopped
    [(cut, ended)] = answers([(1, 2, 3)], 5, frozenset({ids[2]})).values()
    assert cut == ids[: ids.index(ids[2])]
    assert ended


def test_nothing_asked_is_nothing_answered() -> None:
    assert answers([], 5, frozenset()) == {}
