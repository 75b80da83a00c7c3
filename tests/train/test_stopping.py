"""The rules over evaluations: which state is kept, which may yet be, when it is enough."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from molting.train.stopping import exhausted, kept_epoch, open_epochs


def history(*evaluations: Any) -> list[dict[str, Any]]:
    """Losses, or (loss, personality)."""
    found = []
    for epoch, item in enumerate(evaluations):
        loss, personality = item if isinstance(item, tuple) else (item, None)
        found.append({"epoch": epoch, "validation_loss": loss, "personality": personality})
    return found


def test_by_loss_alone_it_is_the_first_lowest() -> None:
    assert kept_epoch(history(3.0, 2.0, 2.5, 2.0), 0.5) == 1
    assert kept_epoch(history(math.nan, math.nan), 0.5) == 0


def test_within_the_tolerance_the_better_personality_is_kept() -> None:
    asked = history(3.0, (2.20, 0.5), (2.14, 0.7), (2.15, 0.9), (2.30, 1.0))
    assert kept_epoch(asked, 0.05) == 3
    assert kept_epoch(asked, 0.0) == 2
    assert kept_epoch(asked, 0.5) == 4


def test_equal_personality_is_decided_by_the_loss() -> None:
    assert kept_epoch(history(3.0, (2.1, 0.8), (2.0, 0.8), (2.05, 0.8)), 0.2) == 2


def test_an_epoch_that_was_not_asked_is_kept_only_where_no_other_is_near() -> None:
    assert kept_epoch(history(3.0, (2.1, 0.2), 2.0), 0.2) == 1
    assert kept_epoch(history(3.0, (2.1, 0.2), 2.0), 0.01) == 2


def test_what_decides_for_preference_tuning_is_its_own_loss() -> None:
    records = [
        {"epoch": 0, "validation_loss": 1.0, "preference_loss": 0.9},
        {"epoch": 1, "validation_loss": 2.0, "preference_loss": 0.5},
    ]
    assert kept_epoch(records, 0.0) == 1


def test_patience_counts_evaluations_that_brought_nothing() -> None:
    assert not exhausted(history(5.0, 4.0, 4.5), 0.0, 2)
    assert exhausted(history(5.0, 4.0, 4.5, 4.5), 0.0, 2)
    # The personality still gains within the tolerance, so it goes on.
    assert not exhausted(history(5.0, (4.0, 0.1), (4.01, 0.2), (4.02, 0.3)), 0.05, 2)
    assert exhausted(history(5.0, (4.0, 0.1), (4.2, 0.2), (4.3, 0.3)), 0.05, 2)


EVALUATIONS = st.lists(
    st.tuples(
        st.sampled_from([1.0, 1.02, 1.05, 1.3, 2.0, math.nan]),
        st.sampled_from([None, 0.0, 0.4, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=9,
)


@given(EVALUATIONS, st.sampled_from([0.0, 0.03, 0.5]))
def test_law_a_state_that_was_let_go_is_never_wanted_again(
    evaluations: list[Any], tolerance: float
) -> None:
    records = history(*evaluations)
    held: set[int] = set()
    for upto in range(1, len(records) + 1):
        wanted = open_epochs(records[:upto], tolerance)
        assert kept_epoch(records[:upto], tolerance) in wanted
        assert wanted <= held | {upto - 1, 0}
        held = wanted


@given(EVALUATIONS, st.sampled_from([0.0, 0.03, 0.5]), st.integers(1, 3))
def test_law_what_is_kept_is_near_the_lowest_loss_and_no_near_one_is_better(
    evaluations: list[Any], tolerance: float, patience: int
) -> None:
    records = history(*evaluations)
    finite = [r for r in records if math.isfinite(r["validation_loss"])]
    if not finite:
        return
    kept = records[kept_epoch(records, tolerance)]
    lowest = min(r["validation_loss"] for r in finite)
    assert kept["validation_loss"] <= lowest + tolerance
    near = [r for r in finite if r["validation_loss"] <= lowest + tolerance]
    best = max((r["personality"] for r in near if r["personality"] is not None), default=None)
    assert kept["personality"] == best or best is None
