from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from molting.core.config import Evaluate
from molting.core.errors import InputError
from molting.evaluate.questionnaire import (
    DOMAINS,
    Statement,
    cronbach_alpha,
    describe,
    expected_answers,
    read_statements,
)
from molting.evaluate.systems import Speaker
from molting.models.likelihood import RowLoss
from molting.models.render import Rendered
from molting.signals.stats import Array

OPTIONS = Evaluate(resamples=100)
STATEMENTS = (
    Statement("Worry about things", "plus", "N"),
    Statement("Remain calm under pressure", "minus", "N"),
    Statement("Love large parties", "plus", "E"),
    Statement("Prefer to be alone", "minus", "E"),
)


def answers(*values: float) -> Array:
    """The same answer to each item in every wording and order; shape (2, 2, items)."""
    return np.tile(np.array(values), (2, 2, 1))


def test_the_shipped_items_are_the_120_of_five_scales() -> None:
    items = read_statements(None)
    assert Counter(item.domain for item in items) == dict.fromkeys(DOMAINS, 24)
    assert len({item.text for item in items}) == 120
    assert {item.keyed for item in items} == {"plus", "minus"}


def test_reverse_keyed_items_are_turned() -> None:
    found = describe(STATEMENTS, {"base": answers(5, 1, 2, 4)}, OPTIONS)["systems"]["base"]
    assert found["domains"]["N"]["value"] == pytest.approx(5)
    assert found["domains"]["E"]["value"] == pytest.approx(2)
    assert found["acquiescence"] == pytest.approx(0)
    assert found["order_effect"] == 0


def test_agreeing_with_everything_is_acquiescence_and_no_trait() -> None:
    found = describe(STATEMENTS, {"base": answers(5, 5, 5, 5)}, OPTIONS)["systems"]["base"]
    assert found["acquiescence"] == pytest.approx(2)
    assert found["domains"]["N"]["value"] == pytest.approx(3)


def test_alpha_is_cronbachs() -> None:
    # Cronbach (1951) by hand: k/(k−1)·(1 − Σvar/var of sums), unbiased variances.
    table = np.array([[2.0, 3.0], [4.0, 4.0], [5.0, 3.0], [1.0, 2.0]])
    assert cronbach_alpha(table) == pytest.approx(2 * (1 - (10 / 3 + 2 / 3) / 6))
    assert cronbach_alpha(np.ones((4, 3))) is None
    assert cronbach_alpha(table[:, :1]) is None


def test_the_order_of_options_alone_makes_no_reliability() -> None:
    """A model that always takes the first letter agrees in one order and disagrees in the other."""
    raw = np.stack([np.full((2, 4), 1.0), np.full((2, 4), 5.0)], axis=1)
    found = describe(STATEMENTS, {"base": raw, "tuned": raw}, OPTIONS)
    assert found["alpha"] == {"N": None, "E": None}
    assert found["systems"]["base"]["order_effect"] == pytest.approx(4)
    assert found["systems"]["base"]["domains"]["N"]["value"] == pytest.approx(3)


def test_the_answer_weighs_the_letters_of_both_orders(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that likes the text “very accurate” gives 5 wherever it stands."""
    asked: list[str] = []

    def losses(tuned: bool, rows: list[Rendered], task: str) -> list[RowLoss]:
        found = []
        for row in rows:
            text = speaker.base.tokenizer.decode(row.ids)
            asked.append(text)
            letter = text[-1]
            found.append(RowLoss(0.0 if f"{letter}) very accurate" in text else 40.0, 1))
        return found

    monkeypatch.setattr(speaker, "losses", losses)
    found = expected_answers(STATEMENTS, speaker, "tuned_prompted")
    assert found.shape == (2, 2, len(STATEMENTS))
    assert found == pytest.approx(np.full(found.shape, 5.0))
    assert len(asked) == 2 * 2 * 4 * 5
    assert all("You are Skerry." in text for text in asked)
    assert "I worry about things" in asked[0]


def test_the_fake_answers(speaker: Speaker) -> None:
    found = expected_answers(STATEMENTS[:2], speaker, "tuned")
    assert ((found >= 1) & (found <= 5)).all()


@pytest.mark.parametrize(
    "text", ["{", "[]", json.dumps([{"text": "Worry", "keyed": "up", "domain": "N"}] * 3)]
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "items.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"^items\.json: "):
        read_statements(path)
