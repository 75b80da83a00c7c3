"""`molting duplicates --pairs`: text pairs in, one score a row out, so that anyone can check the
measure on labelled data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from molting.cli.console import Terminal, print_json
from molting.core.config import Config, read_text_input
from molting.core.errors import InputError, UsageError
from molting.core.progress import Progress
from molting.core.project import CONFIG_FILE, open_project

if TYPE_CHECKING:
    from molting.models.base import LoadedModel
    from molting.models.vectors import Encoder

DEFAULT_ENCODER = "minilm"
_HEADERS = {
    ("left", "right"), ("text1", "text2"), ("text_1", "text_2"), ("text_a", "text_b"),
    ("sentence1", "sentence2"), ("sentence_1", "sentence_2"),
    ("question1", "question2"), ("first", "second"),
}  # fmt: skip


def run_pairs(
    file: Path, encoder_name: str, threshold: float | None, as_json: bool, folder: Path | None
) -> None:
    from molting.signals.semantic import THRESHOLD, pair_scores

    lines, left, right = read_pairs(file)
    limit = THRESHOLD if threshold is None else threshold
    with Terminal() as terminal:
        encoder = encoder_for(encoder_name or DEFAULT_ENCODER, folder, terminal)
        terminal.say(f"{file}: {len(lines)} pairs, encoder {encoder.name}")
        scores = pair_scores(left, right, encoder)
    rows = [
        {"line": line, "score": round(float(score), 6), "duplicate": bool(score >= limit)}
        for line, score in zip(lines, scores, strict=True)
    ]
    if as_json:
        print_json({"encoder": encoder.name, "threshold": limit, "pairs": rows})
        return
    out = ["line\tscore\tduplicate"]
    out += [
        f"{row['line']}\t{row['score']:.4f}\t{'yes' if row['duplicate'] else 'no'}" for row in rows
    ]
    sys.stdout.write("\n".join(out) + "\n")


def read_pairs(file: Path) -> tuple[list[int], list[str], list[str]]:
    """(line numbers, left texts, right texts) of a two-column tab-separated file.

    A first line that names the columns is left out; blank lines are none. Any other row that is
    not two columns is an error that names the line.
    """
    lines: list[int] = []
    left: list[str] = []
    right: list[str] = []
    # Only line feeds end a row: a text may hold the other characters that splitlines() breaks at.
    for number, line in enumerate(read_text_input(file).split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != 2:
            raise InputError(
                f"{len(cells)} column{'s' if len(cells) > 1 else ''}, expected two texts with one "
                "tab between them",
                file=file,
                line=number,
            )
        if not lines and (cells[0].strip().lower(), cells[1].strip().lower()) in _HEADERS:
            continue
        lines.append(number)
        left.append(cells[0])
        right.append(cells[1])
    if not lines:
        raise InputError("no pairs in it; give two columns, tab-separated", file=file)
    return lines, left, right


def encoder_for(name: str, folder: Path | None, progress: Progress) -> Encoder:
    """The encoder; within a project with its memory, and with its base model for `trainee`."""
    from molting.models.encoders import load_encoder

    inside = folder is not None and (folder.name == CONFIG_FILE or (folder / CONFIG_FILE).is_file())
    if not inside or folder is None:
        return load_encoder(name, progress=progress)
    project = open_project(folder)
    base = None
    if name.partition(":")[0] == "trainee":
        base = _trainee(project.config, progress)
    from molting.memory.embeddings import Remembered
    from molting.memory.store import project_memory

    return Remembered(load_encoder(name, base, progress), project_memory(project))


def _trainee(config: Config, progress: Progress) -> LoadedModel:
    from molting.models.base import load_model
    from molting.models.machine import choose_dtype
    from molting.models.sources import find_model

    source = find_model(config.base.model, config.base.revision, progress)
    return load_model(source, choose_dtype(config.base.dtype))


def refuse_alone(pairs: Path | None, semantic: bool, encoder: str, limit: float | None) -> None:
    """An option without what it belongs to would be ignored silently."""
    if pairs is None and not semantic and encoder:
        raise UsageError("--encoder goes with --semantic, or with --pairs FILE")
    if not semantic and limit is not None:
        raise UsageError("--semantic-threshold goes with --semantic")
