from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from molting.core.errors import InputError
from molting.curate.datasets import fetch_dataset, hub_id, is_dataset, read_dataset


def row(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": text}]}


def write(path: Path, *texts: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row(text) for text in texts]
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".arrow":
        table = pa.Table.from_pylist(rows)
        make = pa.ipc.new_file if path.stem == "file" else pa.ipc.new_stream
        with pa.OSFile(str(path), "wb") as sink, make(sink, table.schema) as writer:
            writer.write_table(table)
    else:
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def replies(folder: Path) -> list[str]:
    return [c.reply for c in read_dataset(folder, "set").conversations]


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet",
          "data/test-00000-of-00001.parquet"], ["0", "1"]),
        (["train.jsonl", "validation.jsonl"], ["0"]),
        (["train/data-00000-of-00001.arrow", "test/data-00000-of-00001.arrow"], ["0"]),
        (["data-00000-of-00001.arrow"], ["0"]),
        (["file.arrow"], ["0"]),
        (["a.jsonl", "b.jsonl"], ["0", "1"]),
        (["en/train/part.parquet", "en/test/part.parquet"], ["0"]),
    ],
)  # fmt: skip
def test_the_training_split_of_a_folder(files: list[str], found: list[str], tmp_path: Path) -> None:
    for place, name in enumerate(files):
        write(tmp_path / name, str(place))
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "README.md").write_text("# A set\n")
    (tmp_path / "made.py").write_text("raise SystemExit('never run')\n")
    assert is_dataset(tmp_path)
    assert replies(tmp_path) == found


def test_rows_keep_their_file_and_row(tmp_path: Path) -> None:
    write(tmp_path / "data/train-0.parquet", "a", "b")
    write(tmp_path / "data/train-1.parquet", "c")
    made = read_dataset(tmp_path, "set")
    assert [str(c.source) for c in made.conversations] == [
        "set/data/train-0.parquet:1", "set/data/train-0.parquet:2", "set/data/train-1.parquet:1",
    ]  # fmt: skip
    assert made.format == "messages"
    assert made.notes[0].startswith("2 files of the training split: data/train-0.parquet")


@pytest.mark.parametrize(
    "config",
    [
        "data_files: chats/*.jsonl",
        "data_files: [chats/a.jsonl]",
        "data_files:\n  - split: test\n    path: other.jsonl\n  - split: train\n    path: chats/a.jsonl",
        "data_files:\n  - split: train\n    path: [chats/a.jsonl]",
    ],
)
def test_the_card_says_which_files_train(config: str, tmp_path: Path) -> None:
    write(tmp_path / "chats/a.jsonl", "yes")
    write(tmp_path / "other.jsonl", "no")
    body = config.replace("\n", "\n    ")
    (tmp_path / "README.md").write_text(
        f"---\nconfigs:\n  - config_name: other\n    data_files: none.jsonl\n"
        f"  - config_name: default\n    {body}\n---\n# A set\n"
    )
    assert replies(tmp_path) == ["yes"]


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    def told() -> str:
        with pytest.raises(InputError) as error:
            read_dataset(tmp_path, "set")
        return str(error.value)

    assert told().startswith("set: holds no chat export and no rows (")
    assert told().endswith("it has: nothing")
    (tmp_path / "set.py").write_text("")
    assert "(a data set that is made by code is not run)" in told()
    write(tmp_path / "test.jsonl", "x")
    assert told() == "set: has no training split (there is: test)"
    write(tmp_path / "train.jsonl", "x")
    (tmp_path / "train2.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    (tmp_path / "train2.jsonl").rename(tmp_path / "train-2.jsonl")
    assert told() == "set: its files have different formats: messages, pairs"
    (tmp_path / "README.md").write_text("---\nconfigs:\n- data_files: none-*.parquet\n---\n")
    assert told() == "set: its README names none-*.parquet for training; no such file"
    (tmp_path / "README.md").write_text("---\nconfigs: [\n---\n")
    assert told().startswith("set/README.md: its YAML head cannot be read: ")


def test_a_damaged_arrow_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train.arrow").write_bytes(b"no arrow at all")
    with pytest.raises(InputError, match=r"^set/train\.arrow: not a readable Arrow file: "):
        read_dataset(tmp_path, "set")


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ("owner/name", ("owner/name", None)),
        ("owner/name@abc123", ("owner/name", "abc123")),
        ("owner/name@refs/convert/parquet", ("owner/name", "refs/convert/parquet")),
        ("folder/chats.jsonl", None),
        ("folder/chat.txt", None),
        ("name", None),
        ("./a/b", None),
        ("a/b/c", None),
    ],
)
def test_what_is_a_hub_id(spec: str, found: object) -> None:
    assert hub_id(spec) == found


def test_the_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> str:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(InputError) as error:
        fetch_dataset("owner/name", "v1")
    assert str(error.value) == (
        "no such file, and the data set owner/name at v1 cannot be had from the Hugging Face Hub "
        "(ConnectionError: no route); download it and give its folder"
    )


def test_a_commit_that_is_here_needs_no_network_and_brings_no_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "snapshots" / "0123abc"
    write(folder / "data/train-0.parquet", "a")
    asked: list[dict[str, Any]] = []

    def download(name: str, **options: Any) -> str:
        asked.append(options)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert fetch_dataset("owner/name", None) == (folder, "0123abc")
    assert len(asked) == 1
    assert asked[0]["local_files_only"] is True
    assert asked[0]["repo_type"] == "dataset"
    assert not any("py" in pattern for pattern in asked[0]["allow_patterns"])
