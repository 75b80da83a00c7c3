from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from molting.core.errors import InputError
from molting.curate.chats.slack import read_slack, resolve, slack_files

DATA = Path(__file__).parents[2] / "data" / "chats" / "slack"

EXPECTED = {
    "dm-harbour": [("Wanda Tide", "Tea?"), ("Old Finn", "Always.")],
    "general#1709157540.000100": [
        ("Wanda Tide", "Is the lamp lit, @Old Finn? See the log & #general @here"),
        ("Old Finn", "Lit and grumbling."),
        ("Wanda Tide", "Good man."),
    ],
    "general": [
        ("Old Finn", "A wick is a wick."),
        ("Tide bot", "Tide: 3.2 m"),
        ("Pip", "From another crew."),
    ],
}


def test_a_folder_threads_apart_and_each_message_once() -> None:
    chat = read_slack(slack_files(DATA), "slack")
    assert {t.name: [(m.who, m.text) for m in t.messages] for t in chat.threads} == EXPECTED
    assert chat.dropped == {"service": 1, "media": 1, "deleted": 1}
    assert chat.messages == 11
    assert chat.notes == ("2 channels",)
    root = next(t for t in chat.threads if "#" in t.name).messages
    assert [str(m.source) for m in root] == [
        "slack/general/2024-02-28.json:2",
        "slack/general/2024-02-28.json:4",
        "slack/general/2024-02-29.json:1",
    ]
    assert root[0].when == 1709157540.0001
    assert chat.aliases["finn"] == chat.aliases["U1"] == "Old Finn"


@pytest.mark.parametrize("top", ["", "My workspace/"])
def test_a_zip_is_the_same_export(top: str, tmp_path: Path) -> None:
    path = tmp_path / "slack.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in DATA.rglob("*.json"):
            archive.write(file, top + file.relative_to(DATA).as_posix())
        archive.writestr("__MACOSX/general/2024-02-28.json", "junk")
    with zipfile.ZipFile(path) as archive:
        chat = read_slack(slack_files(archive), "slack.zip")
    assert {t.name: [(m.who, m.text) for m in t.messages] for t in chat.threads} == EXPECTED


def test_without_users_the_accounts_are_the_names(tmp_path: Path) -> None:
    (tmp_path / "general").mkdir()
    (tmp_path / "general" / "2024-02-28.json").write_text(
        json.dumps([{"type": "message", "user": "U1", "text": "hi <@U2>", "ts": "1.0"}])
    )
    chat = read_slack(slack_files(tmp_path), "s")
    assert [(m.who, m.text) for m in chat.threads[0].messages] == [("U1", "hi @U2")]
    assert "no users.json" in chat.notes[1]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<@U1|finn> a", "@finn a"),
        ("<https://x.example>", "https://x.example"),
        ("<mailto:a@b.example|a@b.example>", "a@b.example"),
        ("<!subteam^S1|@crew> <!channel>", "@crew @channel"),
        ("a &lt;b&gt; &amp;amp;", "a <b> &amp;"),
        ("3 &lt; 4 :wave:", "3 < 4 :wave:"),
    ],
)
def test_markup_reads_as_a_person_saw_it(text: str, plain: str) -> None:
    assert resolve(text, {}) == plain


def test_a_folder_or_zip_without_day_files_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text("[]")
    assert slack_files(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("general/2024-01-01.json", "[{", "s/general/2024-01-01.json: not valid JSON"),
        ("general/2024-01-01.json", "{}", "s/general/2024-01-01.json: holds no list of messages"),
        ("general/2024-01-01.json", "[3]", "s/general/2024-01-01.json:1: a message must be"),
        ("users.json", "{}", "s/users.json: holds no list of users"),
    ],
)
def test_damaged_files_are_one_line(name: str, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "general").mkdir()
    (tmp_path / "general" / "2024-01-01.json").write_text("[]")
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as error:
        read_slack(slack_files(tmp_path), "s")
    assert str(error.value).startswith(told)
