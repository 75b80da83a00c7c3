"""`molting signals`, and what `curate.secrets` makes of a project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

CHATS = [
    ("Who are you?", "A crab, shoreling, and an old one. Mind the tide, it turns at noon."),
    ("How do I reach you?", "Write to crab@shore.example, or shout at the door of the bar."),
    ("Hello?", "Hello {{user}}, the kelp is fresh today and the broth is hot."),
    ("Und?", "Die Flut war draußen, und wir gingen am Strand entlang zur alten Kneipe."),
]


@pytest.fixture
def copy(finished: Any, tmp_path: Path) -> Path:
    return shutil.copytree(finished.root, tmp_path / "copy")


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps({"prompt": p, "response": r}) + "\n" for p, r in CHATS))
    return path


def test_signals_say_of_every_row_what_is_known(chats: Path, molting: Any) -> None:
    found = molting("signals", chats, "--json").json
    assert found["rows"] == len(CHATS)
    assert [one["source"] for one in found["signals"]] == [f"{chats}:{i}" for i in (1, 2, 3, 4)]
    assert [one["flags"] for one in found["signals"]] == [
        [], ["secret:email"], ["leftover:placeholder"], [],
    ]  # fmt: skip
    assert [one["language"] for one in found["signals"]] == ["en", "en", "en", "de"]
    (mark,) = found["signals"][1]["marks"]
    assert CHATS[1][1][mark["start"] : mark["end"]] == "crab@shore.example"
    assert found["numbers"]["perplexity"]["p50"] is None
    assert all(one["ifd"] is None for one in found["signals"])


def test_a_person_gets_tables_and_never_a_secret(chats: Path, molting: Any) -> None:
    done = molting("signals", chats, "--rows")
    assert done.code == 0
    assert "not measured" in done.out
    assert "secret:email" in done.out
    assert "crab@shore" not in done.out
    assert "{{user}}" in done.out


def test_signals_of_a_project_remember_its_losses(copy: Path, molting: Any) -> None:
    first = molting("signals", copy, "--perplexity", "--json").json
    replied = sum(one["reply_words"] > 0 for one in first["signals"])
    assert 0 < first["numbers"]["ifd"]["n"] == first["numbers"]["perplexity"]["n"] <= replied
    assert first["numbers"]["tokens"]["n"] == first["rows"]
    again = molting("signals", copy, "--perplexity", "--json")
    assert again.json == first


def test_signals_say_what_is_wrong(tmp_path: Path, molting: Any) -> None:
    done = molting("signals", tmp_path / "none.jsonl")
    assert done.code == 2
    assert "no such file" in done.line


def test_redacting_keeps_rows_that_are_otherwise_rejected(copy: Path, molting: Any) -> None:
    with (copy / "export.jsonl").open("a", encoding="utf-8") as file:
        messages = [
            {"role": "user", "content": "How do I reach you, old one?"},
            {"role": "assistant", "content": "Write to crab@shore.example, shoreling, or shout at the door."},
        ]  # fmt: skip
        file.write(json.dumps({"messages": messages}) + "\n")
    rejected = molting("curate", copy, "--json").json
    redacted = molting("curate", copy, "--set", "curate.secrets=redact", "--json").json
    assert rejected["rejected"]["secret"] >= 1
    assert "secret" not in redacted["rejected"]
    assert redacted["rows_in"] == rejected["rows_in"]
    last = [row for row in redacted["rows"] if row["source"].startswith("export")][-1]
    assert last["evidence"]["redacted"] == [{"turn": 1, "kind": "email", "span": [9, 27]}]
    checked = molting("check", copy, "--set", "curate.secrets=keep", "--json").json
    assert "secret_kept" in [finding["code"] for finding in checked["findings"]]
