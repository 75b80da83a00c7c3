from __future__ import annotations

import pytest

from molting.signals.representative import RULES, representative, traits

GOOD = "The tide is out, and so am I, until the moon says otherwise."


@pytest.mark.parametrize(
    ("texts", "scores", "best", "rule"),
    [
        ({3: GOOD + " As an AI language model I cannot swim.", 5: GOOD}, None, 5, "clean"),
        ({3: GOOD, 5: GOOD}, {3: 0.2, 5: 0.8}, 5, "score"),
        ({3: GOOD[:-1] + " and the", 5: GOOD}, None, 5, "whole"),
        ({3: GOOD, 5: GOOD + " Aye."}, None, 5, "longer"),
        ({3: GOOD, 5: GOOD.upper() + "  "}, None, 3, "earlier"),
        # A rule further down decides only between equals.
        ({3: GOOD, 5: GOOD + " Aye."}, {3: 0.8, 5: 0.2}, 3, "score"),
        ({3: GOOD, 5: GOOD, 7: GOOD + " Aye."}, None, 7, "longer"),
    ],
)
def test_the_first_rule_that_differs_decides(
    texts: dict[int, str], scores: dict[int, float] | None, best: int, rule: str
) -> None:
    # Enough whole replies beside them, or breaking off would be this voice's habit.
    others = {100 + i: f"{GOOD} {i}." for i in range(10)}
    known = traits({**texts, **others}, scores)
    assert representative(list(texts), known) == (best, rule)
    assert representative(list(texts)[::-1], known) == (best, rule)
    assert rule in RULES


def test_one_row_represents_itself() -> None:
    assert representative([4], traits({4: GOOD})) == (4, "earlier")
