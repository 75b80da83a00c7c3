"""Replies are those of a plain loop, whatever shares the batch."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.models.base import LoadedModel, load_model
from molting.models.generate import Ended, Generated, Sampling, generate, stream
from molting.models.sources import find_model

GREEDY = Sampling(max_new_tokens=12, temperature=0.0, top_p=1.0, seed=0)
DRAWN = Sampling(max_new_tokens=8, temperature=0.8, top_p=0.9, seed=5)
PROMPTS = tuple(
    tuple(text.encode()) for text in ("hello", "a", "tell me more, please", "hello there", "xyz")
)
NEVER: frozenset[int] = frozenset()


class Numbers:
    """Spells token ids out, so that a reply's text shows exactly which tokens were drawn."""

    pad_token_id = 260

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        return " ".join(map(str, ids))


@functools.cache
def base(numbers: bool = True) -> LoadedModel:
    """The fake with livelier weights: as shipped, it says one token over and over."""
    loaded = load_model(find_model("fake"), "float32")
    generator = torch.Generator().manual_seed(4)
    for parameter in loaded.model.parameters():
        if parameter.ndim == 2:
            parameter.normal_(std=0.25, generator=generator)
    return dataclasses.replace(loaded, tokenizer=Numbers()) if numbers else loaded


def run(
    prompts: Sequence[tuple[int, ...]],
    sampling: Sampling,
    streams: Sequence[str] | None = None,
    stop_ids: frozenset[int] = NEVER,
    most_tokens: int = 12_000,
) -> list[Generated]:
    names = streams or [str(i) for i in range(len(prompts))]
    loaded = base()
    return generate(
        loaded, loaded.model, prompts, sampling, names, stop_ids, most_tokens=most_tokens
    )


@functools.cache
def plain_greedy(prompt: tuple[int, ...], tokens: int) -> tuple[int, ...]:
    """One prompt, no cache, no padding, the likeliest token each time."""
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(tokens):
            ids.append(int(base().model(torch.tensor([ids])).logits[0, -1].argmax()))
    return tuple(ids[len(prompt) :])


def text_of(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids))


def test_greedy_is_a_plain_loop_over_single_tokens() -> None:
    wanted = [
        Generated(text_of(ids), Ended.length, len(ids))
        for ids in (plain_greedy(prompt, 12) for prompt in PROMPTS)
    ]
    assert run(PROMPTS, GREEDY) == wanted
    assert len({reply.text for reply in wanted}) > 1


@pytest.mark.parametrize("which", range(len(PROMPTS)))
def test_a_stop_token_ends_its_reply_alone_and_is_not_part_of_it(which: int) -> None:
    spoken = {prompt: plain_greedy(prompt, 12) for prompt in PROMPTS}
    # A stop that one prompt's reply meets early; the others go on, or stop where they meet it.
    stops = frozenset({spoken[PROMPTS[which]][3]})
    replies = run(PROMPTS, GREEDY, stop_ids=stops)
    ends = []
    for prompt, reply in zip(PROMPTS, replies, strict=True):
        at = next((i for i, token in enumerate(spoken[prompt]) if token in stops), None)
        said = spoken[prompt][:at]
        ends.append(Ended.length if at is None else Ended.stop)
        assert reply == Generated(text_of(said), ends[-1], len(said))
    assert set(ends) == {Ended.length, Ended.stop}


def test_a_reply_that_stops_at_once_is_empty_and_says_so() -> None:
    first = plain_greedy(PROMPTS[0], 1)[0]
    (reply,) = run(PROMPTS[:1], GREEDY, stop_ids=frozenset({first}))
    assert reply == Generated("", Ended.stop, 0)


def test_a_stop_at_the_last_place_is_a_stop_and_no_length() -> None:
    spoken = plain_greedy(PROMPTS[0], 12)
    at = next(i for i, token in enumerate(spoken) if token not in spoken[:i] and i > 0)
    sampling = Sampling(at + 1, 0.0, 1.0, 0)
    (reply,) = run(PROMPTS[:1], sampling, stop_ids=frozenset({spoken[at]}))
    assert (reply.ended, reply.tokens) == (Ended.stop, at)
    (reply,) = run(PROMPTS[:1], sampling)
    assert (reply.ended, reply.tokens) == (Ended.length, at + 1)


@functools.cache
def drawn_alone(index: int) -> Generated:
    return run([PROMPTS[index]], DRAWN, [f"stream {index}"], frozenset({256}))[0]


@settings(max_examples=10, deadline=None)
@given(
    chosen=st.lists(st.integers(0, len(PROMPTS) - 1), min_size=1, max_size=7),
    most_tokens=st.sampled_from([1, 100, 12_000]),
)
def test_law_a_draw_does_not_depend_on_what_shares_the_batch(
    chosen: list[int], most_tokens: int
) -> None:
    replies = run(
        [PROMPTS[i] for i in chosen],
        DRAWN,
        [f"stream {i}" for i in chosen],
        frozenset({256}),
        most_tokens,
    )
    assert replies == [drawn_alone(i) for i in chosen]


def test_streams_and_seeds_draw_differently_and_the_same_ones_alike() -> None:
    same = [PROMPTS[0]] * 3
    a, b, again = run(same, DRAWN, ["a", "b", "a"])
    assert a == again
    assert a != b
    (other,) = run(same[:1], msgspec.structs.replace(DRAWN, seed=6), ["a"])
    assert other != a


def test_more_room_only_makes_a_reply_longer() -> None:
    (short,) = run(PROMPTS[:1], msgspec.structs.replace(DRAWN, max_new_tokens=5), ["a"])
    (long,) = run(PROMPTS[:1], DRAWN, ["a"])
    assert long.text.startswith(short.text + " ")
    assert (short.tokens, long.tokens) == (5, 8)


@pytest.mark.parametrize("sampling", [Sampling(12, 1.0, 1e-9, 3), Sampling(12, 1e-4, 1.0, 3)])
def test_a_tiny_nucleus_and_a_cold_draw_are_greedy(sampling: Sampling) -> None:
    assert run(PROMPTS, sampling) == run(PROMPTS, GREEDY)


@pytest.mark.parametrize(("temperature", "top_p"), [(0.4, 1.0), (0.5, 0.7), (0.5, 0.9)])
def test_draws_follow_the_nucleus_of_the_models_distribution(
    temperature: float, top_p: float
) -> None:
    draws = 1500
    with torch.no_grad():
        logits = base().model(torch.tensor([PROMPTS[0]])).logits[0, -1].double().numpy()
    probability = np.exp((logits - logits.max()) / temperature)
    probability /= probability.sum()
    order = np.argsort(-probability)
    # The nucleus: the likeliest tokens, as few as reach top_p.
    size = int(np.searchsorted(probability[order].cumsum(), top_p - 1e-12)) + 1
    nucleus = {int(i): float(probability[i]) for i in order[:size]}
    whole = sum(nucleus.values())

    # One token each: the reply's text is that token's.
    sampling = Sampling(1, temperature, top_p, 0)
    replies = run([PROMPTS[0]] * draws, sampling, [str(i) for i in range(draws)])
    found = Counter(reply.text for reply in replies)
    wanted = {str(token): share / whole for token, share in nucleus.items()}
    assert len(wanted) >= 3
    if top_p < 1:
        assert set(found) <= set(wanted)
    assert sum(abs(found[text] / draws - share) for text, share in wanted.items()) / 2 < 0.05


def test_progress_counts_every_reply() -> None:
    seen: list[tuple[int, int]] = []
    loaded = base()
    generate(
        loaded,
        loaded.model,
        PROMPTS,
        GREEDY,
        ["s"] * len(PROMPTS),
        NEVER,
        most_tokens=50,
        report=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i + 1, len(PROMPTS)) for i in range(len(PROMPTS))]


def test_nothing_to_answer_is_no_work() -> None:
    assert run([], GREEDY) == []


def test_generation_leaves_gradients_possible() -> None:
    run(PROMPTS[:2], GREEDY)
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
@pytest.mark.parametrize("index", range(len(PROMPTS)))
def test_a_streamed_reply_is_the_generated_one_in_pieces(index: int, sampling: Sampling) -> None:
    stops = frozenset({256, plain_greedy(PROMPTS[0], 12)[7]})
    loaded = base(numbers=False)
    pieces = list(stream(loaded, loaded.model, PROMPTS[index], sampling, "s", stops))
    (whole,) = generate(loaded, loaded.model, [PROMPTS[index]], sampling, ["s"], stops)
    assert "".join(pieces).strip() == whole.text.rstrip("\ufffd").strip()
    assert not any(piece.endswith("\ufffd") for piece in pieces)
