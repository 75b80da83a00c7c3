"""The tier for similar texts: off the exact path, and honest about its error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molting.memory.audit import holdings
from molting.memory.similar import SimilarTier
from molting.memory.store import Memory
from molting.models.encoders import FakeEncoder

SEEN = [f"the {a} sleeps beneath the {b} harbour wall" for a in ("gull", "crab", "eel") for b in ("old", "new", "wet")]  # fmt: skip
STRANGE = "quadratic residues modulo seven"


class Exact:
    """Values that depend on the whole text, and a count of what was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        rows = [[len(t), t.count("e"), t.count("a") + 1] for t in texts]
        return np.array(rows, np.float32).reshape(-1, 3)


def tier(memory: Memory, least: float = 0.8, space: str = "values of a model") -> SimilarTier:
    return SimilarTier(memory, FakeEncoder(), space, least)


def test_strangers_are_computed_and_the_same_text_is_found_exactly(tmp_path: Path) -> None:
    exact = Exact()
    with Memory(tmp_path) as memory:
        first = tier(memory).answer(SEEN, exact, 0, 0)
        assert (sum(first.reused), exact.asked) == (0, SEEN)
    with Memory(tmp_path) as memory:
        # Another process reads what the first has kept.
        again = tier(memory).answer([*SEEN, STRANGE], exact, 0, 0)
    assert again.reused == (True,) * len(SEEN) + (False,)
    assert exact.asked == [*SEEN, STRANGE]
    np.testing.assert_array_equal(again.values, Exact()([*SEEN, STRANGE]))


def test_the_error_of_what_is_reused_is_measured_on_a_sample(tmp_path: Path) -> None:
    like = [text + "s" for text in SEEN]
    exact = Exact()
    with Memory(tmp_path) as memory:
        found = tier(memory)
        found.answer(SEEN, Exact(), 0, 0)
        answer = found.answer(like, exact, 4, 0)
    assert answer.error.n == 4 == len(exact.asked)
    assert sum(answer.reused) == len(like) - 4
    truth = Exact()(like)
    wrong = np.linalg.norm(answer.values - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert answer.error.mean is not None
    assert answer.error.low is not None
    assert answer.error.high is not None
    assert answer.error.worst is not None
    assert 0 < answer.error.mean <= answer.error.worst
    assert answer.error.low <= wrong[list(answer.reused)].mean() <= answer.error.high + 0.01
    # Those of the sample are exact.
    assert not wrong[~np.array(answer.reused)].any()


def test_a_higher_threshold_reuses_less(tmp_path: Path) -> None:
    like = [text + " tonight" for text in SEEN]
    reused = []
    for i, least in enumerate((0.5, 0.99)):
        with Memory(tmp_path / str(i)) as memory:
            found = tier(memory, least)
            found.answer(SEEN, Exact(), 0, 0)
            reused.append(sum(found.answer(like, Exact(), 0, 0).reused))
    assert reused == [len(SEEN), 0]


def test_another_space_is_another_memory(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        tier(memory).answer(SEEN, Exact(), 0, 0)
        assert len(tier(memory)) == len(SEEN)
        assert len(tier(memory, space="values of another model")) == 0
        assert holdings(memory).kinds["similar"].entries == len(SEEN)


@pytest.mark.parametrize("texts", [[], ["only one"]])
def test_without_reuse_there_is_no_error_to_tell(tmp_path: Path, texts: list[str]) -> None:
    with Memory(tmp_path) as memory:
        answer = tier(memory).answer(texts, Exact(), 5, 0)
    assert (answer.error.n, answer.error.mean) == (0, None)
    assert len(answer.values) == len(texts)
