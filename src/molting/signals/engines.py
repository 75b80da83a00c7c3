"""Where the work is done: in threads here, or on the machines of a Ray cluster.

An engine maps a function over tasks and hands the results back in their order; what several tasks
need is shared once. The functions are the same, so the results are.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, Literal, Protocol, TypeVar

from molting.core.errors import UsageError

T = TypeVar("T")
Small = TypeVar("Small")
Large = TypeVar("Large")

EngineName = Literal["local", "ray"]
_OBJECT_STORE = 2 << 30
"""Bytes of shared memory of a cluster that is started here; beyond them Ray goes on to disk."""


class Shared(Generic[T]):
    """Something that tasks read; on a cluster it lies where it was made until one asks."""

    def __init__(self, value: T) -> None:
        self._value = value

    @property
    def value(self) -> T:
        return self._value


class Engine(Protocol):
    """Two ways to map, and how to share."""

    def map(self, function: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[T]:
        """The results, in the order of the tasks."""

    def split(
        self, function: Callable[[Any], tuple[Small, Large]], tasks: Iterable[Any]
    ) -> Iterator[tuple[Small, Shared[Large]]]:
        """As `map`, but the second half of each result stays where it was made."""

    def share(self, value: T) -> Shared[T]:
        """Something that many tasks will read."""


class LocalEngine:
    """Threads: the work is in NumPy, which lets the others run meanwhile; nothing is copied."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or _cores()

    def map(self, function: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[T]:
        if self.workers == 1:
            yield from map(function, tasks)
            return
        from concurrent.futures import Future, ThreadPoolExecutor

        running: deque[Future[T]] = deque()
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                for task in tasks:
                    running.append(pool.submit(function, task))
                    # Tasks are drawn as they are needed, so an input can be longer than memory.
                    if len(running) > 2 * self.workers:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                for future in running:
                    future.cancel()

    def split(
        self, function: Callable[[Any], tuple[Small, Large]], tasks: Iterable[Any]
    ) -> Iterator[tuple[Small, Shared[Large]]]:
        for small, large in self.map(function, tasks):
            yield small, Shared(large)

    def share(self, value: T) -> Shared[T]:
        return Shared(value)


class RayEngine:
    """A Ray cluster: the one that is running or named by RAY_ADDRESS, or a new one on this machine.

    Raises UsageError when Ray is not installed or cannot be reached.
    """

    def __init__(self, address: str | None = None) -> None:
        try:
            import ray
        except ImportError:
            raise UsageError(
                "Ray is not installed; pip install 'molting-lm[ray]' brings it, "
                "or leave out `--engine ray`"
            ) from None
        self._ray = ray
        if not ray.is_initialized():
            try:
                _start(ray, address)
            except Exception as error:
                # Ray's own starting faults (a node that comes up too late) have no type of theirs.
                told = " ".join(str(error).split())
                raise UsageError(f"no Ray cluster can be reached or started: {told}") from None
        self.workers = int(ray.cluster_resources().get("CPU", 1))

    def map(self, function: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[T]:
        remote = self._ray.remote(function)
        for reference in self._windowed(remote.remote, tasks):
            yield self._ray.get(reference)

    def split(
        self, function: Callable[[Any], tuple[Small, Large]], tasks: Iterable[Any]
    ) -> Iterator[tuple[Small, Shared[Large]]]:
        remote = self._ray.remote(num_returns=2)(function)
        for small, large in self._windowed(remote.remote, tasks):
            yield self._ray.get(small), _RayShared(large)

    def share(self, value: T) -> Shared[T]:
        return _RayShared(self._ray.put(value))

    def _windowed(self, submit: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[Any]:
        running: deque[Any] = deque()
        for task in tasks:
            running.append(submit(task))
            if len(running) > 4 * self.workers:
                yield running.popleft()
        yield from running


class _RayShared(Shared[T]):
    """A reference; the value is fetched on the machine that asks for it, once."""

    def __init__(self, reference: Any) -> None:
        self._reference = reference

    @property
    def value(self) -> T:
        import ray

        fetched: T = ray.get(self._reference)
        return fetched


def engine(name: EngineName = "local", workers: int | None = None) -> Engine:
    """The engine of that name; `workers` is for the local one (all cores when absent)."""
    return RayEngine() if name == "ray" else LocalEngine(workers)


def _start(ray: Any, address: str | None) -> None:
    """Join the cluster of that address, of RAY_ADDRESS, or one that runs here; else start one."""
    import logging

    # Ray reports use over the network unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    named = address or os.environ.get("RAY_ADDRESS")
    if named:
        ray.init(address=named, **quiet)
        return
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError:
        # The default object store takes a third of the memory; the texts' n-grams need little.
        ray.init(
            address="local", include_dashboard=False, object_store_memory=_OBJECT_STORE, **quiet
        )


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
