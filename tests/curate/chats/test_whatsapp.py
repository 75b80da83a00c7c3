from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.core.conversation import Source
from molting.core.errors import InputError
from molting.curate.chats.notices import words_of
from molting.curate.chats.record import Message
from molting.curate.chats.whatsapp import looks_like_whatsapp, read_whatsapp
from molting.curate.chats.whatsapp_dates import STYLES, moment, order_of, stamp_of

DATA = Path(__file__).parents[2] / "data" / "chats"


def said(name: str) -> list[tuple[str, str, int]]:
    chat = read_whatsapp((DATA / name).read_text("utf-8"), name)
    return [(m.who, m.text, m.source.line) for m in chat.threads[0].messages]


def at(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


def test_android_messages_keep_their_lines_and_lose_what_the_app_wrote() -> None:
    assert said("whatsapp_android.txt") == [
        ("Wanda", "Is the lamp lit?", 3),
        (
            "Old Finn",
            "Lit, trimmed and grumbling.\n\nIt wants a new wick: the third this month.",
            4,
        ),
        ("Pip", "I saw it from the ferry! 🚢", 8),
        ("Wanda", "Me too @Old Finn", 9),
        ("Old Finn", "Then it works.", 11),
        ("Pip", "The gull again", 13),
        ("Old Finn", "That gull owes me a kipper.", 15),
    ]


def test_android_counts_what_it_drops_by_reason() -> None:
    chat = read_whatsapp((DATA / "whatsapp_android.txt").read_text("utf-8"), "a")
    assert chat.dropped == {"service": 4, "media": 1, "deleted": 1}
    assert chat.messages == 13
    assert chat.notes == ("dates read as day/month/year",)
    assert chat.threads[0].messages[1].when == at(2024, 2, 28, 22, 0)


def test_an_iphone_marks_its_own_words_whatever_the_language() -> None:
    assert said("whatsapp_ios.txt") == [
        ("Wanda", "Is the lamp lit?", 2),
        ("Old Finn", "Lit, trimmed and grumbling.\nIt wants a new wick.", 3),
        ("Wanda", "The new wick", 6),
        ("Old Finn", "That wick is for a toy lamp.", 11),
    ]
    chat = read_whatsapp((DATA / "whatsapp_ios.txt").read_text("utf-8"), "a")
    assert chat.dropped == {"service": 2, "media": 3, "deleted": 1}
    times = [m.when for m in chat.threads[0].messages]
    assert times[0] == at(2024, 2, 28, 21, 59, 10)
    # Five past midnight is not five past noon.
    assert times[-1] == at(2024, 3, 1, 0, 5)


@pytest.mark.parametrize(
    ("head", "when"),
    [
        ("31/12/2023, 23:59 - ", (2023, 12, 31, 23, 59)),
        ("31.12.23, 23:59 - ", (2023, 12, 31, 23, 59)),
        ("31-12-2023 23:59 - ", (2023, 12, 31, 23, 59)),
        ("12/31/23, 11:59 PM - ", (2023, 12, 31, 23, 59)),
        ("12/31/23, 12:01\u202fam - ", (2023, 12, 31, 0, 1)),
        ("31/12/23, 11:59 p. m. - ", (2023, 12, 31, 23, 59)),
        ("2023/12/31, 23:59 - ", (2023, 12, 31, 23, 59)),
        ("2023-12-31, 11:59 p.m. - ", (2023, 12, 31, 23, 59)),
        ("2023. 12. 31. 23:59 - ", (2023, 12, 31, 23, 59)),
        ("31/12/2023 às 23:59 - ", (2023, 12, 31, 23, 59)),
        ("[31/12/2023, 23:59:07] ", (2023, 12, 31, 23, 59, 7)),
        ("\u200e[31.12.2023 klo 23.59.07] ", (2023, 12, 31, 23, 59, 7)),
        ("[2023/12/31 下午11:59:07] ", (2023, 12, 31, 23, 59, 7)),
        ("[23:59, 31/12/2023] ", (2023, 12, 31, 23, 59)),
        ("[11:59 PM, 12/31/2023] ", (2023, 12, 31, 23, 59)),
    ],
)
def test_the_heads_of_many_phones(head: str, when: tuple[int, ...]) -> None:
    text = f"{head}Old Finn: Lit.\n{head}Wanda: So: good.\n"
    assert looks_like_whatsapp(text)
    found = read_whatsapp(text, "a").threads[0].messages
    assert [(m.who, m.text) for m in found] == [("Old Finn", "Lit."), ("Wanda", "So: good.")]
    assert [m.when for m in found] == [at(*when)] * 2


def order(lines: list[str]) -> tuple[str, bool]:
    found = [STYLES["android"].fullmatch(line + " - A: b") for line in lines]
    return order_of([stamp_of(m) for m in found if m])


def test_the_order_of_day_and_month_is_the_whole_files() -> None:
    assert order(["01/02/2024, 10:00", "02/13/2024, 10:00"]) == ("month/day/year", True)
    assert order(["01/02/2024, 10:00", "13/02/2024, 10:00"]) == ("day/month/year", True)
    # Both fit: a chat of three days is likelier than one of three months.
    assert order(["01/02/2024, 10:00", "02/02/2024, 10:00"]) == ("day/month/year", False)
    assert order(["02/01/2024, 10:00", "02/02/2024, 10:00"]) == ("month/day/year", False)
    # Time goes forward: the second reading would go back by a month.
    assert order(["01/03/2024, 10:00", "12/03/2024, 9:00", "01/04/2024, 9:00"])[0] == (
        "day/month/year"
    )
    # Nothing tells: the clock does.
    assert order(["02/02/24, 10:00 PM"]) == ("month/day/year", False)
    assert order(["02/02/24, 22:00"]) == ("day/month/year", False)


def test_an_impossible_date_leaves_the_time_unknown() -> None:
    found = STYLES["android"].fullmatch("31/02/2024, 10:00 - A: b")
    assert found is not None
    assert moment(stamp_of(found), "day/month/year") is None
    late = STYLES["android"].fullmatch("01/02/2024, 29:00 - A: b")
    assert late is not None
    assert moment(stamp_of(late), "day/month/year") is None


def test_a_guess_is_said_to_be_one() -> None:
    chat = read_whatsapp("01/02/2024, 10:00 - A: b\n", "a")
    assert chat.notes == ("dates read as day/month/year (a guess: they fit both ways)",)


def test_lines_of_another_style_inside_a_message_are_its_words() -> None:
    text = "31/12/2023, 23:59 - A: she wrote\n[31/12/2023, 23:58:01] B: no\n31/12/2023, 23:59 - A: ha\n"
    texts = [m.text for m in read_whatsapp(text, "a").threads[0].messages]
    assert texts == ["she wrote\n[31/12/2023, 23:58:01] B: no", "ha"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<Media omitted>", "media"),
        ("<Medien ausgeschlossen>", "media"),
        ("<Mídia oculta>", "media"),
        ("<Multimedia omitido>", "media"),
        ("<Médias omis>", "media"),
        ("<Media omessi>", "media"),
        ("<Media weggelaten>", "media"),
        ("sticker omitted", "media"),
        ("PTT-20240101.opus (Datei angehängt)", "media"),
        ("null", "media"),
        ("location: https://maps.google.com/?q=1,2", "media"),
        ("You deleted this message", "deleted"),
        ("Diese Nachricht wurde gelöscht.", "deleted"),
        ("Eliminaste este mensaje", "deleted"),
        ("Missed video call", "service"),
        ("Waiting for this message. This may take a while.", "service"),
        ("", "empty"),
        (" \n ", "empty"),
    ],
)
def test_what_is_no_message_is_dropped_with_its_reason(text: str, reason: str) -> None:
    chat = read_whatsapp(f"31/12/2023, 23:59 - A: {text}\n31/12/2023, 23:59 - B: hm\n", "a")
    assert chat.dropped == {reason: 1}
    assert [m.text for m in chat.threads[0].messages] == ["hm"]


@pytest.mark.parametrize(
    "text",
    ["the image omitted a lot", "Location", "<3", "<giggles>", "a <b> c", "I left: bye", "null?",
     "omitted", "NULL", "so\nnull\nimage omitted", "This message was deleted? Why", "“so: it goes”"],
)  # fmt: skip
def test_a_persons_words_stay(text: str) -> None:
    chat = read_whatsapp(f"31/12/2023, 23:59 - A: {text}\n", "a")
    assert [m.text for m in chat.threads[0].messages] == [text]


def test_a_notice_with_a_colon_names_no_speaker() -> None:
    text = (
        "31/12/2023, 23:59 - Ana created group “Trip: 2024”\n"
        '31/12/2023, 23:59 - Ana changed the group name from "a: b" to "c"\n'
        "31/12/2023, 23:59 - Ana: hi\n"
    )
    chat = read_whatsapp(text, "a")
    assert list(chat.speakers) == ["Ana"]
    assert chat.dropped == {"service": 2}


def test_a_text_without_a_message_is_refused() -> None:
    assert not looks_like_whatsapp("12/01/2023 was a Thursday\nAna: hi\n")
    with pytest.raises(InputError, match=r"^a\.txt: holds no WhatsApp message$"):
        read_whatsapp("hello\n", "a.txt")


# What a person may write on a line: no line ends, no marks, no head of a message.
words = st.text(
    st.characters(
        blacklist_categories=("Cs", "Cc", "Cf", "Zl", "Zp", "Zs"), blacklist_characters="["
    )
    | st.just(" "),
    min_size=1,
    max_size=30,
).filter(lambda s: s == s.strip() and not s[0].isdecimal())
names = st.sampled_from(["Ana", "Old Finn", "+44 7700 900123", "Łukasz Ż.", "王小明"])
messages = st.lists(
    st.tuples(
        names,
        st.lists(words, min_size=1, max_size=3).filter(lambda lines: words_of(lines[0])[0] != ""),
        st.integers(0, 5000),
    ),
    min_size=1,
    max_size=8,
)


@given(
    messages,
    st.sampled_from(["%d/%m/%Y, %H:%M - ", "[%m/%d/%y, %I:%M:00 %p] ", "%Y-%m-%d, %H:%M - "]),
)
def test_every_message_comes_back(rows: list[tuple[str, list[str], int]], form: str) -> None:
    now = datetime(2023, 12, 28, 6, 0, tzinfo=UTC)
    text, expected = "", []
    line = 1
    for who, lines, minutes in rows:
        now += timedelta(minutes=minutes)
        text += f"{now.strftime(form)}{who}: " + "\n".join(lines) + "\n"
        expected.append(Message(who, "\n".join(lines), Source("a", line), now.timestamp()))
        line += len(lines)
    chat = read_whatsapp(text, "a")
    assert chat.dropped == {}
    # The day is above 12, so there is one order only, in any of the forms.
    assert list(chat.threads[0].messages) == expected
