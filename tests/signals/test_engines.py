from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import pytest

from molting.core.errors import UsageError
from molting.signals.engines import LocalEngine, engine


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    local = LocalEngine(workers)
    assert list(local.map(lambda n: n * n, range(40))) == [n * n for n in range(40)]
    halves = list(local.split(lambda n: (n, [n]), range(5)))
    assert [(small, large.value) for small, large in halves] == [(n, [n]) for n in range(5)]
    assert local.share("all").value == "all"


@pytest.mark.parametrize("workers", [1, 2])
def test_tasks_are_drawn_as_they_are_needed(workers: int) -> None:
    drawn = 0

    def tasks() -> Iterator[int]:
        nonlocal drawn
        for drawn in range(1000):  # noqa: UP028
            yield drawn

    results = LocalEngine(workers).map(lambda n: n, tasks())
    assert next(results) == 0
    assert drawn <= 2 * workers
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() < 20


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_task_is_the_callers(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        list(LocalEngine(workers).map(lambda n: 1 // n, [1, 0, 1]))


def test_without_ray_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'molting-lm\[ray\]'"):
        engine("ray")
    assert engine("local", 3).workers == 3  # type: ignore[attr-defined]
