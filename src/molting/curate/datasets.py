"""A Hugging Face data set as a folder, or by its Hub id: files of rows, never code.

The training split is taken: what the card's `configs` names for it, else files whose name or
folder says `train`, else every file when none names a split.
"""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path, PurePosixPath
from typing import Any

from molting.core.errors import InputError
from molting.curate.formats import ReadFile, rows_to_file
from molting.curate.readers import SUFFIXES, read_rows
from molting.curate.row_keys import Format

_HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_SPLIT = re.compile(
    r"(?:^|[/_.\-])(train|training|validation|valid|val|dev|test|eval)(?=[/_.\-]|$)"
)
_ASIDE = {"dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json"}
"""What `datasets` writes beside the rows."""


def hub_id(spec: str) -> tuple[str, str | None] | None:
    """(`owner/name`, revision) of `owner/name` or `owner/name@revision`; None for anything else."""
    found = _HUB_ID.fullmatch(spec)
    if found is None or PurePosixPath(found["id"]).suffix.lower() in (
        *SUFFIXES,
        ".txt",
        ".zip",
        ".png",
    ):
        return None
    return found["id"], found["revision"]


def is_dataset(folder: Path) -> bool:
    """Whether the folder has files of rows, itself or one or two folders down."""
    return folder.is_dir() and bool(_row_files(folder))


def read_dataset(folder: Path, shown: str) -> ReadFile:
    """The training split of a data set's folder. Every row keeps its own file and row."""
    names = _train_files(folder, shown)
    parts = []
    for name in names:
        where = f"{shown}/{name}"
        parts.append(rows_to_file(list(read_rows(folder / name, where)), where))
    formats: list[Format] = sorted({part.format for part in parts})
    if len(formats) > 1:
        raise InputError(f"its files have different formats: {', '.join(formats)}", file=shown)
    notes = [f"{len(names)} files of the training split: {', '.join(names[:4])}"
             + (" …" if len(names) > 4 else "")]  # fmt: skip
    notes += [note for part in parts for note in part.notes]
    rows = tuple(row for part in parts for row in part.conversations)
    return ReadFile(shown, formats[0], rows, tuple(notes))


def fetch_dataset(name: str, revision: str | None) -> tuple[Path, str]:
    """A data set of the Hub in its cache: (folder, commit). Files of rows only.

    Raises InputError: one line that says why it cannot be reached.
    """
    from huggingface_hub import snapshot_download

    options: dict[str, Any] = {
        "repo_type": "dataset",
        "revision": revision,
        "allow_patterns": [*(f"*{suffix}" for suffix in SUFFIXES), "README.md"],
    }
    try:
        try:
            # A commit that is here already needs no network.
            folder = Path(snapshot_download(name, local_files_only=True, **options))
            if not is_dataset(folder):
                raise FileNotFoundError
        except Exception:
            folder = Path(snapshot_download(name, etag_timeout=10, **options))
    except Exception as error:  # the Hub's client raises many kinds; each is one reason here
        line = (str(error).strip().splitlines() or [""])[0][:160]
        at = f" at {revision}" if revision else ""
        raise InputError(
            f"no such file, and the data set {name}{at} cannot be had from the Hugging Face Hub "
            f"({type(error).__name__}: {line}); download it and give its folder",
        ) from None
    # The snapshot's folder is named after the commit: that pins it.
    return folder, folder.name


def _row_files(folder: Path) -> list[str]:
    found = [
        path.relative_to(folder).as_posix()
        for pattern in ("*", "*/*", "*/*/*")
        for path in folder.glob(pattern)
        if path.suffix.lower() in SUFFIXES
        and path.name not in _ASIDE
        and not path.name.startswith((".", "cache-"))
        and path.is_file()
    ]
    return sorted(found)


def _train_files(folder: Path, shown: str) -> list[str]:
    names = _row_files(folder)
    if not names:
        has = sorted(p.name for p in folder.iterdir())[:6]
        code = " (a data set that is made by code is not run)" if list(folder.glob("*.py")) else ""
        raise InputError(
            f"holds no chat export and no rows ({', '.join(SUFFIXES)}){code}; "
            f"it has: {', '.join(has) or 'nothing'}",
            file=shown,
        )
    declared = _declared(folder, shown)
    if declared is not None:
        found = [name for name in names if any(fnmatch.fnmatch(name, p) for p in declared)]
        if not found:
            raise InputError(
                f"its README names {', '.join(declared)} for training; no such file", file=shown
            )
        return found
    splits = {name: _split(name) for name in names}
    if not any(splits.values()):
        return names
    train = [name for name, split in splits.items() if split == "train"]
    if not train:
        others = ", ".join(sorted({split for split in splits.values() if split}))
        raise InputError(f"has no training split (there is: {others})", file=shown)
    return train


def _split(name: str) -> str | None:
    # The folder decides before the file: train/data-00000-of-00001.arrow.
    for part in PurePosixPath(name.lower()).parts:
        found = _SPLIT.search(part)
        if found:
            return "train" if found[1].startswith("train") else found[1]
    return None


def _declared(folder: Path, shown: str) -> list[str] | None:
    """The patterns of the card's default configuration for `train`, if it has any."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    from huggingface_hub import metadata_load

    try:
        data = metadata_load(card)
    except Exception as error:  # what the YAML reader stumbles over
        line = (str(error).strip().splitlines() or [""])[0]
        raise InputError(
            f"its YAML head cannot be read: {line}", file=f"{shown}/README.md"
        ) from None
    configs = [c for c in (data or {}).get("configs") or [] if isinstance(c, dict)]
    if not configs:
        return None
    config = next(
        (c for c in configs if c.get("default") or c.get("config_name") == "default"), configs[0]
    )
    files = config.get("data_files")
    if isinstance(files, str):
        return [files]
    if isinstance(files, list) and all(isinstance(f, str) for f in files):
        return list(files)
    for entry in files if isinstance(files, list) else []:
        if isinstance(entry, dict) and entry.get("split") == "train":
            path = entry.get("path")
            return [path] if isinstance(path, str) else [str(p) for p in path or []]
    return None
