"""A text that the memory knows does not pass the model again, whatever layer or pooling is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from molting.memory.states import FrozenModel, remembered_states
from molting.memory.store import Memory
from molting.models.base import load_model
from molting.models.sources import find_model
from molting.models.states import StateReader

FAKE = FrozenModel("b2:fake-1", "float32", 48)
ROWS = [(5, 9, 200), (7, 8), (5, 9, 200)]


def test_each_text_passes_once_for_a_layer(tmp_path: Path) -> None:
    reader = StateReader(load_model(find_model("fake"), "float32"))
    with Memory(tmp_path) as memory:
        first = remembered_states(memory, FAKE, lambda: reader, ROWS, (1, 2))
        assert reader.passes == 2
        again = remembered_states(memory, FAKE, lambda: reader, ROWS, (1, 2))
        only = remembered_states(memory, FAKE, lambda: reader, [*ROWS, (4, 4)], (2,))
        assert reader.passes == 3
        remembered_states(memory, FAKE, lambda: reader, ROWS[:1], (0,))
        assert reader.passes == 4
    assert np.array_equal(first, again)
    assert np.array_equal(first[0], first[2])
    assert np.array_equal(only[:3, 0], first[:, 1])


def test_what_is_known_needs_no_model(tmp_path: Path) -> None:
    reader = StateReader(load_model(find_model("fake"), "float32"))
    with Memory(tmp_path) as memory:
        first = remembered_states(memory, FAKE, lambda: reader, ROWS, (1,))

        def refuse() -> StateReader:
            raise AssertionError("the weights were loaded")

        assert np.array_equal(remembered_states(memory, FAKE, refuse, ROWS, (1,)), first)


def test_a_damaged_row_is_computed_again(tmp_path: Path) -> None:
    reader = StateReader(load_model(find_model("fake"), "float32"))
    with Memory(tmp_path) as memory:
        first = remembered_states(memory, FAKE, lambda: reader, ROWS, (1,))
        memory._db.execute("UPDATE entries SET value = x'0102'")
        assert np.array_equal(remembered_states(memory, FAKE, lambda: reader, ROWS, (1,)), first)
    assert reader.passes == 4


def test_what_was_done_before_an_interruption_is_kept(tmp_path: Path) -> None:
    reader = StateReader(load_model(find_model("fake"), "float32"))
    rows = [tuple(range(i, i + 300)) for i in range(20)]
    rows = [tuple(t % 250 for t in row) for row in rows]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with Memory(tmp_path) as memory:
        try:
            remembered_states(memory, FAKE, lambda: reader, rows, (1,), stop)
        except KeyboardInterrupt:
            kept = reader.passes
        remembered_states(memory, FAKE, lambda: reader, rows, (1,))
    assert 0 < kept < len(rows)
    assert reader.passes == len(rows)
