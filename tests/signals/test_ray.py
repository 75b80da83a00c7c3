"""The same search on a Ray cluster of two nodes. Skipped where Ray is not installed."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from molting.core.errors import UsageError
from molting.signals.duplicates import find_duplicates
from molting.signals.engines import LocalEngine, RayEngine

ray: Any = pytest.importorskip("ray")
pytestmark = pytest.mark.filterwarnings("ignore")
"""Ray leaves sockets and futures of its own behind."""


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
        cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        try:
            cluster.add_node(**node)
            cluster.wait_for_nodes()
            yield RayEngine(cluster.address)
        finally:
            ray.shutdown()
            cluster.shutdown()


def test_results_come_in_the_order_of_the_tasks_from_both_nodes(engine: RayEngine) -> None:
    assert engine.workers == 2
    assert len([node for node in ray.nodes() if node["Alive"]]) == 2
    assert list(engine.map(_square, range(20))) == [n * n for n in range(20)]
    halves = list(engine.split(_halved, range(3)))
    assert [(small, large.value) for small, large in halves] == [(n, [n]) for n in range(3)]
    assert engine.share("all").value == "all"


def test_the_same_groups_as_in_this_process(engine: RayEngine) -> None:
    chance = random.Random(3)
    words = [
        "the",
        "old",
        "crab",
        "walks",
        "over",
        "wet",
        "sand",
        "and",
        "sings",
        "of",
        "salt",
        "rope",
        "moon",
        "tide",
        "boat",
    ]
    texts = [" ".join(chance.choices(words, k=8)) for _ in range(900)]
    # Copies, near copies, and a crowd that shares nearly all its letters.
    texts += [text.upper() for text in texts[:40]] + [f"{text}!" for text in texts[40:90]]
    texts += [f"my boat has the number {n} painted on its side" for n in range(300)]
    here = find_duplicates(texts, 0.7, engine=LocalEngine(1))
    # Several shards, so that pairs are compared whose n-grams lie on different nodes.
    from molting.signals.near import find

    local = find(texts, 0.5, engine=LocalEngine(1), shard=256)
    there = find(texts, 0.5, engine=engine, shard=256)
    for name in ("same", "left", "right", "similarity", "thinned"):
        assert (getattr(local, name) == getattr(there, name)).all(), name
    assert len(there.left) > 200
    assert find_duplicates(texts, 0.7, engine=engine).groups() == here.groups()


def test_an_error_in_a_task_is_the_callers(engine: RayEngine) -> None:
    with pytest.raises(ZeroDivisionError):
        list(engine.map(_inverse, [1, 0]))


def test_a_cluster_that_is_not_there_is_one_line(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)

    def refuse(**_: Any) -> None:
        raise ConnectionError("no answer")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(UsageError, match="no Ray cluster can be reached or started: no answer"):
        RayEngine("127.0.0.1:1")


def test_without_an_address_a_running_cluster_comes_first(
    engine: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def init(address: str, **options: Any) -> None:
        asked.append((address, options.get("object_store_memory")))
        if address == "auto":
            raise ConnectionError("none runs here")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    RayEngine()
    assert [address for address, _ in asked] == ["auto", "local"]
    assert asked[1][1] is not None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.9:6379")
    asked.clear()
    RayEngine()
    assert asked == [("10.0.0.9:6379", None)]


def _square(n: int) -> int:
    return n * n


def _halved(n: int) -> tuple[int, list[int]]:
    return n, [n]


def _inverse(n: int) -> float:
    return 1 / n
