"""Labelled texts as they are found, and one line for what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from molting.core.errors import InputError
from molting.evaluate.detection.datasets import read_dataset


def lines(file: Path, *rows: Any) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


def test_mbti_is_four_axes_or_sixteen_types(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "m.jsonl",
        {"type": "INFP", "posts": ["one", " ", "two"]},
        {"type": "ESTJ", "posts": "three|||four"},
    )
    data = read_dataset(file)
    assert data.kind == "mbti"
    assert data.samples[0].labels == {"EI": "I", "SN": "N", "TF": "F", "JP": "P"}
    assert [sample.pieces for sample in data.samples] == [("one", "two"), ("three", "four")]
    assert data.traits["EI"] == ("E", "I")
    assert read_dataset(file, types=True).traits == {"type": ("ESTJ", "INFP")}
    assert data.masked("an INFP", data.samples[0]) == "an […]"


def test_essays_have_five_traits_and_nothing_to_mask(tmp_path: Path) -> None:
    traits = dict.fromkeys(("EXT", "NEU", "AGR", "CON", "OPN"))
    file = lines(
        tmp_path / "e.jsonl",
        {"text": "a", **dict.fromkeys(traits, "1")},
        {"text": "b", **dict.fromkeys(traits, 0), "OPN": None},
    )
    data = read_dataset(file, need_labels=False)
    assert data.kind == "essays"
    assert data.samples[0].labels["EXT"] == "yes"
    assert data.samples[1].labels == {"EXT": "no", "NEU": "no", "AGR": "no", "CON": "no"}
    assert data.masked("an INFP", data.samples[0]) == "an INFP"


def test_scenes_are_grouped_and_their_persons_masked(tmp_path: Path) -> None:
    file = tmp_path / "scenes.csv"
    text = '"<b>s01_e01_c01(0) for Ida Bell</b><br><br><b>Ida Bell</b>: Hi &amp; bye, Tom.<br>(Tom nods at Una.)"'
    file.write_text(
        ",scene_id,text,character,cAGR,cCON,cEXT,cOPN,cNEU\n"
        f"0,s1,{text},Ida Bell,1,0,0,0,0\n1,s1,{text},Tom,0,1,1,1,1\n2,s2,{text},Una,0,0,0,0,0\n",
        "utf-8",
    )
    data = read_dataset(file)
    assert data.kind == "friends"
    assert [sample.group for sample in data.samples] == ["s1", "s1", "s2"]
    first = data.samples[0]
    assert first.labels == {"AGR": "yes", "CON": "no", "EXT": "no", "OPN": "no", "NEU": "no"}
    # What the character says comes first, then the whole scene.
    assert first.pieces[:2] == ("Ida Bell: Hi & bye, Tom.",) * 2
    assert data.masked("\n".join(first.pieces[1:]), first) == (
        "SELF: Hi & bye, OTHER.\n(OTHER nods at OTHER.)"
    )


def test_any_texts_with_a_label_or_a_table_of_traits(tmp_path: Path) -> None:
    data = read_dataset(
        lines(
            tmp_path / "t.jsonl",
            {"text": "a", "label": "calm", "author": "x"},
            {"text": "b", "label": {"open": True, "neat": None}, "author": "x"},
            {"text": "c", "label": {"open": False}},
            {"text": "d", "label": "wild"},
        )
    )
    assert data.traits == {"label": ("calm", "wild"), "open": ("no", "yes")}
    assert [sample.group for sample in data.samples] == ["x", "x", "#3", "#4"]
    assert data.samples[1].labels == {"open": "yes"}


def test_a_plain_csv_has_text_and_label(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text('text,label\n"a, b",yes\nc,0\n', "utf-8")
    data = read_dataset(file)
    assert data.traits == {"label": ("no", "yes")}
    assert data.samples[0].pieces == ("a, b",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no rows in it"),
        ("{", "d.jsonl:1: not JSON"),
        ("[1]", "d.jsonl:1: not a JSON object"),
        ('{"words": "a"}', "d.jsonl:1: no `text`"),
        ('{"posts": [1]}', "d.jsonl:1: no `text`"),
        ('{"text": " "}', "d.jsonl:1: its text is empty"),
        ('{"text": "a"}', "no labels in it"),
        ('{"text": "a", "label": [1]}', "d.jsonl:1: a label must be a word"),
        ('{"text": "a", "label": "x"}', "trait label: every row has the class 'x'"),
    ],
)
def test_what_cannot_be_read_is_one_line(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "d.jsonl"
    file.write_text(text, "utf-8")
    with pytest.raises(InputError) as caught:
        read_dataset(file)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
