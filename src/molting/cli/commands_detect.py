"""Declared here: `molting detect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molting.cli.app import (
    Json,
    detect_app,
)

Features = Annotated[
    str | None,
    typer.Option("--features", help="Base model, or the encoder minilm or static."),
]
Layer = Annotated[
    int | None, typer.Option("--layer", help="Layer of a base model (default: the middle one).")
]
Pooling = Annotated[str | None, typer.Option("--pooling", help="mean, last or max.")]
Windows = Annotated[int | None, typer.Option("--windows", help="Most windows of a writer.")]
Seeds = Annotated[int | None, typer.Option("--seeds", help="Cross-validations with other folds.")]
Rows = Annotated[int | None, typer.Option("--rows", min=1, help="Take a random part of the rows.")]
Types = Annotated[bool, typer.Option("--types", help="MBTI: sixteen types, not four axes.")]
MemoryFolder = Annotated[
    Path | None, typer.Option("--memory", help="Where features are kept (default: the cache).")
]


@detect_app.command("train")
def detect_train(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Labelled texts (.jsonl, .csv).")],
    to: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the detector goes.")],
    head: Annotated[
        str,
        typer.Option("--head", help="logistic, centroid, mlp, gru, lstm, cnn or transformer."),
    ] = "",
    features: Features = None,
    layer: Layer = None,
    pooling: Pooling = None,
    windows: Windows = None,
    seeds: Seeds = None,
    rows: Rows = None,
    types: Types = False,
    masked: Annotated[
        bool, typer.Option("--masked/--unmasked", help="Hide names that give the label away.")
    ] = True,
    memory: MemoryFolder = None,
    as_json: Json = False,
) -> None:
    """Cross-validate a head over frozen features, fit it and write it."""
    from molting.cli.detect import How, run_train

    how = How(features, layer, pooling, windows, seeds, types, rows, memory)
    run_train(file, head, to, how, masked, as_json)


@detect_app.command("predict")
def detect_predict(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A trained detector.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Texts (.jsonl, .csv).")],
    memory: MemoryFolder = None,
    similar: Annotated[
        float | None,
        typer.Option(
            "--similar",
            metavar="COSINE",
            min=0.5,
            max=1,
            help="From this likeness on take an earlier text's features, with the error told "
            "(default: never).",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Name the class of every text, with calibrated probabilities."""
    from molting.cli.detect import run_predict

    run_predict(folder, file, memory, similar, as_json)


@detect_app.command("bench")
def detect_bench(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Labelled texts.")],
    heads: Annotated[
        list[str] | None, typer.Option("--head", help="Only this head; may be given again.")
    ] = None,
    features: Features = None,
    layer: Layer = None,
    pooling: Pooling = None,
    windows: Windows = None,
    seeds: Seeds = None,
    rows: Rows = None,
    types: Types = False,
    masked: Annotated[
        bool | None, typer.Option("--masked/--unmasked", help="Only one of the two.")
    ] = None,
    memory: MemoryFolder = None,
    as_json: Json = False,
) -> None:
    """Compare all heads with length, words and the commonest class, masked and unmasked."""
    from molting.cli.detect import How, run_bench

    how = How(features, layer, pooling, windows, seeds, types, rows, memory)
    run_bench(files, heads or [], how, masked, as_json)
