"""Nothing is encoded twice, and what the memory held changes no result."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molting.memory.embeddings import Remembered, remembered_values
from molting.memory.store import Memory
from molting.models.encoders import FakeEncoder


class Counting(FakeEncoder):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str]) -> Any:
        self.seen += texts
        return super().encode(texts)


TEXTS = ["aye", "the tide turns", "aye", "", "a lone surrogate \ud800"]


def test_a_second_call_encodes_nothing(tmp_path: Path) -> None:
    inner = Counting()
    with Memory(tmp_path) as memory:
        first = Remembered(inner, memory).encode(TEXTS)
        assert sorted(inner.seen) == sorted(set(TEXTS))
        second = Remembered(inner, memory).encode([*TEXTS, "new"])
        assert inner.seen[4:] == ["new"]
    assert np.array_equal(first, second[:-1])
    assert np.allclose(first, FakeEncoder().encode(TEXTS), atol=1e-3)
    assert np.allclose(np.linalg.norm(first[:3], axis=1), 1, atol=1e-6)
    assert Remembered(inner, memory).id == inner.id


def test_another_encoder_has_its_own_rows(tmp_path: Path) -> None:
    one, two = Counting(), Counting()
    two.id = "b2:other"
    with Memory(tmp_path) as memory:
        Remembered(one, memory).encode(["aye"])
        Remembered(two, memory).encode(["aye"])
    assert one.seen == two.seen == ["aye"]


@pytest.mark.parametrize("damage", ["x'0102'", "zeroblob(512)", "x''"])
def test_a_damaged_row_is_computed_again(tmp_path: Path, damage: str) -> None:
    inner = Counting()
    with Memory(tmp_path) as memory:
        first = Remembered(inner, memory).encode(["aye", "no"])
    with sqlite3.connect(tmp_path / "values.db") as db:
        key = db.execute("SELECT key FROM entries LIMIT 1").fetchone()[0]
        db.execute(f"UPDATE entries SET value = {damage} WHERE key = ?", (key,))
    db.close()
    with Memory(tmp_path) as memory:
        assert np.array_equal(Remembered(inner, memory).encode(["aye", "no"]), first)
    assert len(inner.seen) == 3


def test_nothing_asked_is_nothing_encoded(tmp_path: Path) -> None:
    with Memory(tmp_path) as memory:
        assert Remembered(Counting(), memory).encode([]).shape == (0, FakeEncoder.width)


def test_values_are_computed_once_for_each_item_and_kind(tmp_path: Path) -> None:
    asked: list[int] = []

    def compute(places: Any) -> Any:
        asked.extend(int(i) for i in places)
        return np.stack([places, places + 0.5], 1)

    with Memory(tmp_path) as memory:
        items = [("a", "b"), ("a", "c"), ("a", "b")]
        first = remembered_values(memory, "k", items, 2, compute)
        assert asked == [0, 1]
        assert first.tolist() == [[0, 0.5], [1, 1.5], [0, 0.5]]
        assert np.array_equal(remembered_values(memory, "k", items, 2, compute), first)
        assert asked == [0, 1]
        remembered_values(memory, "other", items[:1], 2, compute)
    assert asked == [0, 1, 0]
