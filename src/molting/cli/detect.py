"""`molting detect`: personality detection with a replaceable head over remembered features."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from rich.box import SIMPLE
from rich.table import Table

from molting.cli.console import Terminal, out, print_json
from molting.core.config import Detect
from molting.core.errors import UsageError
from molting.core.progress import Progress
from molting.evaluate.detection.bench import Bench, bench
from molting.evaluate.detection.crossval import Quality, quality
from molting.evaluate.detection.datasets import Dataset, read_dataset
from molting.evaluate.detection.detector import (
    Answer,
    fit_detector,
    load_detector,
    refuse_other,
    save_detector,
)
from molting.evaluate.detection.features import FeatureSettings, Reader, open_reader
from molting.evaluate.detection.heads import HEADS
from molting.evaluate.detection.similar import SimilarReader
from molting.evaluate.detection.task import (
    Task,
    make_task,
    read_sequences,
    sample_windows,
)
from molting.memory.store import Memory
from molting.signals.stats import Estimate


class How(NamedTuple):
    """The flags that train and bench share; None where the default of `Detect` holds."""

    features: str | None
    layer: int | None
    pooling: str | None
    windows: int | None
    seeds: int | None
    types: bool
    rows: int | None
    memory: Path | None


def _options(how: How) -> Detect:
    """The defaults with the flags in them, checked as a configuration is."""
    given = {
        "features": how.features, "layer": how.layer, "pooling": how.pooling,
        "windows": how.windows, "seeds": how.seeds,
    }  # fmt: skip
    try:
        return msgspec.convert(
            {key: value for key, value in given.items() if value is not None}, Detect
        )
    except msgspec.ValidationError as error:
        raise UsageError(str(error).replace(" - at `$.", " (--").replace("`", ")")) from None


def _store(memory: Path | None) -> Memory:
    from molting.models.sources import cache_root

    return Memory(memory or cache_root() / "memory")


@contextlib.contextmanager
def _reader(settings: FeatureSettings, memory: Path | None, progress: Progress) -> Iterator[Reader]:
    with _store(memory) as store:
        yield open_reader(settings, store, progress)


def run_train(file: Path, head: str, to: Path, how: How, masked: bool, as_json: bool) -> None:
    """Measure a head by cross-validation, then fit it and write it."""
    # One round of folds says what to expect in seconds; `bench` is there to compare.
    options = _options(how._replace(seeds=1 if how.seeds is None else how.seeds))
    head = head or options.head
    _refuse_unknown([head])
    refuse_other(to)
    data = read_dataset(file, types=how.types)
    with Terminal() as terminal:
        task = make_task(data, options, masked=masked, rows=how.rows)
        with _reader(_settings(options), how.memory, terminal) as reader:
            sequences = task.sequences(reader)
            read = reader.passes
            found = task.validate_head(head, sequences, options.folds, options.seeds)
            expected = quality(found, task.labels_NK, task.traits, task.groups, options.resamples)
            detector = fit_detector(head, task, sequences, reader, options, 0)
            measured = msgspec.to_builtins(expected) | {
                "folds": options.folds,
                "seeds": options.seeds,
            }
            save_detector(detector, to, measured)
            result = {
                "detector": str(to),
                "head": head,
                "data": data.name,
                "masked": masked,
                "rows": len(task.texts),
                "writers": len(set(task.groups)),
                "features": msgspec.to_builtins(reader.settings),
                "feature_passes": read,
                "head_passes": reader.passes - read,
                "head_seconds": round(found.seconds, 2),
                "cross_validated": measured,
            }
    if as_json:
        print_json(result)
        return
    _print_traits(f"{head} on {data.name}, {options.folds} folds × {options.seeds} seeds", expected)
    out().print(
        f"features: {read} windows went through {reader.settings.model}, the rest was remembered; "
        f"the head took {found.seconds:.1f} s and {result['head_passes']} passes\n"
        f"detector in {to}; next: molting detect predict {to} FILE",
        markup=False,
    )


def run_predict(
    folder: Path, file: Path, memory: Path | None, similar: float | None, as_json: bool
) -> None:
    """Say of every row which class, and how sure; where labels are known, how often it is right."""
    detector = load_detector(folder)
    settings = detector.settings
    types = "type" in settings.traits
    data = read_dataset(file, types=types, need_labels=False)
    options = Detect(window_words=settings.window_words, windows=settings.windows)
    texts = [sample_windows(data, s, options, masked=settings.masked) for s in data.samples]
    with (
        Terminal() as terminal,
        _store(memory) as store,
    ):
        reader = open_reader(settings.features, store, terminal)
        if reader.id != settings.features_id:
            raise UsageError(
                f"{folder}: was trained on other weights of {settings.features.model!r} than the "
                "ones found here; train again"
            )
        approximate = None
        if similar is not None:
            reader = approximate = SimilarReader(reader, store, similar, terminal)
        answers = detector.answers(read_sequences(texts, reader))
    rows = [
        {
            "row": sample.row,
            "answers": {t: msgspec.to_builtins(a) for t, a in answer.items()},
            "labels": {t: sample.labels[t] for t in settings.traits if t in sample.labels} or None,
        }
        for sample, answer in zip(data.samples, answers, strict=True)
    ]
    right = _right(data, answers, list(settings.traits))
    if as_json:
        print_json(
            {
                "detector": str(folder),
                "head": settings.head,
                "trained_on": settings.data,
                "shares": {
                    t: dict(zip(names, settings.shares[t], strict=True))
                    for t, names in settings.traits.items()
                },
                "rows": rows,
                "right": right,
                "similar": approximate.told() if approximate else None,
            }
        )
        return
    table = Table("row", *settings.traits)
    for sample, answer in zip(data.samples, answers, strict=True):
        table.add_row(
            str(sample.row), *(f"{a.named} {a.probability[a.named]:.2f}" for a in answer.values())
        )
    out().print(table)
    for trait, (hits, n) in right.items():
        out().print(f"{trait}: {hits} of {n} as labelled", markup=False)
    told = approximate.told() if approximate else None
    if told:
        error = told["relative_error"]
        known = "not measured" if error["mean"] is None else f"{error['mean']:.3f}"
        if error["low"] is not None:
            known += f" [{error['low']:.3f}, {error['high']:.3f}]"
        out().print(
            f"{told['reused']} of {told['windows']} windows have an earlier, similar one's features "
            f"(cosine at least {told['least_cosine']:g}); relative error {known}, n={error['n']}",
            markup=False,
        )
    out().print(
        "A class is named when its probability stands highest above its share in the training "
        "rows, not above one half.",
        markup=False,
    )


def run_bench(
    files: Sequence[Path], heads: Sequence[str], how: How, masked: bool | None, as_json: bool
) -> None:
    """Every head beside the baselines, with what gives labels away and without."""
    options = _options(how)
    _refuse_unknown(heads)
    sets = [read_dataset(file, types=how.types) for file in files]
    found: list[Bench] = []
    with Terminal() as terminal, _reader(_settings(options), how.memory, terminal) as reader:
        for data in sets:
            for task in _tasks(data, options, masked, how.rows):
                found.append(bench(task, reader, heads or HEADS, options, terminal))
                if not as_json:
                    _print_bench(found[-1])
    if as_json:
        print_json({"folds": options.folds, "seeds": options.seeds, "tasks": found})


def _tasks(data: Dataset, options: Detect, masked: bool | None, rows: int | None) -> list[Task]:
    """Unmasked and masked; one of them where masking changes nothing or one was asked for."""
    plain, covered = (make_task(data, options, masked=m, rows=rows) for m in (False, True))
    if masked is not None:
        return [covered if masked else plain]
    return [plain] if plain.texts == covered.texts else [plain, covered]


def _settings(options: Detect) -> FeatureSettings:
    return FeatureSettings(options.features, options.layer, options.pooling)


def _refuse_unknown(heads: Sequence[str]) -> None:
    for head in heads:
        if head not in HEADS:
            raise UsageError(f"no head {head!r}; one of {', '.join(HEADS)}")


def _right(
    data: Dataset, answers: Sequence[dict[str, Answer]], traits: Sequence[str]
) -> dict[str, tuple[int, int]]:
    """For each trait that is labelled: rows named as labelled, and rows labelled."""
    found = {}
    for trait in traits:
        pairs = [
            (sample.labels[trait], answer[trait].named)
            for sample, answer in zip(data.samples, answers, strict=True)
            if trait in sample.labels
        ]
        if pairs:
            found[trait] = (sum(a == b for a, b in pairs), len(pairs))
    return found


def _print_traits(title: str, found: Quality) -> None:
    table = Table("trait", "macro-F1", "writers", title=title, box=SIMPLE, pad_edge=False)
    for trait, estimate in [*found.traits.items(), ("mean", found.macro_f1)]:
        table.add_row(trait, _interval(estimate), str(estimate.n))
    out().print(table)
    out().print(
        f"calibrated log loss {found.log_loss:.3f} nats (classes' shares alone: "
        f"{found.prior_log_loss:.3f}), calibration error {found.calibration_error:.3f}",
        markup=False,
    )


def _print_bench(found: Bench) -> None:
    """Fits eighty columns; how many writers there are stands in the title."""
    table = Table(
        "", "macro-F1", "over bag of words", "log loss", "ECE", "s",
        title=f"{found.data}{', masked' if found.masked else ''}: {found.rows} rows, "
        f"{found.writers} writers, {found.windows} windows",
        box=SIMPLE, pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    for line in found.lines:
        q = line.quality
        table.add_row(
            line.name,
            _interval(q.macro_f1),
            "" if line.over_words is None else _interval(line.over_words, "+"),
            f"{q.log_loss:.3f}",
            f"{q.calibration_error:.3f}",
            f"{line.seconds:.1f}",
        )
    out().print(table)
    out().print(
        f"features: {found.feature_passes} of {found.windows} windows went through "
        f"{found.features['model']}, {sum(line.passes for line in found.lines)} while heads were "
        f"fitted; log loss of the classes' shares alone: {found.lines[0].quality.prior_log_loss:.3f}",
        markup=False,
    )


def _interval(estimate: Estimate, sign: str = "") -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "not measured"
    return f"{estimate.value:{sign}.2f} [{estimate.low:{sign}.2f}, {estimate.high:{sign}.2f}]"
