"""Two processes train as one does: each a share of every batch, the same masters in both."""

from __future__ import annotations

import multiprocessing
import os
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from molting.core.config import Train
from molting.core.launch import process_count, process_rank, sharding_asked
from molting.core.progress import Silent
from molting.models.fake import fake_model
from molting.models.likelihood import row_losses
from molting.models.lora import attach_lora
from molting.models.render import Rendered
from molting.train.devices import World, surroundings
from molting.train.loop import train
from molting.train.objectives import Pair

PAD = 260
CONFIG = Train(rank=4, learning_rate=5e-3, batch_rows=3, epochs=2, patience=9, warmup_share=0.2)


def row(length: int, step: int, first: int = 4) -> Rendered:
    ids = (*range(9, 9 + first), *((5 + i * step) % 250 for i in range(length - first)))
    return Rendered(ids, tuple(i >= first for i in range(length)), True)


# Seven rows in batches of three: the last batch of an epoch is one row, so one process has none.
ROWS = [row(9 + 3 * i, 3 + 2 * i) for i in range(7)]
VALIDATION = [row(8, 7), row(12, 11), row(15, 13)]


def pairs() -> list[Pair]:
    made = [(chosen, row(len(chosen.ids) + 2, 17)) for chosen in ROWS]
    flat = [r for pair in made for r in pair]
    nats = [loss.nats for loss in row_losses(fake_model(), flat, PAD)]
    return [Pair(c, c, r, nats[2 * i], nats[2 * i + 1]) for i, (c, r) in enumerate(made)]


def trained(config: Train, folder: Path, world: World | None = None) -> dict[str, Any]:
    model = attach_lora(fake_model(), config, "fake", 0)
    if world:
        world.prepare(model)
    made = pairs() if config.method == "dpo" else []
    outcome = train(
        model, ROWS, VALIDATION, config, PAD, folder, Silent(),
        pairs=made, held_out_pairs=made, world=world,
    )  # fmt: skip
    return outcome.state | {"losses": torch.tensor(outcome.position.losses)}


def process(rank: int, port: int, config: Train, folder: Path, sharded: bool) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "ACCELERATE_USE_FSDP": "true" if sharded else "false",
    }  # fmt: skip
    world = surroundings()
    assert (world.rank, world.size, world.sharded) == (rank, 2, sharded)
    state = trained(config, folder / "shared", world)
    world.close()
    save_file(state, folder / f"{rank}.safetensors")


def two(config: Train, folder: Path, sharded: bool = False) -> list[dict[str, Any]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "shared").mkdir()
    # Forked: torch and transformers are there already.
    context = multiprocessing.get_context("fork")
    jobs = [
        context.Process(target=process, args=(r, port, config, folder, sharded)) for r in (0, 1)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(60)
        assert job.exitcode == 0
    return [load_file(folder / f"{rank}.safetensors") for rank in (0, 1)]


@pytest.mark.parametrize(
    ("changes", "sharded"),
    [({}, False), ({"method": "dpo", "learning_rate": 2e-3}, False), ({}, True)],
    ids=["next token", "preference", "split weights"],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="a process with a GPU cannot be forked")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_two_processes_end_where_one_does(
    changes: dict[str, Any], sharded: bool, tmp_path: Path
) -> None:
    config = msgspec.convert(msgspec.to_builtins(CONFIG) | changes, Train)
    alone = trained(config, tmp_path)
    first, second = two(config, tmp_path, sharded)
    assert first.keys() == alone.keys()
    for name, tensor in alone.items():
        # What each has added up differs in the order of the sum alone, and Adam divides by it.
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], tensor, rtol=1e-3, atol=2e-4)
    # Only the first writes.
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["resume.safetensors"]


def test_without_a_launcher_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "ACCELERATE_USE_FSDP"):
        monkeypatch.delenv(name, raising=False)
    assert (process_rank(), process_count(), sharding_asked()) == (0, 1, False)
    world = surroundings()
    assert type(world) is World
    assert world.first
    # Some schedulers set these two for every job, without a group to join.
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert (process_rank(), process_count()) == (0, 1)
