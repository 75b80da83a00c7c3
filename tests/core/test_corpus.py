from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.artifacts import MANIFEST, read_json
from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.corpus import Corpus, Row, load_corpus, save_corpus
from molting.core.errors import InputError

TEXT = st.text(max_size=12)
EVIDENCE = st.dictionaries(
    st.text(max_size=4),
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(0, 1) | TEXT
    | st.lists(st.integers(0, 9), max_size=2),
    max_size=3,
)  # fmt: skip


@st.composite
def corpus_rows(draw: st.DrawFn) -> Row:
    roles = st.sampled_from(["system", "user", "assistant"])
    turns = tuple(draw(st.lists(st.builds(Turn, roles, TEXT), max_size=3)))
    conversation = Conversation(turns, Source(draw(TEXT), draw(st.integers(1, 10**6))))
    group = draw(st.none() | st.integers(0, 50))
    if draw(st.booleans()):
        verdict = Verdict(conversation.id, True, "selected", draw(EVIDENCE))
        return Row(
            conversation, verdict, draw(st.sampled_from(["train", "validation", "test"])), group
        )
    reason = draw(st.sampled_from(["error", "exact_duplicate", "near_duplicate"]))
    return Row(conversation, Verdict(conversation.id, False, reason, draw(EVIDENCE)), None, group)


@settings(max_examples=40, deadline=None)
@given(st.lists(corpus_rows(), max_size=8))
def test_a_corpus_comes_back_as_it_went(rows: list[Row]) -> None:
    corpus = Corpus("b2:abc", tuple(rows), {"curate": {"seed": 3}}, parent="b2:old")
    with tempfile.TemporaryDirectory() as folder:
        target = save_corpus(corpus, Path(folder))
        assert target == Path(folder) / "b2-abc"
        assert load_corpus(target) == corpus


@settings(max_examples=40, deadline=None)
@given(st.lists(corpus_rows(), max_size=12))
def test_kept_and_rejected_are_what_came_in(rows: list[Row]) -> None:
    corpus = Corpus("x", tuple(rows), {})
    assert len(corpus.kept) + len(corpus.rejected) == len(rows)
    summary = corpus.summary()
    assert summary["rows_in"] == len(rows)
    assert summary["kept"] + sum(summary["rejected"].values()) == summary["rows_in"]
    assert sum(summary["splits"].values()) == summary["kept"]
    assert summary["duplicates"]["exact"] == summary["rejected"].get("exact_duplicate", 0)
    assert summary["duplicates"]["near"] == summary["rejected"].get("near_duplicate", 0)
    # What nobody looked for is unknown, not 0.
    assert summary["duplicates"]["semantic"] is None


def small(reason: str = "error") -> Corpus:
    def row(text: str, line: int) -> Conversation:
        return Conversation((Turn("user", "hi"), Turn("assistant", text)), Source("a.jsonl", line))

    first, second = row("Clack.", 1), row("Error: 500", 2)
    return Corpus(
        "b2:small",
        (
            Row(first, Verdict(first.id, True, "selected"), "train", 0),
            Row(second, Verdict(second.id, False, reason, {"span": [0, 5]})),
        ),
        {},
    )


def test_splits_and_order_are_kept(tmp_path: Path) -> None:
    corpus = load_corpus(save_corpus(small(), tmp_path))
    assert [row.reply for row in corpus.split("train")] == ["Clack."]
    assert corpus.split("test") == ()
    assert [row.conversation.source.line for row in corpus.rows] == [1, 2]


def test_the_manifest_says_why_each_rejected_row_went(tmp_path: Path) -> None:
    manifest = read_json(save_corpus(small(), tmp_path) / MANIFEST)
    assert manifest["verdicts"] == {"1": "error"}
    assert manifest["summary"]["rejected"] == {"error": 1}


def test_a_whole_corpus_is_left_as_it_is(tmp_path: Path) -> None:
    target = save_corpus(small(), tmp_path)
    before = (target / MANIFEST).read_bytes()
    save_corpus(small(reason="boilerplate"), tmp_path)
    assert (target / MANIFEST).read_bytes() == before


@pytest.mark.parametrize("name", ["conversations.parquet", "rejected.parquet"])
def test_a_damaged_or_missing_part_is_refused(tmp_path: Path, name: str) -> None:
    target = save_corpus(small(), tmp_path)
    raw = bytearray((target / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (target / name).write_bytes(raw)
    with pytest.raises(InputError, match=f"{name}: does not match its manifest; delete"):
        load_corpus(target)
    (target / name).unlink()
    with pytest.raises(InputError, match=f"{name}: does not match its manifest; delete"):
        load_corpus(target)


def test_a_folder_without_a_whole_manifest_is_no_corpus(tmp_path: Path) -> None:
    target = save_corpus(small(), tmp_path)
    (target / MANIFEST).write_text('{"id": ')
    with pytest.raises(InputError, match="damaged; delete the corpus folder"):
        load_corpus(target)
    (target / MANIFEST).unlink()
    with pytest.raises(InputError, match="not a whole corpus"):
        load_corpus(target)
