"""Every row once an epoch, in an order that only the seed and the epoch decide."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.schedule import steps_per_epoch
from molting.models.render import Rendered
from molting.train.batches import epoch_batches, micro_batches

law = settings(max_examples=60, deadline=None)
lengths = st.lists(st.integers(1, 50), min_size=1, max_size=120)


def rows_of(sizes: list[int]) -> list[Rendered]:
    return [Rendered((0,) * size, (False,) * size, False) for size in sizes]


@law
@given(sizes=lengths, batch_rows=st.integers(1, 10), epoch=st.integers(1, 5), seed=st.integers(0))
def test_law_every_row_comes_once_an_epoch(
    sizes: list[int], batch_rows: int, epoch: int, seed: int
) -> None:
    batches = epoch_batches(rows_of(sizes), batch_rows, epoch, seed)
    assert sorted(i for batch in batches for i in batch) == list(range(len(sizes)))
    assert len(batches) == steps_per_epoch(len(sizes), batch_rows)
    # One batch may be smaller, or the steps would not be alike.
    assert sorted(map(len, batches))[1:] == [batch_rows] * (len(batches) - 1)


@law
@given(sizes=lengths, batch_rows=st.integers(1, 10), epoch=st.integers(1, 5), seed=st.integers(0))
def test_law_the_seed_and_the_epoch_fix_the_order(
    sizes: list[int], batch_rows: int, epoch: int, seed: int
) -> None:
    rows = rows_of(sizes)
    assert epoch_batches(rows, batch_rows, epoch, seed) == epoch_batches(
        rows, batch_rows, epoch, seed
    )


def test_another_seed_or_epoch_is_another_order() -> None:
    rows = rows_of([i % 17 + 1 for i in range(64)])
    orders = [epoch_batches(rows, 4, epoch, seed) for epoch in (1, 2, 3) for seed in (0, 1)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])
    # Not the batches' order alone: which rows share one changes as well.
    members = [{frozenset(batch) for batch in order} for order in orders]
    assert all(a != b for i, a in enumerate(members) for b in members[:i])


def test_rows_of_like_length_share_a_batch() -> None:
    sizes = [i % 40 + 1 for i in range(320)]
    rows = rows_of(sizes)
    padded = sum(
        len(batch) * max(sizes[i] for i in batch) for batch in epoch_batches(rows, 8, 1, 0)
    )
    unsorted = sum(8 * max(sizes[i : i + 8]) for i in range(0, 320, 8))
    assert padded < 1.2 * sum(sizes) < unsorted * 1.2


@law
@given(sizes=lengths, most_tokens=st.integers(1, 400))
def test_law_the_parts_of_a_step_hold_each_row_once_within_the_bound(
    sizes: list[int], most_tokens: int
) -> None:
    batch = list(range(0, len(sizes), 2))
    parts = micro_batches(rows_of(sizes), batch, most_tokens)
    assert sorted(i for part in parts for i in part) == batch
    for part in parts:
        assert len(part) == 1 or len(part) * max(sizes[i] for i in part) <= most_tokens


def test_a_prompt_that_is_computed_once_does_not_split_a_step() -> None:
    prompt = tuple(range(300))
    rows = [
        Rendered((*prompt, *[i + 400] * 60), (*[False] * 330, *[True] * 30), True) for i in range(8)
    ]
    batch = list(range(8))
    assert len(micro_batches(rows, batch, 1024)) == 4
    assert micro_batches(rows, batch, 1024, shared_once=True) == [batch]
    # Behind the prompt the bound holds as before.
    parts = micro_batches(rows, batch, 130, shared_once=True)
    assert [len(part) for part in parts] == [2, 2, 2, 2]
