from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from molting.core.config import Evaluate
from molting.core.errors import ConfigError, InputError
from molting.evaluate.items import evenly, read_asked, read_set, shipped_sets

CHOICE = {"query": "Question: What melts?", "choices": ["ice", "stone"], "gold": 0}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_what_ships_is_enough_and_is_asked_fairly() -> None:
    grammar, everyday = shipped_sets()
    assert len(grammar.items) >= 60
    assert len(everyday.items) >= 40
    for items in (grammar, everyday):
        texts = [item.candidates for item in items.items]
        assert len(set(texts)) == len(texts)
        for candidates in texts:
            assert len(set(candidates)) == len(candidates)
    # The right answer stands in every place equally often: always the first would be no guess.
    places = Counter(item.gold for item in everyday.items)
    assert max(places.values()) - min(places.values()) <= 1
    # Nor is it the longest or the shortest more often than chance explains.
    longest = sum(
        len(item.candidates[item.gold][1]) == max(len(text) for _, text in item.candidates)
        for item in everyday.items
    )
    assert longest < len(everyday.items) / 2


@pytest.mark.parametrize(
    ("row", "kind", "candidates"),
    [
        ({"good": "A b.", "bad": "A c."}, "pairs", (("", "A b."), ("", "A c."))),
        (
            CHOICE,
            "choices",
            (
                ("Question: What melts?\nAnswer:", "ice"),
                ("Question: What melts?\nAnswer:", "stone"),
            ),
        ),
        (
            {"query": "He slept, therefore", "choices": ["a", "b"], "gold": 1},
            "choices",
            (("He slept, therefore", "a"), ("He slept, therefore", "b")),
        ),
        (
            {"context_options": ["so Ann", "so Ben"], "continuation": "ran.", "gold": 1},
            "contexts",
            (("so Ann", "ran."), ("so Ben", "ran.")),
        ),
        (
            {"context": "It is a ", "continuation": "dog"},
            "continuation",
            (("It is a", "dog"),),
        ),
    ],
)
def test_every_shape_is_read(
    tmp_path: Path, row: dict[str, Any], kind: str, candidates: tuple[tuple[str, str], ...]
) -> None:
    found = read_set(write(tmp_path / "some.jsonl", row), 10)
    assert (found.name, found.kind) == ("some", kind)
    assert found.items[0].candidates == candidates


def test_twins_are_one_cluster_and_stay_together(tmp_path: Path) -> None:
    def twin(order: list[str], gold: int, n: int) -> dict[str, Any]:
        options = [f"{n} so {name}" for name in order]
        return {"context_options": options, "continuation": f"ran {gold}.", "gold": gold}

    rows = [
        twin(order, gold, n)
        for n in range(10)
        for order, gold in ((["Ann", "Ben"], 0), (["Ben", "Ann"], 0))
    ]
    found = read_set(write(tmp_path / "twins.jsonl", *rows), 6)
    assert len(found.items) == 6
    assert sorted(Counter(item.group for item in found.items).values()) == [2, 2, 2]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["{"], "bad.jsonl:1: not JSON"),
        (['{"text": "a"}'], "bad.jsonl:1: has none of the known shapes"),
        ([json.dumps(CHOICE | {"gold": 2})], "`gold` must be the place"),
        ([json.dumps(CHOICE | {"gold": "ice"})], "`gold` must be the place"),
        ([json.dumps(CHOICE), '{"good": "a", "bad": "b"}'], "bad.jsonl:2: is of the kind 'pairs'"),
        ([], "bad.jsonl: has no items"),
    ],
)
def test_a_bad_file_is_told_by_its_line(tmp_path: Path, lines: list[str], says: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        read_set(path, 5)
    assert says in str(caught.value)


def test_files_of_the_configuration_are_read_and_hashed(tmp_path: Path) -> None:
    write(tmp_path / "one.jsonl", CHOICE)
    (tmp_path / "news.txt").write_text("It rained.")
    options = Evaluate(retention=("one.jsonl",), neutral_text="news.txt")
    before = read_asked(tmp_path, options)
    assert [items.name for items in before.sets] == ["one"]
    assert before.text == ("news", "It rained.")
    (tmp_path / "news.txt").write_text("It snowed.")
    assert read_asked(tmp_path, options).key != before.key


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "one.jsonl", CHOICE)
    with pytest.raises(ConfigError, match="'one'"):
        read_asked(tmp_path, Evaluate(retention=("a/one.jsonl", "b/one.jsonl")))
    write(tmp_path / "grammar.jsonl", CHOICE)
    with pytest.raises(ConfigError, match="'grammar'"):
        read_asked(tmp_path, Evaluate(retention=("grammar.jsonl",)))


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_asked(tmp_path, Evaluate(neutral_text="gone.txt"))


def test_fewer_are_taken_evenly() -> None:
    items = shipped_sets()[0].items
    some = evenly(items, 12)
    assert len(some) == 12
    assert [items.index(item) for item in some] == [7 * k for k in range(12)]
