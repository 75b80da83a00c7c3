"""Macro-F1 as scikit-learn counts it, with writers as the unit; no fit sees whom it is tested on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from molting.evaluate.detection.crossval import (
    Predictions,
    cross_validate,
    difference,
    quality,
)

GROUPS = [f"g{i // 2}" for i in range(60)]


def labels(seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    found = np.stack([random.integers(0, 2, 60), random.integers(0, 3, 60)], 1).astype(np.int64)
    found[::7, 1] = -1
    return found


def predicted(named: Any) -> Predictions:
    p = [np.full((len(named), 60, c), 1 / c) for c in (2, 3)]
    return Predictions(named, p, p, 0.0)


def test_macro_f1_is_scikit_learns() -> None:
    truth = labels()
    named = np.stack([labels(1), labels(2)])
    named[named < 0] = 0
    found = quality(predicted(named), truth, ["a", "b"], GROUPS, 200)
    expected = {}
    for k, trait in enumerate("ab"):
        known = truth[:, k] >= 0
        values = [f1_score(truth[known, k], n[known, k], average="macro") for n in named]
        expected[trait] = np.mean(values)
        assert found.traits[trait].value == pytest.approx(expected[trait])
        assert found.traits[trait].n == 30
    assert found.macro_f1.value == pytest.approx(np.mean(list(expected.values())))
    assert found.macro_f1.low < found.macro_f1.value < found.macro_f1.high
    assert found.log_loss == pytest.approx(found.prior_log_loss)


def test_a_difference_is_paired() -> None:
    truth = labels()
    right = np.maximum(truth, 0)[None]
    wrong = right.copy()
    wrong[0, :20, 0] = 1 - wrong[0, :20, 0]
    one, other = predicted(right), predicted(wrong)
    same = difference(one, one, truth, GROUPS, 200)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    more = difference(one, other, truth, GROUPS, 200)
    assert more.low is not None
    assert more.low > 0
    assert difference(other, one, truth, GROUPS, 200).value == pytest.approx(-more.value)


def test_no_fit_sees_whom_it_is_tested_on() -> None:
    truth = labels()
    asked: list[tuple[set[str], set[str]]] = []

    def fitter(fit: Any, stop: Any, seed: int) -> Any:
        seen = {GROUPS[i] for i in [*fit, *stop]}
        assert not {GROUPS[i] for i in fit} & {GROUPS[i] for i in stop}

        def score(rows: Any) -> list[Any]:
            asked.append((seen, {GROUPS[i] for i in rows}))
            return [np.eye(c)[np.maximum(truth[rows, k], 0)] for k, c in enumerate((2, 3))]

        return score

    found = cross_validate(fitter, truth, [2, 3], GROUPS, 5, 2)
    # Asked twice a fold: about the held-out part, which calibrates, and about the test part.
    assert len(asked) == 20
    for seen, tested in asked[1::2]:
        assert not seen & tested
    assert np.array_equal(found.named_SNK[0][truth >= 0], truth[truth >= 0])
    assert all(np.allclose(p.sum(-1), 1) for p in found.probability)
