"""`molting duplicates` on rows: groups with pairs, semantic ones on request, chat-only kinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

TIDE = "The tide waits for nobody, shoreling, least of all for a crab with a sore claw."
BROTH = "Broth is hot, kelp is fresh, and the gull has gone to bother somebody else."


@pytest.fixture
def chats(tmp_path: Path) -> Any:
    def write(*rows: Any, name: str = "chats.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps({"messages": _turns(row)}) + "\n" for row in rows))
        return path

    return write


def _turns(said: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {"role": "assistant" if i % 2 else "user", "content": text} for i, text in enumerate(said)
    ]


def test_groups_are_listed_with_every_pair(chats: Any, molting: Any) -> None:
    said = [TIDE, TIDE[:-1] + "!", BROTH, TIDE.upper()]
    path = chats(*((f"p{i}", text) for i, text in enumerate(said)))
    found = molting("duplicates", path, "--json").json
    assert (found["rows"], found["threshold"]) == (4, 0.7)
    # What was not looked for is unknown, not none.
    assert found["pairs"] == {"exact": 1, "near": 2, "semantic": None}
    assert found["semantic"] is None
    (group,) = found["groups"]
    assert group["rows"] == [f"{path}:{i}" for i in (1, 2, 4)]
    for pair in group["pairs"]:
        assert (
            pair["similarity"] == 1.0 if pair["kind"] == "exact" else 0.7 <= pair["similarity"] < 1
        )
    strict = molting("duplicates", path, "--threshold", "1.0", "--json").json
    assert strict["pairs"] == {"exact": 1, "near": 0, "semantic": None}
    plain = molting("duplicates", path)
    assert "group 1: 3 rows" in plain.out
    assert "semantic duplicates: not measured" in " ".join(plain.out.split())


def test_duplicates_of_a_project_are_those_of_its_files(finished: Any, molting: Any) -> None:
    found = molting("duplicates", finished.root, "--json").json
    assert found["rows"] == 40


def test_on_request_what_says_the_same_joins_the_groups(chats: Any, molting: Any) -> None:
    alike = "Least of all for a crab with a sore claw does the tide wait, shoreling: for nobody."
    path = chats(("p0", TIDE), ("p1", alike), ("p2", BROTH))
    arguments = ("duplicates", path, "--semantic", "--encoder", "fake", "--json")
    found = molting(*arguments).json
    assert found["pairs"] == {"exact": 0, "near": 0, "semantic": 1}
    assert found["semantic"] == {"encoder": "fake", "threshold": 0.8, "floor": 0.5}
    (pair,) = found["groups"][0]["pairs"]
    assert (pair["kind"], pair["left"], pair["right"]) == ("semantic", f"{path}:1", f"{path}:2")
    assert 0.8 <= pair["similarity"] < 1
    # Above the threshold it is still listed, as weaker: the choice can be made afterwards.
    strict = molting(*arguments, "--semantic-threshold", "1").json
    assert (strict["pairs"]["semantic"], strict["groups"]) == (0, [])
    assert pair in strict["weaker"]
    plain = molting(*arguments[:-1])
    assert "1 semantic ones (probability ≥ 0.8)" in " ".join(plain.out.split())


def test_across_two_sets_semantic_pairs_go_across_too(chats: Any, molting: Any) -> None:
    alike = "Least of all for a crab with a sore claw does the tide wait, shoreling: for nobody."
    path = chats(("p0", TIDE), ("p1", alike), name="train.jsonl")
    other = chats(("q", f"{alike} Aye!"), name="test.jsonl")
    found = molting(
        "duplicates", path, "--against", other, "--semantic", "--encoder", "fake", "--json"
    ).json
    pairs = [pair for group in found["groups"] for pair in group["pairs"]]
    assert {(p["left"].split("/")[-1], p["right"].split("/")[-1]) for p in pairs} == {
        ("train.jsonl:1", "test.jsonl:1"),
        ("train.jsonl:2", "test.jsonl:1"),
    }
    assert found["kinds"] is None


def test_kinds_that_only_chats_have_are_named_with_their_evidence(chats: Any, molting: Any) -> None:
    start = ("Who mended the big net after the storm?", "Old Brannoch did, with tarred twine.")
    path = chats(
        (*start, "And the boat?", "The boat is past mending, I fear."),
        (*start, "Is he paid for it?", "In herring, and in gossip."),
        ("When do you open the shop?", "At nine, every morning."),
        ("When do you open the shop?", "At ten, every morning."),
    )
    found = molting("duplicates", path, "--json").json
    assert found["kinds"]["shared_prefix"] == 1
    assert found["kinds"]["conflicting_replies"] == 1
    assert found["kinds"]["merged_turns"] == 0
    by_kind = {finding["kind"]: finding for finding in found["findings"]}
    prefix = by_kind["shared_prefix"]
    assert prefix["rows"] == [f"{path}:1", f"{path}:2"]
    assert prefix["evidence"]["parts_at"] == [f"{path}:1#3", f"{path}:2#3"]
    conflict = by_kind["conflicting_replies"]
    assert conflict["evidence"]["because"] == ["numbers"]
    assert [a["turns"] for a in conflict["evidence"]["answers"]] == [
        [f"{path}:3#2"],
        [f"{path}:4#2"],
    ]
    plain = " ".join(molting("duplicates", path).out.split())
    assert "kinds that only chats have: 1 conflicting_replies, 1 shared_prefix" in plain
    assert molting("duplicates", path, "--no-kinds", "--json").json["kinds"] is None
