from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.signals.encoding import KINDS, find_damage


def found(text: str) -> list[tuple[str, str]]:
    return [(hit.kind, text[hit.start : hit.end]) for hit in find_damage(text)]


def broken(text: str, encoding: str = "cp1252") -> str:
    return text.encode().decode(encoding, errors="replace")


@pytest.mark.parametrize(
    "good", ["café", "don’t", "“so”", "naïve — yes", "10 °C", "señor", "Übung"]
)
def test_utf8_read_as_another_encoding_is_found(good: str) -> None:
    assert found(good) == []
    assert {kind for kind, _ in found(broken(good))} & {"mojibake", "replacement_character"}
    assert {kind for kind, _ in found(broken(good, "latin-1"))} >= {"mojibake"}


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("replacement_character", "the caf\ufffd is shut", "\ufffd"),
        ("replacement_character", "don??t do it", "??"),
        ("control_character", "the \x07 bell", "\x07"),
        ("html_entity", "Tom &amp; Jerry", "&amp;"),
        ("html_entity", "it&#39;s", "&#39;"),
        ("escaped_character", "it\\u2019s", "\\u2019"),
        ("escaped_character", "Aye.\\n\\nSo be it", "\\n"),
    ],
)
def test_other_damage_is_found_with_its_span(kind: str, text: str, said: str) -> None:
    assert kind in KINDS
    assert (kind, said) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "naïve café, Ça va à l’école, ÆØÅ æøå, Ångström",
        "привет, мир! как дела?", "日本語のテスト", "שלום עולם", "مرحبا بالعالم", "Việt Nam đẹp lắm",
        "🦀 and 👩‍👩‍👧 and ☀️", "R&D at AT&T; what?? really??", "C:\\new\\table", "a\tb\nc",
    ],
)  # fmt: skip
def test_whole_text_has_no_damage(text: str) -> None:
    assert found(text) == []


@given(st.text(max_size=60))
def test_spans_lie_inside_without_overlap(text: str) -> None:
    hits = find_damage(text)
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)
    assert all(left.end <= right.start for left, right in itertools.pairwise(hits))
