from __future__ import annotations

import itertools
import random
import re
import time

import pytest
from benchmarks.planted import FORMATS, plant
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.signals.secrets import KINDS, find_secrets, redact, redact_all

# Turns as people and personas write them, with the numbers that chats are full of.
CARRIERS = [
    "See you at 5, or 5:30 if the tide is late.",
    "I was born in 1987 and moved in 2003, so that makes 16 years at home.",
    "It cost 1,250,000 coins, then 3.50 more, then another 12 for the boat.",
    "lol we scored 21-14 and then 3-0, best week since 2014-2016",
    "Version 2.31.0 broke it, 2.30.4 was fine, and 1.2.3.4 nobody remembers.",
    "Take 2 cups of flour, 3 eggs, 250 g of sugar and bake for 45 min at 180 degrees.",
    "call me at 5 if you get lost, otherwise we meet at noon",
    "my password never works on that site, I gave up",
    "There were 300-500 people there, maybe 10,000 online.",
    "Room 404, floor 12, bed 3, mind the stairs.",
    "He paid $1,299.99 and I paid 20 20 20, three times.",
    "pi is 3.14159265358979 and that is all I know",
    "12345, 54321, 11111: these are passwords? No, those are my lottery numbers.",
    "Aye, the secret is butter, and the token of my love is this shell.",
    "We met on 2024-05-06 at 10:30, not on 06.05.2024.",
    "Genesis 1:1-3 and Psalm 119:105, then chapters 4, 8, 15, 16, 23 and 42.",
    "Mail me some time, or write, or call, I do not mind which.",
    "Section 3.1.4 says so, and so does paragraph 12.",
    "at home/away games I cheer; follow me to the next one",
    "The keys are on the table and the pin is in the map.",
    "I live on a long street near the harbour road, ask anyone.",
    "one two three four five six seven, that is how you count",
    "order 66, apollo 13, catch 22, boeing 747, and 007 of course",
    "ha ha ha\nok bye\nsee you tomorrow",
]

SPEECH = [
    *CARRIERS,
    "The secret is butter!",
    "My secret? It is patience!!",
    "The secret is *salt*, and more of it.",
    "The secret is _never_ told.",
    "The secret: 3-hour simmering.",
    "A token is all I ask.",
    "The password is swordfish, as ever.",
    "The password: friend!",
    "Password? There is none.",
    "my password is very strong, trust me",
    "The password was changed in 2019.",
    "an average password can be found out by hackers pretty quickly",
    "The key is under the mat, the token is in the box.",
    "The key to success is patience and 10000 hours.",
    "I paid 10 000 000 doubloons, or was it 12.500.000?",
    "From 1939-1945 I lay on the sea bed.",
    "In 1503, 1504 and 1505 we sailed.",
    "It is 1-2-3 and 4-5-6 with you.",
    "There is no place like 127.0.0.1.",
    "He scored 1234567890123 points, or so he says.",
    "ISBN 978-3-16-148410-1 is a dull read.",
    "ISBN 0306406152 is another.",
    "Look at https://example.com/home/shells and https://example.com/a:b",
    "https://example.com/watch?v=dQw4w9WgXcQ&t=42 is all you need",
    "We met @ the harbour: crab @ sea.",
    "look at gmail.com and shop at amazon.com",
    "I work at the shop, meet me at example.com's stand",
    "risk-averse-investors-and-sailors",
    "I asked-and-received-nothing-at-all from him.",
    "π is 3.14159265358979323846",
    "110101000101110100101 is binary, and 0011010010110100101 too",
    "99956644665999 and 998877778899 are palindromes, nearly",
    "9998017 * 9997647 is more than 5000000000",
    "the population is 7794798739, give or take",
    "like 100000000 more times, or 1,000,000,000,000",
    "wifi was down from 08:30 to 12:45 on 05-12-2018",
    "The 1970 Plymouth Road Runner is my dream car.",
    "Did you watch 5000 Fingers of Dr. T. at school?",
    "I drank 5 Big Dr Pepper and walked 3 miles down the road.",
    "It was the Spring 2019 collection, size 12.",
    "Shakespeare was baptised on 26 April 1564 in Stratford.",
    "my birthday is in october and yours in may",
    "std::vector and a::b and dead::beef, and the time is 12:30:45",
    "v1.2.3.4 of the firmware, and chapter 10.1.2.3",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8 fixed it",
    "Talking to people actually at this point it is fun.",
    "the lottery: 12 34 56 78 90",
    "call of duty 2, 2009, 2011 and 2019 were the best",
    "We are at mile 300 of 500, then +100 000 000 points!",
    "+1000000 to that, and -5 to him",
    "R2 D2 and C 3PO walked in",
    "B2B SaaS, GPT-4 and the M3 MacBook",
    "one two three four five six seven eight nine",
    "[email] and [phone 2] are gone already, the password is [password].",
    "PC, MAC, xbox, ps4, and mobile",
]


def items(each: int = 2) -> list[tuple[str, str, str, int, int]]:
    """(kind, format, text, start, end) of made-up items in carriers; the same every time."""
    r = random.Random(7)
    made = []
    for kind, group in FORMATS.items():
        for form, make in group.items():
            for _ in range(each):
                item, start, end = plant(make(r))
                words = r.choice(CARRIERS).split(" ")
                at = r.randint(0, len(words))
                head = " ".join([*words[:at], ""]).lstrip(" ")
                tail = " ".join(["", *words[at:]]).rstrip(" ")
                made.append((kind, form, head + item + tail, len(head) + start, len(head) + end))
    return made


PLANTED = items()


def covered(text: str, start: int, end: int) -> bool:
    hits = find_secrets(text)
    return all(
        any(hit.start <= i < hit.end for hit in hits)
        for i in range(start, end)
        if not text[i].isspace()
    )


def test_planted_items_are_found_whole_and_hardly_anything_else() -> None:
    assert len(PLANTED) >= 300
    assert len({kind for kind, *_ in PLANTED}) >= 12
    missed = [(k, f, t) for k, f, t, start, end in PLANTED if not covered(t, start, end)]
    assert len(missed) <= 0.01 * len(PLANTED), missed
    right = wrong = 0
    for _, _, text, start, end in PLANTED:
        for hit in find_secrets(text):
            touches = hit.start < end and start < hit.end
            right, wrong = right + touches, wrong + (not touches)
    assert right / (right + wrong) >= 0.95


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_each_kind_is_called_by_its_name(kind: str) -> None:
    assert kind in KINDS
    mine = [item for item in PLANTED if item[0] == kind]
    named = sum(
        any(h.kind == kind and h.start < end and start < h.end for h in find_secrets(text))
        for _, _, text, start, end in mine
    )
    # A solid run of digits may be one thing or another: a phone number or an identity number.
    assert named >= 0.85 * len(mine)


def test_redaction_leaves_none_of_them_and_a_second_one_changes_nothing() -> None:
    for _, form, text, start, end in PLANTED:
        clean, hits = redact(text)
        assert find_secrets(clean) == [], (form, clean)
        assert redact(clean) == (clean, []), form
        assert redact(text) == (clean, hits), "the same every time"
        if covered(text, start, end) and len(text[start:end]) > 8:
            assert text[start:end] not in clean


@pytest.mark.parametrize("text", SPEECH)
def test_speech_holds_no_secret(text: str) -> None:
    assert [(hit.kind, text[hit.start : hit.end]) for hit in find_secrets(text)] == []
    assert redact(text) == (text, [])


def test_all_secrets_of_a_text_are_found_from_left_to_right() -> None:
    text = "Mail crab@shore.example or call 212-555-0199, or ssh 10.20.30.40"
    clean, hits = redact(text)
    assert [hit.kind for hit in hits] == ["email", "phone", "ip_address"]
    assert [text[hit.start : hit.end] for hit in hits] == [
        "crab@shore.example", "212-555-0199", "10.20.30.40",
    ]  # fmt: skip
    assert clean == "Mail [email] or call [phone], or ssh [ip_address]"


def test_a_label_stays_and_only_what_it_names_goes() -> None:
    assert redact("my password is hunter22, my PIN is 4821.").text == (
        "my password is [password], my PIN is [password 2]."
    )


def test_the_same_secret_has_the_same_placeholder_in_a_conversation() -> None:
    texts = [
        "I am crab@shore.example and this is gull@shore.example",
        "Hello CRAB@shore.example! Shall I write to gull@shore.example or to 212-555-0199?",
        "(212) 555-0199 is better.",
    ]
    assert [clean.text for clean in redact_all(texts)] == [
        "I am [email] and this is [email 2]",
        "Hello [email]! Shall I write to [email 2] or to [phone]?",
        "[phone] is better.",
    ]


def test_a_placeholder_that_is_there_already_is_not_given_to_another() -> None:
    assert redact("[email] knows [email 4], and crab@shore.example").text == (
        "[email] knows [email 4], and [email 5]"
    )


def test_a_private_key_goes_whole_even_when_it_is_cut_off() -> None:
    head = "-----BEGIN RSA " + "PRIVATE KEY-----"
    lines = ["Ab3" * 21 + "x"] * 4
    whole = "\n".join([head, *lines, "-----END RSA " + "PRIVATE KEY-----"])
    assert redact(f"Here:\n{whole}\nKeep it.").text == "Here:\n[private_key]\nKeep it."
    cut = "\n".join([head, *lines])
    assert redact(f"Here:\n{cut}\n\nKeep it.").text == "Here:\n[private_key]\n\nKeep it."


def test_what_a_find_hides_is_found_as_well() -> None:
    # The digits before a card must not hide it, and two finds side by side stay two.
    assert redact("I paid 20 4111 1111 1111 1111 20 times").text.count("[card_number]") == 1
    assert "1111" not in redact("I paid 20 4111 1111 1111 1111 20 times").text
    assert redact("a@shore.example,b@shore.example").text == "[email],[email 2]"


@pytest.mark.parametrize("digits", ["4111111111111111", "4111 1111 1111 1111"])
def test_a_digit_run_without_the_check_digit_is_no_card(digits: str) -> None:
    assert [hit.kind for hit in find_secrets(digits)] == ["card_number"]
    assert find_secrets(digits[:-1] + "2") == []


PIECES = st.sampled_from([*SPEECH, *(text for _, _, text, _, _ in PLANTED[::3])])
SCRAPS = st.text(max_size=12) | st.text("0123456789+-(). :/@ab[]", max_size=30) | PIECES


@settings(max_examples=150, deadline=None)
@given(st.lists(SCRAPS, max_size=4))
def test_laws_of_finding_and_redaction(pieces: list[str]) -> None:
    text = " ".join(pieces)
    clean, hits = redact(text)
    assert all(0 <= hit.start < hit.end <= len(text) for hit in hits)
    assert all(left.end <= right.start for left, right in itertools.pairwise(hits))
    assert hits == find_secrets(text)
    assert find_secrets(clean) == []
    assert redact(clean).text == clean
    # What lies between the finds is untouched, in order.
    kept, at = [], 0
    for hit in hits:
        kept.append(text[at : hit.start])
        at = hit.end
    pattern = r"\[[a-z_]+(?: \d+)?\]".join(map(re.escape, [*kept, text[at:]]))
    assert re.fullmatch(pattern, clean)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 20000, "1 " * 8000, "password " * 3000, "@" * 8000, "a.b" * 5000, "x@" * 6000,
        "Ab3" * 6000, "0 1-2(3)" * 2000, "/home/" * 3000, "C:\\Users\\a b" * 1500, "key=" * 4000,
        "-----BEGIN PRIVATE KEY-----" * 300, "12 Main Street " * 800, "one two " * 3000, ":" * 5000,
        "seed phrase is abc abc abc abc abc abc " * 300, "A" * 40 + " is " * 3000, "1.2.3.4." * 2000,
    ],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()
    find_secrets(text)
    assert time.process_time() - begun < 4
