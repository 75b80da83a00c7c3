from __future__ import annotations

import random

import pytest

from molting.core.config import Config, override
from molting.core.conversation import Conversation, Source, Turn
from molting.core.corpus import Corpus
from molting.curate.explanation import explain
from molting.curate.pipeline import curate

WORDS = (
    "harbour", "lantern", "rope", "gull", "barrel", "tide", "compass", "anchor", "storm", "parrot",
    "biscuit", "map", "chest", "island", "cannon", "sail", "deck", "rum", "fog", "whale", "moon",
    "coral", "shark", "oar", "plank", "mast", "keel", "crow", "wind", "wave", "shell", "pearl",
)  # fmt: skip


def sentence(seed: int, size: int) -> str:
    return " ".join(random.Random(seed).sample(WORDS, size)) + "."


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    rows = [
        Conversation(
            (Turn("user", sentence(i, 6)), Turn("assistant", sentence(1000 + i, 4 + i % 20))),
            Source("a.jsonl", i + 1),
        )
        for i in range(60)
    ]
    return curate(rows, [], override(Config(), "curate", target=20))


def test_every_row_that_could_be_taken_is_explained(corpus: Corpus) -> None:
    found = explain(corpus)
    assert found.selector == "quality"
    assert [row.rank for row in found.taken] == list(range(1, 21))
    others = sum(row.verdict.reason == "not_selected" for row in corpus.rows)
    assert len(found.left_out) == others
    scores = [row.score for row in found.left_out]
    assert scores == sorted(scores, reverse=True)
    assert {row.rank for row in found.left_out} == {None}
    for row in (*found.taken, *found.left_out):
        assert row.because
        assert {"voice", "in_voice", "substance", "fluent", "relevance"} <= set(row.parts)


def test_topics_add_up_to_the_rows(corpus: Corpus) -> None:
    found = explain(corpus)
    assert sum(topic.taken for topic in found.topics) == 20
    assert sum(topic.rows for topic in found.topics) == 20 + len(found.left_out)
    assert all(topic.taken <= topic.rows for topic in found.topics)


def test_a_row_that_lost_on_its_score_is_told_so(corpus: Corpus) -> None:
    found = explain(corpus)
    lowest = min(row.score for row in found.taken)
    worst = found.left_out[-1]
    assert worst.score < lowest
    assert f"score {worst.score:.2f}, the lowest taken has {lowest:.2f}; weakest: " in worst.because


def test_the_best_few_can_be_asked_for(corpus: Corpus) -> None:
    few, everything = explain(corpus, 3), explain(corpus)
    assert (few.taken, few.left_out) == (everything.taken[:3], everything.left_out[:3])
    assert few.topics == everything.topics
