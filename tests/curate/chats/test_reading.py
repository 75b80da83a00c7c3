from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from molting.core.errors import InputError
from molting.curate.chats.reading import read_chat
from molting.curate.formats import read_file

DATA = Path(__file__).parents[2] / "data" / "chats"
ROW = '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n'


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("whatsapp_android.txt", "whatsapp"),
        ("whatsapp_ios.txt", "whatsapp"),
        ("telegram.json", "telegram"),
        ("discord.json", "discord"),
        ("slack", "slack"),
        ("script.txt", "script"),
        ("card.json", "character_card"),
    ],
)
def test_the_format_is_recognised_by_what_is_inside(name: str, kind: str, tmp_path: Path) -> None:
    chat = read_chat(DATA / name, name)
    assert chat is not None
    assert chat.format == kind
    if name.endswith(".txt"):
        # By any other name as well.
        other = shutil.copy(DATA / name, tmp_path / "chat.log")
        again = read_chat(Path(other), name)
        assert again is not None
        assert again.threads == chat.threads


@pytest.mark.parametrize("name", ["m.jsonl", "m.json", "m.csv"])
def test_lists_of_messages_in_any_row_file(name: str, tmp_path: Path) -> None:
    rows = [{"author": "Ana", "content": "hi"}, {"author": "Bob", "content": "ho"}]
    text = {
        "m.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        "m.json": json.dumps(rows),
        "m.csv": "author,content\nAna,hi\nBob,ho\n",
    }[name]
    (tmp_path / name).write_text(text)
    chat = read_chat(tmp_path / name, name)
    assert chat is not None
    assert chat.format == "message_list"
    assert [(m.who, m.text) for m in chat.threads[0].messages] == [("Ana", "hi"), ("Bob", "ho")]
    with pytest.raises(InputError, match="`molting import FILE --as NAME` makes rows of it"):
        read_file(tmp_path / name, name)


def test_lines_of_json_with_the_wrong_ending(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text('{"author": "Ana", "content": "hi"}\n{"author": "Bob", "content": "ho"}\n')
    chat = read_chat(path, "m.json")
    assert chat is not None
    assert len(chat.threads[0].messages) == 2
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(json.loads((DATA / "telegram.json").read_text("utf-8"))))
    chat = read_chat(path, "t.jsonl")
    assert chat is not None
    assert chat.format == "telegram"


@pytest.mark.parametrize("name", ["telegram.json", "discord.json", "card.json"])
def test_the_row_readers_send_a_chat_export_to_import(name: str) -> None:
    with pytest.raises(InputError) as error:
        read_file(DATA / name, name)
    assert str(error.value) == (
        f"{name}: is a chat export; `molting import FILE --as NAME` makes rows of it"
    )
    with pytest.raises(InputError, match=r"`molting import FILE --as NAME`"):
        read_file(DATA / "script.txt", "script.txt")


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json"])
def test_rows_are_no_chat(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(ROW)
    assert read_chat(tmp_path / name, name) is None
    (tmp_path / name).write_text(ROW * 3)
    assert read_chat(tmp_path / name, name) is None


@pytest.mark.parametrize("name", ["general", "general/2024-02-28.json"])
def test_one_channel_or_day_of_slack(name: str) -> None:
    chat = read_chat(DATA / "slack" / name, name)
    assert chat is not None
    assert chat.format == "slack"
    assert "Old Finn" in chat.speakers
    first = chat.threads[0].messages[0]
    assert str(first.source) == "slack/general/2024-02-28.json:2"


def test_folders_and_archives_of_other_apps(tmp_path: Path) -> None:
    telegram = tmp_path / "ChatExport_2024-02-28"
    telegram.mkdir()
    shutil.copy(DATA / "telegram.json", telegram / "result.json")
    chat = read_chat(telegram, "export")
    assert chat is not None
    assert str(chat.threads[0].messages[0].source) == "export/result.json:2"
    iphone = tmp_path / "WhatsApp Chat.zip"
    with zipfile.ZipFile(iphone, "w") as archive:
        archive.write(DATA / "whatsapp_ios.txt", "_chat.txt")
        archive.writestr("00001-PHOTO.jpg", b"\xff")
    chat = read_chat(iphone, "w.zip")
    assert chat is not None
    assert (chat.format, chat.file) == ("whatsapp", "w.zip/_chat.txt")
    folder = tmp_path / "unpacked"
    folder.mkdir()
    shutil.copy(DATA / "whatsapp_ios.txt", folder / "_chat.txt")
    chat = read_chat(folder, "unpacked")
    assert chat is not None
    assert chat.format == "whatsapp"
    assert read_chat(tmp_path, "here") is None


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("none.txt", None, "none.txt: no such file"),
        ("a.txt", b"", "a.txt: is empty"),
        ("a.json", b" \n", "a.json: is empty"),
        ("a.txt", b" \n", "a.txt: is empty"),
        ("a.txt", b"only prose\n", "a.txt: unknown format; `molting import` reads WhatsApp .txt"),
        ("a.json", b'{"messages": [{"id": 1,\n "type": "mess', "a.json:2: not valid JSON"),
        ("a.zip", b"PK\3\4 cut", "a.zip: cannot be unpacked: File is not a zip file"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0", "a.png: the PNG image is cut off"),
        ("a.txt", b"\xff\xfe\0", "not UTF-8 text"),
    ],
)
def test_a_bad_file_is_one_line(name: str, raw: bytes | None, told: str, tmp_path: Path) -> None:
    if raw is not None:
        (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError) as error:
        read_chat(tmp_path / name, name)
    assert told in str(error.value)


def test_an_archive_without_channels_says_what_it_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("users.json", "[]")
        archive.writestr("notes.txt", "prose")
    with pytest.raises(InputError, match=r"^a\.zip: holds no Slack export \(no channel folder"):
        read_chat(path, "a.zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", b"\xff")
    with pytest.raises(InputError, match="holds a text that is not UTF-8"):
        read_chat(path, "a.zip")


def test_an_archive_with_a_damaged_member(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("general/2024-01-01.json", "[" + " " * 99 + "]")
    path.write_bytes(path.read_bytes().replace(b" " * 99, b"x" * 99))
    with pytest.raises(InputError, match=r"a\.zip.*cannot be unpacked: Bad CRC-32"):
        read_chat(path, "a.zip")


def test_empty_exports_hold_no_message(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text('{"name": "x", "type": "personal_chat", "id": 1, "messages": []}')
    chat = read_chat(path, "r")
    assert chat is not None
    assert (chat.format, chat.messages) == ("telegram", 0)
    path.write_text('{"guild": {}, "channel": {}, "messages": []}')
    chat = read_chat(path, "r")
    assert chat is not None
    assert (chat.format, chat.messages) == ("discord", 0)
