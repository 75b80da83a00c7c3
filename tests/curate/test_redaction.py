"""`curate.secrets`: what becomes of rows that hold a secret, and that none leaves in the corpus."""

from __future__ import annotations

import json
import random
from pathlib import Path

import msgspec
import pytest

from molting.core.config import Config, Curate, override
from molting.core.conversation import Conversation, Source, Turn
from molting.core.corpus import load_corpus, save_corpus
from molting.curate.pipeline import corpus_id, curate
from molting.curate.redaction import redact_rows
from molting.signals.secrets import find_secrets

WORDS = [
    "harbour",
    "lantern",
    "rope",
    "gull",
    "barrel",
    "tide",
    "compass",
    "anchor",
    "storm",
    "parrot",
    "biscuit",
    "map",
    "chest",
    "island",
    "cannon",
    "sail",
    "deck",
    "rum",
    "fog",
    "whale",
    "moon",
    "coral",
    "shark",
    "oar",
    "plank",
    "mast",
    "keel",
    "crow",
    "wind",
    "wave",
    "shell",
    "pearl",
]


def sentence(seed: int, size: int = 9) -> str:
    return " ".join(random.Random(seed).sample(WORDS, size)) + "."


def row(prompt: str, reply: str, line: int, file: str = "a.jsonl") -> Conversation:
    return Conversation((Turn("user", prompt), Turn("assistant", reply)), Source(file, line))


def rows() -> list[Conversation]:
    """Forty good rows; five hold a secret, two of them differ in nothing else."""
    found = [row(sentence(i, 6), sentence(1000 + i), i + 1) for i in range(40)]
    for i in (3, 11, 12):
        turns = (
            found[i].turns[0],
            Turn("assistant", f"{sentence(i)} Write to a{i}@shore.example."),
        )
        found[i] = Conversation(turns, found[i].source)
    for i, number in ((20, "212-555-0142"), (21, "212-555-0173")):
        found[i] = row(
            "What is your number, mate?", f"Call me at {number}, says the {WORDS[0]} crab.", i + 1
        )
    return found  # fmt: skip


HELD_OUT = [
    row(sentence(500 + i, 6), f"{sentence(600 + i)} Mail b{i}@shore.example.", i + 1, "held.jsonl")
    for i in range(5)
]


def config(secrets: str) -> Config:
    return override(Config(), "curate", secrets=secrets)


def test_rejecting_is_the_default() -> None:
    corpus = curate(rows(), [], Config())
    assert corpus.summary()["rejected"]["secret"] == 5
    assert corpus.id == curate(rows(), [], config("reject")).id


def test_redacted_rows_stay_and_say_what_was_taken_out() -> None:
    given = rows()
    corpus = curate(given, HELD_OUT, config("redact"))
    assert len(corpus.rows) == len(given) + len(HELD_OUT)
    assert len(corpus.kept) + len(corpus.rejected) == len(corpus.rows)
    assert "secret" not in corpus.summary()["rejected"]
    changed = corpus.rows[3]
    assert changed.conversation.reply.endswith("Write to [email].")
    assert changed.conversation.source == given[3].source
    assert changed.verdict.kept
    assert changed.verdict.id == changed.conversation.id != given[3].id
    text = given[3].reply
    at = text.index("a3@")
    assert changed.verdict.evidence["redacted"] == [
        {"turn": 1, "kind": "email", "span": [at, at + len("a3@shore.example")]}
    ]
    assert changed.verdict.evidence["original"] == given[3].id
    assert "redacted" not in corpus.rows[0].verdict.evidence
    held = [r for r in corpus.rows if r.conversation.source.file == "held.jsonl"]
    assert all(r.verdict.kept and "redacted" in r.verdict.evidence for r in held)


def test_rows_that_differ_only_in_a_secret_are_duplicates_without_it() -> None:
    corpus = curate(rows(), [], config("redact"))
    reasons = {corpus.rows[i].verdict.reason for i in (20, 21)}
    assert "exact_duplicate" in reasons
    rejected = next(corpus.rows[i] for i in (20, 21) if not corpus.rows[i].verdict.kept)
    assert rejected.verdict.evidence["redacted"][0]["kind"] == "phone"
    assert "twin" in rejected.verdict.evidence


def test_no_secret_is_written_anywhere(tmp_path: Path) -> None:
    corpus = curate(rows(), HELD_OUT, config("redact"))
    loaded = load_corpus(save_corpus(corpus, tmp_path))
    assert loaded == corpus
    for r in loaded.rows:
        assert all(find_secrets(turn.text) == [] for turn in r.conversation.turns)
        evidence = msgspec.json.encode(r.verdict.evidence).decode()
        assert "shore.example" not in evidence
        assert "555" not in evidence
    manifest = json.loads(next(tmp_path.rglob("manifest.json")).read_text())
    assert "shore.example" not in json.dumps(manifest)


def test_keep_keeps_them_as_they_are() -> None:
    given = rows()
    corpus = curate(given, [], config("keep"))
    assert corpus.rows[3].conversation == given[3]
    assert corpus.rows[3].verdict.kept
    assert "secret" not in corpus.summary()["rejected"]


def test_each_way_is_a_corpus_of_its_own_and_the_same_every_time() -> None:
    ids = [corpus_id(rows(), [], config(way)) for way in ("reject", "redact", "keep")]
    assert len(set(ids)) == 3
    first, second = (curate(rows(), HELD_OUT, config("redact")) for _ in range(2))
    assert first == second


def test_redacting_redacted_rows_changes_nothing() -> None:
    way = Curate(secrets="redact")
    once = redact_rows(rows(), way)
    twice = redact_rows(once.rows, way)
    assert twice.rows == once.rows
    assert twice.evidence == {}


def test_one_conversation_shares_its_placeholders() -> None:
    turns = (
        Turn("user", "I am a@shore.example, he is b@shore.example."),
        Turn("assistant", "Then I write to b@shore.example."),
    )
    (made,) = redact_rows([Conversation(turns, Source("a", 1))], Curate(secrets="redact")).rows
    assert [turn.text for turn in made.turns] == [
        "I am [email], he is [email 2].", "Then I write to [email 2].",
    ]  # fmt: skip


@pytest.mark.parametrize("secrets", ["reject", "keep"])
def test_other_ways_leave_rows_alone(secrets: str) -> None:
    found = redact_rows(rows(), config(secrets).curate)
    assert found.rows == rows()
    assert found.evidence == {}
