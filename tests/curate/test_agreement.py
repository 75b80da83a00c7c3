from __future__ import annotations

import pytest

from molting.core.rulings import Decision
from molting.curate.agreement import compare


def decisions(*said: tuple[str, int, str]) -> list[Decision]:
    return [
        Decision(number, f"d{number}", "", name, f"b2:{row}", action)  # type: ignore[arg-type]
        for number, (name, row, action) in enumerate(said, 1)
    ]


def table(counts: dict[tuple[str, str], int]) -> list[Decision]:
    said = []
    row = 0
    for (one, other), count in counts.items():
        for _ in range(count):
            row += 1
            said += [("anna", row, one), ("bob", row, other)]
    return decisions(*said)


def test_kappa_of_a_textbook_table() -> None:
    # 20, 5, 10, 15: observed .70, by chance .50.
    found = compare(
        table({("keep", "keep"): 20, ("keep", "reject"): 5,
               ("reject", "keep"): 10, ("reject", "reject"): 15}),
        "anna", "bob", 500, 0,
    )  # fmt: skip
    assert found.kappa.value == pytest.approx(0.4)
    assert found.kappa.n == 50
    assert found.kappa.low is not None
    assert found.kappa.high is not None
    assert 0.1 < found.kappa.low < 0.4 < found.kappa.high < 0.7
    assert found.agreed == 35
    assert found.table["keep"] == {"keep": 20, "edit": 0, "reject": 5}
    assert len(found.disagreed) == 15
    assert {one for _, one, other in found.disagreed if other == "reject"} == {"keep"}


def test_an_edit_keeps_and_the_table_tells_it_apart() -> None:
    found = compare(
        table({("keep", "edit"): 3, ("reject", "reject"): 2, ("edit", "reject"): 1}),
        "anna", "bob", 200, 0,
    )  # fmt: skip
    assert found.table["keep"]["edit"] == 3
    assert found.table["edit"]["reject"] == 1
    assert (found.agreed, len(found.disagreed)) == (5, 1)


def test_only_rows_that_both_decided_count() -> None:
    said = decisions(
        ("anna", 1, "keep"), ("bob", 1, "keep"), ("anna", 2, "reject"), ("bob", 2, "note"),
        ("bob", 3, "keep"), ("bob", 4, "reject"), ("cleo", 5, "keep"),
    )  # fmt: skip
    found = compare(said, "anna", "bob", 200, 0)
    assert (found.kappa.n, found.only) == (1, (1, 2))


def test_what_cannot_be_known_is_unknown() -> None:
    assert compare([], "anna", "bob", 200, 0).kappa.value is None
    always = compare(table({("keep", "keep"): 9}), "anna", "bob", 200, 0)
    assert (always.kappa.value, always.kappa.n, always.agreed) == (None, 9, 9)
    assert str(always.kappa) == "not measured"
    opposite = compare(table({("keep", "reject"): 5, ("reject", "keep"): 5}), "anna", "bob", 200, 0)
    assert opposite.kappa.value == pytest.approx(-1)
