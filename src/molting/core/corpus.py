"""A corpus: one immutable version of a data set, in Parquet, with its manifest.

.molting/corpora/<id>/conversations.parquet    kept rows, each with its split
.molting/corpora/<id>/rejected.parquet         every other row, with reason and evidence
.molting/corpora/<id>/manifest.json            version, parent, recipe, counts; written last
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import msgspec

from molting.core.artifacts import MANIFEST, atomic_folder, file_hash, read_json, write_json
from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.errors import InputError

SplitName = Literal["train", "validation", "test"]
SEMANTIC_TWIN = "semantic_twin"
"""Key in the evidence of a row that says the same as another one in other words, and stays."""


class Row(msgspec.Struct, frozen=True):
    """A conversation in a corpus: its verdict, and for a kept one its split and group."""

    conversation: Conversation
    verdict: Verdict
    split: SplitName | None = None
    group: int | None = None
    """Rows of one group share a prompt or are near-duplicates; a group is never split."""


class Corpus(msgspec.Struct, frozen=True):
    """Rows in the order they came in. `len(kept) + len(rejected) == rows_in`, always."""

    id: str
    rows: tuple[Row, ...]
    recipe: dict[str, Any]
    parent: str | None = None

    def split(self, name: SplitName) -> tuple[Conversation, ...]:
        return tuple(row.conversation for row in self.rows if row.split == name)

    @property
    def kept(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict.kept)

    @property
    def rejected(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.verdict.kept)

    def summary(self) -> dict[str, Any]:
        """The `corpus` object of `molting show --json`."""
        reasons = Counter(row.verdict.reason for row in self.rejected)
        # Reported or rejected: what was found is counted either way.
        semantic = reasons.get("semantic_duplicate", 0) + sum(
            SEMANTIC_TWIN in row.verdict.evidence for row in self.rows
        )
        return {
            "id": self.id,
            "rows_in": len(self.rows),
            "kept": len(self.kept),
            "rejected": dict(sorted(reasons.items())),
            "duplicates": {
                "exact": reasons.get("exact_duplicate", 0),
                "near": reasons.get("near_duplicate", 0),
                # Where no encoder looked, unknown stays unknown.
                "semantic": semantic if self.recipe.get("semantic_encoder") else None,
            },
            "splits": {
                name: sum(row.split == name for row in self.rows)
                for name in ("train", "validation", "test")
            },
        }


class Version(msgspec.Struct, frozen=True):
    """A corpus as the list of versions knows it: what its manifest says, without the rows."""

    number: int
    """1, 2, 3 … in the order in which the corpora of a project were made; shown as `v3`."""
    id: str
    parent: str | None
    created: float | None
    """Seconds since 1970; None for a corpus made before this was noted."""
    recipe: dict[str, Any]
    summary: dict[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        return f"v{self.number}"


class _Manifest(msgspec.Struct, frozen=True):
    id: str
    parent: str | None
    recipe: dict[str, Any]
    summary: dict[str, Any]
    version: int | None = None
    created: float | None = None


def versions(folder: Path) -> list[Version]:
    """Every whole corpus under `folder`, oldest first. A number, once given, stays."""
    found = []
    for path in folder.glob(f"[!.]*/{MANIFEST}"):
        try:
            found.append((path, msgspec.json.decode(path.read_bytes(), type=_Manifest)))
        except msgspec.DecodeError:
            raise InputError(
                "damaged; delete the corpus folder and curate again", file=path
            ) from None
    # Corpora from before versions had numbers came first; among them the older file is the older.
    found.sort(key=lambda item: (item[1].version or 0, item[0].stat().st_mtime_ns, item[1].id))
    return [
        Version(m.version or place, m.id, m.parent, m.created, m.recipe, m.summary, path.parent)
        for place, (path, m) in enumerate(found, 1)
    ]


def save_corpus(corpus: Corpus, folder: Path) -> Path:
    """Write under `folder/<id>`; an existing whole corpus of that id is left as it is.

    The corpus gets the next version number; call it under the project's lock.
    """
    target = folder / corpus.id.replace(":", "-")
    if (target / MANIFEST).exists():
        return target
    known = versions(folder)
    with atomic_folder(target) as temporary:
        _write_rows(temporary / "conversations.parquet", corpus, kept=True)
        _write_rows(temporary / "rejected.parquet", corpus, kept=False)
        write_json(
            temporary / MANIFEST,
            {
                "id": corpus.id,
                "version": known[-1].number + 1 if known else 1,
                "created": time.time(),
                "parent": corpus.parent,
                "recipe": corpus.recipe,
                "summary": corpus.summary(),
                "verdicts": {
                    f"{index}": row.verdict.reason
                    for index, row in enumerate(corpus.rows)
                    if not row.verdict.kept
                },
                "files": {
                    name: file_hash(temporary / name)
                    for name in ("conversations.parquet", "rejected.parquet")
                },
            },
        )
    return target


def load_corpus(target: Path) -> Corpus:
    """Read a corpus back; a missing manifest or a changed file is an error."""
    if not (target / MANIFEST).exists():
        raise InputError("not a whole corpus (no manifest)", file=target)
    try:
        manifest = read_json(target / MANIFEST)
    except msgspec.DecodeError:
        raise InputError(
            "damaged; delete the corpus folder and curate again", file=target / MANIFEST
        ) from None
    indexed: list[tuple[int, Row]] = []
    for name, digest in manifest["files"].items():
        if not (target / name).exists() or file_hash(target / name) != digest:
            raise InputError(
                "does not match its manifest; delete the corpus folder and curate again",
                file=target / name,
            )
        indexed += _read_rows(target / name)
    rows = tuple(row for _, row in sorted(indexed, key=lambda item: item[0]))
    return Corpus(manifest["id"], rows, manifest["recipe"], manifest["parent"])


def _write_rows(path: Path, corpus: Corpus, *, kept: bool) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    chosen = [(i, row) for i, row in enumerate(corpus.rows) if row.verdict.kept == kept]
    turn = pa.struct([("role", pa.string()), ("text", pa.string())])
    table = pa.table(
        {
            "index": pa.array([i for i, _ in chosen], pa.int64()),
            "id": pa.array([row.conversation.id for _, row in chosen], pa.string()),
            "turns": pa.array(
                [msgspec.to_builtins(row.conversation.turns) for _, row in chosen], pa.list_(turn)
            ),
            "file": pa.array([row.conversation.source.file for _, row in chosen], pa.string()),
            "line": pa.array([row.conversation.source.line for _, row in chosen], pa.int64()),
            "split": pa.array([row.split for _, row in chosen], pa.string()),
            "group": pa.array([row.group for _, row in chosen], pa.int64()),
            "reason": pa.array([row.verdict.reason for _, row in chosen], pa.string()),
            "evidence": pa.array(
                [msgspec.json.encode(row.verdict.evidence).decode() for _, row in chosen],
                pa.string(),
            ),
        }
    )
    pq.write_table(table, path, compression="zstd")


def _read_rows(path: Path) -> list[tuple[int, Row]]:
    import pyarrow.parquet as pq

    kept = path.name == "conversations.parquet"
    rows = []
    for item in pq.read_table(path).to_pylist():
        turns = tuple(Turn(turn["role"], turn["text"]) for turn in item["turns"])
        conversation = Conversation(turns, Source(item["file"], item["line"]))
        verdict = Verdict(item["id"], kept, item["reason"], msgspec.json.decode(item["evidence"]))
        rows.append((item["index"], Row(conversation, verdict, item["split"], item["group"])))
    return rows
