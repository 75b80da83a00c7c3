"""Every head learns what can be learned, comes back whole from its arrays, and ignores padding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from molting.evaluate.detection.calibrated import named
from molting.evaluate.detection.heads import HEADS, fit_head, load_head

CLASSES = [2, 3]


def made(rows: int = 90, seed: int = 0) -> tuple[list[Any], Any]:
    """Sequences of one to five windows; a third of the labels of each trait is not known."""
    random = np.random.default_rng(seed)
    labels = np.stack([random.integers(0, 2, rows), random.integers(0, 3, rows)], 1)
    sequences = []
    for one, other in labels:
        sequence = random.normal(0, 1, (random.integers(1, 6), 12)).astype(np.float32)
        sequence[:, 0] += 3 * one
        sequence[:, 1 + other] += 4
        sequences.append(sequence * 100 + 50)
    return sequences, labels.astype(np.int64)


@pytest.mark.parametrize("name", HEADS)
def test_it_learns_and_comes_back_from_its_arrays(name: str) -> None:
    sequences, labels = made()
    known = labels.copy()
    known[::3, 0] = -1
    known[1::3, 1] = -1
    fit, stop, test = np.arange(60), np.arange(60, 75), np.arange(75, 90)
    head = fit_head(name, sequences, known, CLASSES, fit, stop, 0)
    asked = [sequences[i] for i in test]
    scores = head.score(asked)
    assert [score.shape for score in scores] == [(15, 2), (15, 3)]
    right = named(scores) == labels[test]
    assert right.mean() > 0.75, right.mean(0)
    again = load_head(name, head.tensors(), CLASSES).score(asked)
    for one, other in zip(scores, again, strict=True):
        assert np.array_equal(one, other)
    # A writer's score does not depend on who else is asked about.
    for i, sequence in enumerate(asked[:5]):
        alone = head.score([sequence])
        for one, other in zip(scores, alone, strict=True):
            np.testing.assert_allclose(one[i], other[0], atol=1e-4)


@pytest.mark.parametrize("name", ["mlp", "gru"])
def test_the_seed_decides_and_nobody_elses_draws_are_moved(name: str) -> None:
    sequences, labels = made(40)
    rows = (np.arange(30), np.arange(30, 40))
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    one, two, other = (
        fit_head(name, sequences, labels, CLASSES, *rows, seed).score(sequences)[0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", ["logistic", "centroid", "mlp"])
def test_a_class_that_nobody_has_is_not_named(name: str) -> None:
    sequences, labels = made(60)
    labels[:, 1] = np.minimum(labels[:, 1], 1)  # of three
    head = fit_head(name, sequences, labels, CLASSES, np.arange(45), np.arange(45, 60), 0)
    if name in ("logistic", "centroid"):
        assert not (named(head.score(sequences))[:, 1] == 2).any()
    assert np.isfinite(head.score(sequences)[1]).all()
