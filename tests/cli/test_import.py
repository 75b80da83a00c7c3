"""`molting import`: chat exports to rows, and every mistake one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent.parent / "data" / "chats"


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_chat_becomes_rows_with_their_place_and_a_project(molting: Any, tmp_path: Path) -> None:
    chat = DATA / "whatsapp_android.txt"
    done = molting("import", chat, "--as", "old", "--to", "out/finn.jsonl", "--json")
    assert done.code == 0, done.err
    assert "whatsapp format, 13 messages, 3 speakers" in done.err
    assert "dates read as day/month/year" in done.err
    told = done.json
    assert (told["persona"], told["conversations"], told["to"]) == ("Old Finn", 2, "out/finn.jsonl")
    assert told["dropped"] == {"deleted": 1, "media": 1, "service": 4}
    assert told["speakers"] == {"Old Finn": 3, "Wanda": 2, "Pip": 2}
    file = told["files"][0]
    assert file["messages"] == file["in_conversations"] + sum(file["dropped"].values())
    first, second = rows(tmp_path / "out/finn.jsonl")
    assert first["source"] == {"file": "whatsapp_android.txt", "line": 3}
    assert second["messages"] == [
        {"role": "user", "content": "The gull again"},
        {"role": "assistant", "content": "That gull owes me a kipper."},
    ]
    made = molting("new", "p", "--name", "Old Finn", "--from", "out/finn.jsonl", "--json")
    assert made.code == 0, made.err


def test_the_words_for_a_person(molting: Any) -> None:
    done = molting("import", DATA / "slack", "--as", "finn")
    assert done.code == 0, done.err
    assert "wrote old-finn.jsonl: 3 conversations, 3 turns of Old Finn, 2 of others" in done.out
    assert "left out 3: stands in a conversation in which the persona says nothing" in done.out
    assert 'next: molting new DIR --name "Old Finn" --from old-finn.jsonl' in done.out


@pytest.mark.parametrize("arguments", [[], ["--as", "nobody"]])
def test_without_a_name_the_speakers_are_listed(
    arguments: list[str], molting: Any, tmp_path: Path
) -> None:
    done = molting("import", DATA / "discord.json", *arguments)
    assert done.code == 2
    assert "speakers: Old Finn (2), Wanda (1)" in done.line
    assert list(tmp_path.iterdir()) == []


def test_a_card_says_itself_who_the_persona_is(molting: Any, tmp_path: Path) -> None:
    done = molting("import", DATA / "card.json", "--json")
    assert done.code == 0, done.err
    assert done.json["persona"] == "Old Finn"
    assert done.json["card"]["voice_does"] == ["gruff", "dry", "fond of gulls"]
    assert len(rows(tmp_path / "old-finn.jsonl")) == 4
    # Beside a chat, the chat's speakers decide.
    more = molting("import", DATA / "card.json", DATA / "script.txt", "--json")
    assert "who is the persona? add --as NAME" in more.line


def test_several_files_are_one_set_of_rows(molting: Any, tmp_path: Path) -> None:
    files = [DATA / "script.txt", DATA / "telegram.json", DATA / "discord.json"]
    done = molting("import", *files, "--as", "OLD FINN", "--to", "all.jsonl", "--json")
    assert done.code == 0, done.err
    assert [f["conversations"] for f in done.json["files"]] == [2, 1, 1]
    assert len(rows(tmp_path / "all.jsonl")) == 4
    assert {r["source"]["file"] for r in rows(tmp_path / "all.jsonl")} == {
        "script.txt", "telegram.json", "discord.json",
    }  # fmt: skip


def test_pause_and_turns_can_be_said(molting: Any) -> None:
    def count(*arguments: object) -> int:
        done = molting(
            "import", DATA / "whatsapp_android.txt", "--as", "finn", "--to", "o.jsonl", "--json",
            *arguments,
        )  # fmt: skip
        assert done.code == 2
        done = molting(
            "import", DATA / "whatsapp_android.txt", "--as", "old finn", "--to", "o.jsonl",
            "--json", *arguments,
        )  # fmt: skip
        assert done.code == 0, done.err
        return int(done.json["conversations"])

    assert count() == 2
    assert count("--pause", 24) == 1
    assert count("--turns", 2) == 3


def test_rows_and_data_sets_are_imported_too(molting: Any, tmp_path: Path) -> None:
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    row = {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "ho"}]}
    lone = {"conversations": [{"from": "human", "value": "hello?"}]}
    (folder / "train.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(lone) + "\n")
    done = molting("import", "set", "--to", "o.jsonl", "--json")
    assert done.code == 0, done.err
    assert (done.json["persona"], done.json["dropped"]) == (None, {"no_persona": 1})
    assert rows(tmp_path / "o.jsonl")[0]["source"] == {"file": "set/data/train.jsonl", "line": 1}
    again = molting("import", folder / "train.jsonl", "--json")
    assert again.json["to"] == "imported.jsonl"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["none.txt"], "none.txt: no such file"),
        ([DATA / "script.txt", "--pause", "0"], "--pause 0: must be more than 0 hours"),
        ([DATA / "script.txt", "--turns", "1"], "--turns 1: must be 2 or more"),
        ([DATA / "script.txt", "--to", "o.csv"], "--to o.csv: the rows are JSON Lines"),
        (["owner/name"], "the data set owner/name cannot be had from the Hugging Face Hub"),
        ([DATA], "chats/card.json: is a chat export; `molting import FILE --as NAME`"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[object], told: str, molting: Any, tmp_path: Path
) -> None:
    done = molting("import", *arguments, *([] if "owner/name" in arguments else ["--as", "w"]))
    assert (done.code, done.out) == (2, "")
    assert told in done.line
    assert list(tmp_path.iterdir()) == []


def test_the_file_that_was_typed_is_the_one_named(molting: Any, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.json").write_text('{"messages": [')
    done = molting("import", "deep/a.json")
    assert done.line.startswith("molting: deep/a.json:1: not valid JSON: ")


def test_no_file_is_lost(molting: Any, tmp_path: Path) -> None:
    (tmp_path / "wanda.jsonl").write_text("mine\n")
    done = molting("import", DATA / "script.txt", "--as", "wanda")
    assert done.line == "molting: wanda.jsonl: exists already; say with --to where to write"
    (tmp_path / "a.jsonl").write_text(
        '{"author": "A", "text": "x"}\n{"author": "B", "text": "y"}\n'
    )
    done = molting("import", "a.jsonl", "--as", "A", "--to", "./a.jsonl")
    assert "is one of the files to read" in done.line
    assert (tmp_path / "wanda.jsonl").read_text() == "mine\n"


def test_a_persona_who_says_nothing_writes_nothing(molting: Any, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"messages": [{"role": "user", "content": "x"}]}\n')
    done = molting("import", "a.jsonl")
    assert "no assistant turn in any of its 1 rows" in done.line


def test_new_sends_a_chat_to_import(molting: Any, tmp_path: Path) -> None:
    for name in ("script.txt", "telegram.json"):
        done = molting("new", tmp_path / "p", "--name", "Finn", "--from", DATA / name)
        assert done.code == 2
        assert "`molting import " in done.line
    assert not (tmp_path / "p").exists()
