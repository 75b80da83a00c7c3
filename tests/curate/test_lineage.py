from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.corpus import Corpus, Row, save_corpus, versions
from molting.core.errors import InputError, UsageError
from molting.curate.lineage import KINDS, difference, find_version, recipe_changes, word_diff
from molting.curate.turntext import to_text


def row(
    text: str, line: int = 1, reason: str = "selected", split: str | None = "train", **evidence: Any
) -> Row:
    turns = (Turn("user", "how is the tide"), Turn("assistant", text))
    conversation = Conversation(turns, Source("a.jsonl", line))
    kept = reason in ("selected", "held_out")
    return Row(
        conversation, Verdict(conversation.id, kept, reason, evidence), split if kept else None
    )  # type: ignore[arg-type]


def corpus(*rows: Row, id: str = "b2:x", parent: str | None = None, **recipe: Any) -> Corpus:
    return Corpus(id, rows, recipe, parent)


def test_what_happened_to_each_row() -> None:
    old = row("Low tide, shoreling.", 1)
    new = row("High tide, shoreling.", 1, original=old.conversation.id)
    a = corpus(old, row("stays", 2), row("goes out", 3), row("comes in", 4, "not_selected"),
               row("moves", 5), row("is removed", 6), row("again", 7, "error"))  # fmt: skip
    b = corpus(
        new, row("stays", 2), row("goes out", 3, "rejected_by_reviewer", reviewer="anna"),
        row("comes in", 4), row("moves", 5, "held_out", "test"), row("again", 7, "too_short"),
        row("is new", 8),
    )  # fmt: skip
    found = difference(a, b)
    assert found.counts() == dict.fromkeys(KINDS, 1) | {"unchanged": 1}
    by_kind = {kind: change for change in found.rows for kind in change.kinds}
    edited = by_kind["edited"]
    assert (edited.a, edited.b) == (old, new)
    assert ("-", "Low") in edited.words
    assert ("+", "High") in edited.words
    assert by_kind["kept_to_rejected"].b is not None
    assert by_kind["kept_to_rejected"].b.verdict.evidence == {"reviewer": "anna"}
    shown = by_kind["moved"].as_json()
    assert (shown["a"]["split"], shown["b"]["split"]) == ("train", "test")
    assert by_kind["added"].as_json()["a"] is None
    assert by_kind["removed"].as_json()["b"] is None


def test_the_same_words_on_another_line_or_in_another_file_are_the_same_row() -> None:
    rows = [row("one", 1), row("two", 2), row("two", 3)]
    moved = [row("new", 1), row("one", 2), row("two", 3), row("two", 4)]
    found = difference(corpus(*rows), corpus(*moved))
    assert found.counts() | {"added": 0} == dict.fromkeys(KINDS, 0) | {"unchanged": 3}
    assert found.counts()["added"] == 1


def test_of_equal_rows_the_one_at_the_same_place_is_the_same() -> None:
    a = corpus(row("two", 2, "exact_duplicate"), row("two", 3))
    b = corpus(row("two", 3), row("two", 2, "exact_duplicate"))
    assert difference(a, b).counts()["unchanged"] == 2


def test_a_row_that_was_changed_in_its_file_is_edited_and_another_row_there_is_new() -> None:
    a = corpus(row("The tide waits for nobody.", 1), row("The tide waits for nobody, ever.", 2))
    b = corpus(
        row("The tide waits for everybody.", 1),
        msgspec.structs.replace(
            row("", 2),
            conversation=Conversation(
                (Turn("user", "Zygotic?"), Turn("assistant", "Quince jug.")), Source("a.jsonl", 2)
            ),
        ),
    )
    counts = difference(a, b).counts()
    assert (counts["edited"], counts["added"], counts["removed"]) == (1, 1, 1)


def test_an_edit_that_was_taken_back_leads_back() -> None:
    old = row("Low tide.", 1)
    new = row("High tide.", 1, original=old.conversation.id)
    third = row("No tide.", 1, original=old.conversation.id)
    for a, b in ((new, old), (new, third)):
        (change,) = difference(corpus(a), corpus(b)).rows
        assert change.kinds == ("edited",)


REASON = st.sampled_from(["selected", "held_out", "not_selected", "error"])


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    made = []
    for line in range(1, draw(st.integers(0, 8)) + 1):
        text = draw(st.sampled_from(["one", "two", "three", "the tide is in", "the tide is out"]))
        original = draw(
            st.none() | st.sampled_from([row(t).conversation.id for t in ("one", "two")])
        )
        made.append(
            row(text, line, draw(REASON), draw(st.sampled_from(["train", "test"])),
                **({"original": original} if original else {}))
        )  # fmt: skip
    return corpus(*made)


@given(corpora(), corpora())
def test_every_row_of_both_versions_is_accounted_for_once(a: Corpus, b: Corpus) -> None:
    found = difference(a, b)
    both = sum(change.a is not None and change.b is not None for change in found.rows)
    added = sum(change.a is None for change in found.rows)
    removed = sum(change.b is None for change in found.rows)
    assert found.unchanged + both + added == len(b.rows)
    assert found.unchanged + both + removed == len(a.rows)
    assert all(change.kinds and {*change.kinds} <= set(KINDS) for change in found.rows)
    mine = Counter(id(change.a) for change in found.rows if change.a)
    assert set(mine.values()) <= {1}
    back = difference(b, a)
    assert back.unchanged == found.unchanged
    assert back.counts()["added"] == removed
    same = difference(a, a)
    assert (same.rows, same.unchanged, same.recipe) == ((), len(a.rows), ())


SAID = st.text(alphabet="ab, .\n“”é", max_size=20)


@given(st.lists(SAID, min_size=1, max_size=3), st.lists(SAID, min_size=1, max_size=3))
def test_a_word_diff_holds_both_texts(old: list[str], new: list[str]) -> None:
    before, after = (
        [Turn("user" if n % 2 else "assistant", text) for n, text in enumerate(texts)]
        for texts in (old, new)
    )
    words = word_diff(before, after)
    assert "".join(text for sign, text in words if sign in "=-") == to_text(before)
    assert "".join(text for sign, text in words if sign in "=+") == to_text(after)
    assert all(text for _, text in words)
    assert word_diff(before, before) == (("=", to_text(before)),)


def test_recipe_changes_are_the_keys_that_differ() -> None:
    a = {"curate": {"target": 150, "seed": 0}, "files": {"a.jsonl": 9}}
    b = {"curate": {"target": 100, "seed": 0}, "files": {"a.jsonl": 9, "b.jsonl": 4}}
    told = [str(change) for change in recipe_changes(a, b)]
    assert told == ["curate.target 150 → 100", "files.b.jsonl absent → 4"]
    assert recipe_changes(a, a) == ()


def test_versions_are_numbered_in_the_order_of_making_and_found_by_name_or_id(
    tmp_path: Path,
) -> None:
    for n, id in enumerate(("b2:abc1", "b2:abd2", "b2:0e3"), 1):
        save_corpus(corpus(row("x", n), id=id, parent="b2:abc1" if n > 1 else None), tmp_path)
    save_corpus(corpus(row("x", 1), id="b2:abc1"), tmp_path)
    known = versions(tmp_path)
    assert [(v.name, v.id) for v in known] == [
        ("v1", "b2:abc1"), ("v2", "b2:abd2"), ("v3", "b2:0e3"),
    ]  # fmt: skip
    assert [v.parent for v in known] == [None, "b2:abc1", "b2:abc1"]
    assert known[0].created is not None
    for name, number in (("v2", 2), ("b2:abd2", 2), ("abd", 2), ("b2-0e3", 3), ("0", 3)):
        assert find_version(tmp_path, name).number == number
    with pytest.raises(UsageError, match=r"ab: fits v1 \(b2:abc1\), v2 \(b2:abd2\)"):
        find_version(tmp_path, "ab")
    with pytest.raises(UsageError, match="v9: no such corpus; there are v1, v2, v3"):
        find_version(tmp_path, "v9")
    with pytest.raises(UsageError, match="no corpus yet"):
        find_version(tmp_path / "none", "v1")


def test_numbers_stay_when_an_older_version_is_deleted(tmp_path: Path) -> None:
    for n in (1, 2, 3):
        save_corpus(corpus(id=f"b2:{n}"), tmp_path)
    import shutil

    shutil.rmtree(tmp_path / "b2-1")
    save_corpus(corpus(id="b2:4"), tmp_path)
    assert [v.name for v in versions(tmp_path)] == ["v2", "v3", "v4"]


def test_corpora_from_before_numbers_come_first_and_a_half_written_one_is_none(
    tmp_path: Path,
) -> None:
    save_corpus(corpus(id="b2:old"), tmp_path)
    path = tmp_path / "b2-old" / "manifest.json"
    manifest = msgspec.json.decode(path.read_bytes())
    path.write_bytes(
        msgspec.json.encode({k: v for k, v in manifest.items() if k not in ("version", "created")})
    )
    save_corpus(corpus(id="b2:new"), tmp_path)
    (tmp_path / ".b2-half.xyz.tmp").mkdir()
    (tmp_path / "b2-torn").mkdir()
    known = versions(tmp_path)
    assert [(v.name, v.id, v.created is None) for v in known] == [
        ("v1", "b2:old", True), ("v2", "b2:new", False),
    ]  # fmt: skip
    path.write_text("{")
    with pytest.raises(InputError, match="damaged; delete the corpus folder"):
        versions(tmp_path)
