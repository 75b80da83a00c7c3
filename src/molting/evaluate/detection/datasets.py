"""Labelled texts from files: who wrote, what was written, which traits are known of the writer.

Formats are told by looking: `{"type": "INFP", "posts": […]}` (MBTI), `{"text", "EXT": 0|1, …}`
(essays), a CSV with `scene_id, text, character, cAGR, …` (Friends), and any JSON lines with
`text` or `posts`, and `label` (a class, or a table of traits).
"""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path
from typing import Any

import msgspec

from molting.core.config import read_text_input
from molting.core.errors import InputError
from molting.evaluate.detection.masks import mask_names, mask_types

MBTI_AXES = {"EI": "IE", "SN": "NS", "TF": "TF", "JP": "PJ"}
BIG_FIVE = ("EXT", "NEU", "AGR", "CON", "OPN")
_AUTHORS = ("author", "user", "group")
_BINARY = {
    "0": "no", "1": "yes", "n": "no", "y": "yes", "no": "no", "yes": "yes", "false": "no",
    "true": "yes",
}  # fmt: skip


class Sample(msgspec.Struct, frozen=True):
    """One writer's text in one row of a file."""

    row: int
    """From 1."""
    pieces: tuple[str, ...]
    """Posts, or one text."""
    group: str
    """Rows of one group never stand on both sides of a split."""
    labels: dict[str, str]
    """Trait → class; a trait that is not known is absent."""
    names: tuple[str, ...] = ()
    """Persons in it, the one judged first."""


class Dataset(msgspec.Struct, frozen=True):
    """All samples of a file, and every trait with its classes."""

    name: str
    kind: str
    samples: tuple[Sample, ...]
    traits: dict[str, tuple[str, ...]]

    def masked(self, text: str, sample: Sample) -> str:
        """`text` of `sample` without what gives the label away; unchanged where nothing is known to."""
        if self.kind == "friends":
            return mask_names(text, sample.names[0], sample.names[1:])
        return text if self.kind == "essays" else mask_types(text)


def read_dataset(file: Path, *, types: bool = False, need_labels: bool = True) -> Dataset:
    """A data set; `types`: the sixteen MBTI types as one trait, not four axes.

    Raises InputError: file, line, what to do.
    """
    text = read_text_input(file)
    if file.suffix.lower() == ".csv":
        kind, samples = _read_csv(file, text)
    else:
        kind, samples = _read_lines(file, text, types)
    if not samples:
        raise InputError("no rows in it", file=file)
    found: dict[str, set[str]] = {}
    for sample in samples:
        for trait, label in sample.labels.items():
            found.setdefault(trait, set()).add(label)
    traits = {trait: tuple(sorted(found[trait])) for trait in sorted(found)}
    if need_labels:
        if not traits:
            raise InputError(
                'no labels in it; give `"label"`: a class, or a table of traits as in '
                '{"label": {"open": true}}',
                file=file,
            )
        for trait, classes in traits.items():
            if len(classes) < 2:
                raise InputError(
                    f"trait {trait}: every row has the class {classes[0]!r}; two are needed",
                    file=file,
                )
    return Dataset(file.stem, kind, tuple(samples), traits)


def _read_lines(file: Path, text: str, types: bool) -> tuple[str, list[Sample]]:
    samples: list[Sample] = []
    kinds: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise InputError(f"not JSON: {error}", file=file, line=number) from None
        if not isinstance(row, dict):
            raise InputError("not a JSON object", file=file, line=number)
        pieces = _pieces(row, file, number)
        kind, labels = _labels(row, types, file, number)
        kinds.add(kind)
        group = next((str(row[key]) for key in _AUTHORS if row.get(key) is not None), f"#{number}")
        samples.append(Sample(number, pieces, group, labels))
    return (kinds.pop() if len(kinds) == 1 else "texts"), samples


def _pieces(row: dict[str, Any], file: Path, number: int) -> tuple[str, ...]:
    posts = row.get("posts", row.get("text"))
    # The MBTI set as Kaggle has it: one string, posts between three bars.
    pieces = posts.split("|||") if isinstance(posts, str) else posts
    if not isinstance(pieces, list) or not all(isinstance(piece, str) for piece in pieces):
        raise InputError(
            "no `text` (a string) and no `posts` (a list of strings)", file=file, line=number
        )
    spoken = tuple(piece.strip() for piece in pieces if piece.strip())
    if not spoken:
        raise InputError("its text is empty", file=file, line=number)
    return spoken


def _labels(
    row: dict[str, Any], types: bool, file: Path, number: int
) -> tuple[str, dict[str, str]]:
    kind = row.get("type")
    if isinstance(kind, str) and re.fullmatch(r"[IE][NS][TF][JP]", kind):
        if types:
            return "mbti", {"type": kind}
        return "mbti", dict(zip(MBTI_AXES, kind, strict=True))
    if any(trait in row for trait in BIG_FIVE):
        known = {t: row[t] for t in BIG_FIVE if row.get(t) is not None}
        return "essays", {t: _class(value, file, number) for t, value in known.items()}
    label = row.get("label")
    if label is None:
        return "texts", {}
    if isinstance(label, dict):
        return "texts", {
            str(trait): _class(value, file, number)
            for trait, value in label.items()
            if value is not None
        }
    return "texts", {"label": _class(label, file, number)}


def _class(value: Any, file: Path, number: int) -> str:
    """A class's name; yes and no however they are written."""
    if not isinstance(value, (str, int)):
        raise InputError(
            f"a label must be a word, true or false, not {value!r}", file=file, line=number
        )
    text = str(value).strip()
    return _BINARY.get(text.lower(), text)


def _read_csv(file: Path, text: str) -> tuple[str, list[Sample]]:
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or "text" not in rows[0]:
        raise InputError("no column `text`", file=file, line=1)
    friends = "character" in rows[0] and "scene_id" in rows[0]
    cast = {row["character"] for row in rows} if friends else set()
    samples = []
    for number, row in enumerate(rows, 1):
        if not (row["text"] or "").strip():
            raise InputError(f"row {number}: its text is empty", file=file)
        if friends:
            samples.append(_scene(row, number, file, cast))
            continue
        label = row.get("label")
        labels = {"label": _class(label, file, number)} if label else {}
        author = next((row[key] for key in _AUTHORS if row.get(key)), f"#{number}")
        samples.append(Sample(number, (row["text"].strip(),), author, labels))
    return ("friends" if friends else "texts"), samples


def _scene(row: dict[str, str], number: int, file: Path, cast: set[str]) -> Sample:
    """What the character says first, then the whole scene; grouped by scene.

    The same scene stands there once for each character judged, so a split by row would test on
    text that was trained on.
    """
    lines = [
        html.unescape(re.sub(r"<[^>]+>", "", part)).strip() for part in row["text"].split("<br>")
    ]
    # The first line only repeats the scene and the name.
    lines = [line for line in lines if line and not re.match(r"s\d+_e\d+_c\d+\(", line)]
    speakers = {match[1] for line in lines if (match := re.match(r"([A-Z][\w.'’ -]{1,30}):", line))}
    own = row["character"]
    said = [line for line in lines if line.startswith(own.split()[0])]
    labels = {
        key.removeprefix("c"): _class(value, file, number)
        for key, value in row.items()
        if key in {f"c{trait}" for trait in BIG_FIVE} and value
    }
    parts = set(own.split())
    # A name may fall in a scene in which its bearer does not speak.
    others = sorted(name for name in cast | speakers if not parts & set(name.split()))
    pieces = (*said, *lines) or (row["text"],)
    return Sample(number, pieces, row["scene_id"], labels, (own, *others))
