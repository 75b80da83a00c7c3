from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from molting.core.project import open_project

ROW = '{"prompt": "Who are you?", "response": "Skerry, shoreling."}\n'


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text(ROW)
    return path


def test_a_new_project_has_the_name_the_target_and_the_files(
    tmp_path: Path, chats: Path, molting: Any
) -> None:
    root = tmp_path / "deep" / "project"
    done = molting(
        "new", root, "--name", 'Skerry "the" Crab', "--target", 7, "--from", chats, "--json"
    )
    assert done.code == 0, done.err
    assert done.json == {
        "project": str(root), "persona": 'Skerry "the" Crab', "files": ["data/chats.jsonl"]
    }  # fmt: skip
    config = open_project(root).config
    assert config.persona.name == 'Skerry "the" Crab'
    assert config.curate.target == 7
    assert (root / "data" / "chats.jsonl").read_text() == ROW
    assert chats.exists()


def test_without_files_it_says_where_to_name_them(tmp_path: Path, molting: Any) -> None:
    done = molting("new", tmp_path / "p", "--name", "Ada")
    assert done.code == 0
    assert "name your chat files under [data]" in done.out.replace("\n", " ")
    assert tomllib.loads((tmp_path / "p" / "molting.toml").read_text())["data"]["files"] == []


def test_the_example_is_copied_whole(tmp_path: Path, example: Path, molting: Any) -> None:
    done = molting("new", tmp_path / "crab", "--example", "skerry", "--json")
    assert done.code == 0, done.err
    assert done.json["persona"] == "Skerry"
    for name in ("molting.toml", "data/export.jsonl", "data/held_out.jsonl"):
        assert (tmp_path / "crab" / name).read_bytes() == (example / name).read_bytes()
    assert not (tmp_path / "crab" / ".molting").exists()


def test_an_existing_project_is_left_as_it_is(tmp_path: Path, chats: Path, molting: Any) -> None:
    root = tmp_path / "p"
    assert molting("new", root, "--name", "Ada").code == 0
    before = (root / "molting.toml").read_bytes()
    for more in (["--name", "Bob", "--from", chats], ["--example", "skerry"]):
        done = molting("new", root, *more)
        assert done.code == 2
        assert done.line == f"molting: {root}/molting.toml: exists already; give another folder"
    assert (root / "molting.toml").read_bytes() == before
    assert list((root / "data").iterdir()) == []


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--name", " "], "a persona needs a name"),
        (["--name", "A", "--target", "0"], "--target 0: must be 1 or more"),
        (["--name", "A", "--from", "none.jsonl"], "none.jsonl: no such file"),
        (["--example", "nobody"], "no such example; there are: skerry"),
        (["--example", "skerry", "--name", "A"], "use it alone"),
    ],
)
def test_nothing_is_made_when_something_is_wrong(
    more: list[str], told: str, tmp_path: Path, molting: Any
) -> None:
    done = molting("new", tmp_path / "p", *more)
    assert done.code == 2
    assert told in done.line
    assert not (tmp_path / "p").exists()


def test_two_files_of_one_name_would_be_one(tmp_path: Path, chats: Path, molting: Any) -> None:
    twin = tmp_path / "more" / chats.name
    twin.parent.mkdir()
    twin.write_text(ROW)
    done = molting("new", tmp_path / "p", "--name", "A", "--from", chats, "--from", twin)
    assert done.code == 2
    assert "two files are called chats.jsonl" in done.line


def test_a_file_where_the_folder_should_be_is_told(chats: Path, molting: Any) -> None:
    done = molting("new", chats, "--name", "A")
    assert done.code == 2
    assert done.line == f"molting: {chats}: is a file; give a folder to make"


CARD = Path(__file__).parent.parent / "data" / "chats" / "card.json"


def test_a_character_card_is_a_persona_and_rows(tmp_path: Path, chats: Path, molting: Any) -> None:
    done = molting("new", tmp_path / "p", "--from", CARD, "--from", chats, "--json")
    assert done.code == 0, done.err
    assert done.json["files"] == ["data/card.jsonl", "data/chats.jsonl"]
    persona = open_project(tmp_path / "p").config.persona
    assert persona.name == done.json["persona"] == "Old Finn"
    assert persona.description.startswith("Old Finn keeps the lamp on the Rock.")
    assert persona.voice_does == ("gruff", "dry", "fond of gulls")
    assert persona.samples[1] == "Did I stutter, User?"
    assert '"Always."' in (tmp_path / "p" / "data" / "card.jsonl").read_text()
    # A name that is given goes first.
    named = molting("new", tmp_path / "q", "--name", "Finn", "--from", CARD, "--json")
    assert named.json["persona"] == "Finn"


def test_two_cards_or_a_card_without_dialogue_are_told(tmp_path: Path, molting: Any) -> None:
    other = tmp_path / "other.json"
    other.write_text(CARD.read_text())
    done = molting("new", tmp_path / "p", "--from", CARD, "--from", other)
    assert "two character cards; a project has one persona" in done.line
    card = {"spec": "chara_card_v2", "data": {"name": "Finn", "first_mes": ""}}
    other.write_text(json.dumps(card))
    done = molting("new", tmp_path / "p", "--from", other)
    assert "the card has no dialogue; bring chat rows with --from" in done.line
    assert not (tmp_path / "p").exists()
