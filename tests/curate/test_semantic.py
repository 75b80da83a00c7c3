"""Semantic duplicates of rows, with encoders that say what a test needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from molting.core.config import Config
from molting.core.conversation import Conversation, Source, Turn
from molting.curate import semantic
from molting.curate.pipeline import corpus_id, curate
from molting.curate.semantic import SemanticFinder, semantic_twins
from molting.models.encoders import FakeEncoder
from molting.signals.duplicates import Pair

SAME = (
    "The tide waits for nobody, shoreling, least of all for a crab with a sore claw.",
    "Least of all for a crab with a sore claw does the tide wait, shoreling: for nobody.",
)


def row(prompt: str, reply: str, line: int) -> Conversation:
    return Conversation((Turn("user", prompt), Turn("assistant", reply)), Source("a.jsonl", line))


@pytest.fixture(scope="module")
def rows() -> list[Conversation]:
    things = [
        "lamp",
        "rope",
        "gull",
        "kettle",
        "anchor",
        "pearl",
        "ladder",
        "harbour",
        "cellar",
        "whistle",
        "oar",
        "barrel",
    ]
    rows = [row(f"Why keep a {thing}?", f"My {thing} {n} is older than the {things[n - 3]} of your uncle "
                f"and has {thing}-marks from {things[n - 5]} days.", n) for n, thing in enumerate(things)]  # fmt: skip
    rows += [row(f"Where is the {thing} now?", f"Gone with the {things[n - 4]}, that {thing}, and nobody "
                 f"weeps for a {things[n - 1]} these days.", 20 + n) for n, thing in enumerate(things)]  # fmt: skip
    return [*rows, row("Shall we wait?", SAME[0], 50), row("Is there time?", SAME[1], 51)]


def config(**curate: Any) -> Config:
    return msgspec.convert(
        {"persona": {"name": "Skerry"}, "curate": curate,
         "split": {"validation_rows": 2, "test_rows": 4}}, Config
    )  # fmt: skip


def test_curation_reports_and_changes_nothing_else(rows: list[Conversation]) -> None:
    finder = SemanticFinder(FakeEncoder())
    plain = curate(rows, [], config())
    told = curate(rows, [], config(), finder=finder)
    assert plain.summary()["duplicates"]["semantic"] is None
    assert told.summary()["duplicates"]["semantic"] == 1
    assert [(r.verdict.kept, r.verdict.reason, r.split) for r in told.rows] == [
        (r.verdict.kept, r.verdict.reason, r.split) for r in plain.rows
    ]
    (found,) = [r for r in told.rows if "semantic_twin" in r.verdict.evidence]
    evidence = found.verdict.evidence
    assert {str(found.conversation.source), evidence["semantic_source"]} == {
        "a.jsonl:50",
        "a.jsonl:51",
    }
    assert 0.9 <= evidence["semantic_probability"] < 1
    assert told.recipe["semantic_encoder"] == "fake"


def test_on_request_the_lesser_row_goes_and_names_its_twin(rows: list[Conversation]) -> None:
    corpus = curate(rows, [], config(semantic="reject"), finder=SemanticFinder(FakeEncoder()))
    (gone,) = [r for r in corpus.rows if r.verdict.reason == "semantic_duplicate"]
    twin = next(r for r in corpus.rows if r.conversation.id == gone.verdict.evidence["twin"])
    assert twin.verdict.kept
    assert gone.split is None
    assert corpus.summary()["duplicates"]["semantic"] == 1
    assert corpus.summary()["rejected"]["semantic_duplicate"] == 1
    strict = config(semantic="reject", semantic_threshold=1.0)
    assert (
        curate(rows, [], strict, finder=SemanticFinder(FakeEncoder())).summary()["duplicates"][
            "semantic"
        ]
        == 0
    )


def test_off_means_not_measured(rows: list[Conversation]) -> None:
    corpus = curate(rows, [], config(semantic="off"), finder=SemanticFinder(FakeEncoder()))
    assert corpus.summary()["duplicates"]["semantic"] is None
    assert corpus_id(rows, [], config(semantic="off")) != corpus_id(rows, [], config())


def test_a_row_goes_only_if_it_is_itself_the_twin_of_one_that_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [row(f"p{i}", f"A reply of a number of words, {i}.", i) for i in range(4)]
    chain = [Pair(0, 1, 0.95), Pair(1, 2, 0.92)]
    finder = SemanticFinder(FakeEncoder())
    monkeypatch.setattr(finder, "pairs", lambda texts, threshold: chain)
    # The first is best: its neighbour goes, the neighbour's neighbour stays.
    assert semantic_twins(rows, [0.9, 0.5, 0.5, 0.5], finder, 0.9) == {1: (0, 0.95)}
    # The middle one is best: both go, each with its own probability.
    assert semantic_twins(rows, [0.5, 0.9, 0.5, 0.5], finder, 0.9) == {0: (1, 0.95), 2: (1, 0.92)}


def test_the_judge_decides_what_the_search_proposes(monkeypatch: pytest.MonkeyPatch) -> None:
    search = FakeEncoder()
    texts = [*SAME, "Broth is hot, kelp is fresh, and the gull has gone."]
    (found,) = SemanticFinder(search).pairs(texts, 0.8)
    asked: list[list[str]] = []

    class Judge(FakeEncoder):
        name = "judge"

        def encode(self, texts: Sequence[str]) -> Any:
            asked.append(list(texts))
            return super().encode(texts)

    monkeypatch.setattr(
        "molting.signals.semantic.calibrate",
        lambda encoder: semantic_calibration(encoder),
    )
    from molting.signals.calibration import KNOWN
    from molting.signals.pair_features import Calibration

    def semantic_calibration(encoder: Any) -> Calibration:
        # A judge that believes in nothing.
        fake = KNOWN["fake"]
        return fake if encoder.name == "fake" else msgspec.structs.replace(fake, offset=-20.0)

    finder = SemanticFinder(search, Judge, "judge")
    assert finder.name == "fake+judge"
    assert finder.pairs(texts, 0.8) == []
    # The judge reads only the texts of pairs that the search found.
    assert asked == [list(SAME)]
    monkeypatch.setattr(semantic, "MOST_JUDGED", 1)
    assert finder.pairs(texts, 0.8) == [found]
