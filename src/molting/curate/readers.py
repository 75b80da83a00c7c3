"""Files to raw rows: JSONL, JSON, CSV, Parquet, Arrow. Every row keeps its line (or row number)."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from molting.core.config import read_text_input
from molting.core.errors import InputError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")


def read_rows(path: Path, shown: str) -> Iterator[tuple[int, Any]]:
    """Yield (line, row) from 1. Raises InputError: which file, which line, what is wrong."""
    if not path.exists():
        raise InputError("no such file", file=shown)
    if path.is_dir():
        raise InputError("is a folder, not a file", file=shown)
    if path.stat().st_size == 0:
        raise InputError("is empty", file=shown)
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".arrow"):
        yield from _columns(path, shown)
        return
    if suffix not in SUFFIXES:
        raise InputError(
            f"unknown kind of file; Molting reads {', '.join(SUFFIXES)}; a chat export becomes "
            "rows with `molting import FILE --as NAME`",
            file=shown,
        )
    text = read_text_input(path)
    if not text.strip():
        raise InputError("is empty", file=shown)
    if suffix in (".csv", ".tsv"):
        yield from _csv(text, shown, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".json":
        yield from _json(text, shown)
    else:
        yield from _jsonl(text, shown)


def _jsonl(text: str, shown: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, decode_json(line, shown, number)


def decode_json(text: str, shown: str, line: int) -> Any:
    """A JSON value that begins at `line`, or one clear line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not valid JSON: {error.msg} (column {error.colno})",
            file=shown,
            line=line + error.lineno - 1,
        ) from None
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits, brackets thousands deep.
        raise InputError(f"not usable JSON: {error}", file=shown, line=line) from None


def _json(text: str, shown: str) -> Iterator[tuple[int, Any]]:
    try:
        whole = decode_json(text, shown, 1)
    except InputError as error:
        if "Extra data" not in str(error):
            raise
        yield from _jsonl(text, shown)
        return
    if isinstance(whole, dict):
        for key in ("data", "rows", "conversations", "train"):
            value = whole.get(key)
            if isinstance(value, list) and value and not _is_turn(value[0]):
                whole = value
                break
        else:
            whole = [whole]
    if not isinstance(whole, list):
        raise InputError("holds no list of rows", file=shown)
    if whole and _is_turn(whole[0]):
        whole = [{"messages": whole}]
    yield from enumerate(whole, 1)


def _is_turn(value: object) -> bool:
    return isinstance(value, dict) and (
        {"role", "content"} <= value.keys() or {"from", "value"} <= value.keys()
    )


def _csv(text: str, shown: str, delimiter: str) -> Iterator[tuple[int, Any]]:
    # A long reply is no attack: the default field limit is 128 KiB.
    csv.field_size_limit(1 << 24)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next((fields for fields in reader if fields), [])
        nested = [name.strip() in ("messages", "conversations", "conversation") for name in header]
        if len(header) < 2 and not any(nested):
            raise InputError(
                "has no header with at least two columns (such as prompt,response)",
                file=shown,
                line=1,
            )
        # A quoted field may hold line breaks: a row is where it begins, not where it ends.
        line = reader.line_num + 1
        for fields in reader:
            if len(fields) > len(header):
                raise InputError("has more fields than the header", file=shown, line=line)
            if fields:
                yield line, dict(itertools.zip_longest(header, fields))
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"not valid CSV: {error}", file=shown, line=reader.line_num) from None


def _columns(path: Path, shown: str) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa

    kind = "Parquet" if path.suffix.lower() == ".parquet" else "Arrow"
    number = 0
    try:
        for batch in _batches(path):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (pa.ArrowException, OSError) as error:
        line = str(error).strip().splitlines()[0]
        raise InputError(f"not a readable {kind} file: {line}", file=shown) from None
    if not number:
        raise InputError("is empty", file=shown)


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() == ".parquet":
        yield from pq.ParquetFile(path).iter_batches()
        return
    with pa.memory_map(str(path)) as source:
        # `datasets` writes streams; other writers files, which begin with their name.
        if source.read(6) == b"ARROW1":
            reader = pa.ipc.open_file(source)
            yield from (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            source.seek(0)
            yield from pa.ipc.open_stream(source)
