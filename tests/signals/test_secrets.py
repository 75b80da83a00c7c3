from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.secrets import find_secrets, redact

# Made up; written in pieces, so that no scanner takes this file for a leak.
FAKE = "Ab3" * 12
SECRETS = {
    "private_key": ["-----BEGIN " + "PRIVATE KEY-----", "-----BEGIN RSA " + "PRIVATE KEY-----"],
    "api_key": [
        "sk-" + FAKE,
        "sk-ant-" + FAKE,
        "ghp_" + FAKE,
        "github_pat_" + FAKE,
        "xoxb-" + FAKE,
        "AIza" + FAKE,
        "hf_" + FAKE,
        "glpat-" + FAKE,
        "moltbook_" + FAKE,
    ],
    "aws_key": ["AKIA" + "ABCDEFGH12345678"],
    "jwt": ["eyJ" + FAKE + ".eyJ" + FAKE + "." + FAKE],
    "url_password": ["postgres://crab:shell@db.example.com/tide", "https://me:pw1@example.com/x"],
    "password": [
        "password: hunter22",
        "My password is Deceit#58Moral",
        'passwd="tr0ub4dor"',
        "the PASSPHRASE is correct!horse",
        "api_key = 9f8e7d6c5b",
        "client_secret=Ab3Ab3Ab3Ab3",
        "token: a1b2c3d4e5f6",
    ],
    "email": ["crab@shore.example", "jack.the.crab+tide@mail.shore.example"],
    "card_number": ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009"],
    "phone": [
        "(123) 456-7890",
        "+1 212 555 0199",
        "212-555-0199",
        "212.555.0199",
        "555-0199",
        "+4915112345678",
    ],
    "ip_address": ["10.20.30.40", "192.168.0.17", "8.8.8.8"],
    "home_path": [
        "/home/crab/shells/list.txt",
        "/Users/crab/tide",
        "C:\\Users\\crab\\tide.txt",
        "/root/.ssh/id",
    ],
    "ssn": ["078-05-1120"],
}

SPEECH = [
    "The secret is butter!",
    "My secret? It is patience!!",
    "The secret is *salt*, and more of it.",
    "The secret is _never_ told.",
    "The secret: 3-hour simmering.",
    "A token is all I ask.",
    "The password is swordfish, as ever.",
    "The password: friend!",
    "Password? There is none.",
    "I paid 10 000 000 doubloons, or was it 12.500.000?",
    "1,250,000 coins at 3.50 each",
    "From 1939-1945 I lay on the sea bed.",
    "In 1503, 1504 and 1505 we sailed.",
    "See you at 5 on 2024-05-06, not 06.05.2024.",
    "Room 404, floor 12, bed 3.",
    "It is 1-2-3 and 4-5-6 with you.",
    "Version 1.2.3 of my shell",
    "Section 3.1.4 of the code",
    "There is no place like 127.0.0.1.",
    "He scored 1234567890123 points, or so he says.",
    "ISBN 978-3-16-148410-1 is a dull read.",
    "Look at https://example.com/home/shells and https://example.com/a:b",
    "at home/away games I cheer",
    "We met @ the harbour: crab @ sea.",
    "risk-averse-investors-and-sailors",
    "I asked-and-received-nothing-at-all from him.",
    "Pay me 20 20 20 and we are even.",
    "π is 3.14159265358979",
]


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in SECRETS.items() for text in texts]
)
@pytest.mark.parametrize("frame", ["{}", "Aye, write this down: {}.", "({}) she said"])
def test_a_secret_of_each_kind_is_found_and_goes(kind: str, text: str, frame: str) -> None:
    said = frame.format(text)
    hits = find_secrets(said)
    assert [hit.kind for hit in hits] == [kind]
    found = said[hits[0].start : hits[0].end]
    # Most of the secret, and of the frame no more than a closing mark.
    assert len(text) / 2 <= len(found) <= len(text) + 2
    clean = redact(said)
    assert f"[{kind}]" in clean
    assert find_secrets(clean) == []
    assert found not in clean


@pytest.mark.parametrize("text", SPEECH)
def test_speech_holds_no_secret(text: str) -> None:
    assert [(hit.kind, text[hit.start : hit.end]) for hit in find_secrets(text)] == []
    assert redact(text) == text


def test_all_secrets_of_a_text_are_found_from_left_to_right() -> None:
    text = "Mail crab@shore.example or call 212-555-0199, or ssh 10.20.30.40"
    assert [hit.kind for hit in find_secrets(text)] == ["email", "phone", "ip_address"]
    assert redact(text) == "Mail [email] or call [phone], or ssh [ip_address]"


def test_a_digit_run_without_the_check_digit_is_no_card() -> None:
    assert [hit.kind for hit in find_secrets("4111111111111111")] == ["card_number"]
    assert find_secrets("4111111111111112") == []


PIECES = st.sampled_from([*SPEECH, *(text for texts in SECRETS.values() for text in texts)])


@settings(max_examples=80, deadline=None)
@given(st.lists(PIECES | st.text(max_size=8), max_size=6))
def test_hits_lie_inside_without_overlap_and_redaction_leaves_the_rest(pieces: list[str]) -> None:
    text = " ".join(pieces)
    hits = find_secrets(text)
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)
    assert all(left.end <= right.start for left, right in itertools.pairwise(hits))
    kept = [text[a.end : b.start] for a, b in itertools.pairwise(hits)]
    assert all(piece in redact(text) for piece in kept)
