from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals import verify as module
from molting.signals.shingles import members, similarity
from molting.signals.verify import verify

LONG = st.text(st.sampled_from("abc d"), min_size=12, max_size=30).map(
    lambda t: f"x{t.strip()}" + "y" * 12
)


@settings(max_examples=40, deadline=None)
@given(st.lists(LONG, min_size=2, max_size=6, unique_by=lambda t: " ".join(t.split())))
def test_it_is_the_similarity_of_the_texts(texts: list[str]) -> None:
    found = members(texts, 1.0)
    left, right = np.array(list(itertools.combinations(range(len(texts)), 2))).T
    values = verify(found.grams, found.grams, (left, right))
    assert values.tolist() == [
        similarity(texts[a], texts[b]) for a, b in zip(left, right, strict=True)
    ]


def test_many_pairs_are_taken_a_part_at_a_time(monkeypatch: object) -> None:
    texts = [f"the tide brought shell number {i} of {i * i}" for i in range(30)]
    found = members(texts, 1.0)
    pairs = np.array(list(itertools.product(range(30), repeat=2))).T
    whole = verify(found.grams, found.grams, (pairs[0], pairs[1]))
    monkeypatch.setattr(module, "_CHUNK", 100)  # type: ignore[attr-defined]
    assert (verify(found.grams, found.grams, (pairs[0], pairs[1])) == whole).all()
    assert (whole.reshape(30, 30).diagonal() == 1).all()
    none = np.zeros(0, dtype=np.int64)
    assert verify(found.grams, found.grams, (none, none)).shape == (0,)
