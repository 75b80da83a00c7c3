from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from molting.core.conversation import Turn
from molting.core.errors import InputError
from molting.curate.turntext import REMARK, from_text, replace_reply, to_text

TURNS = (
    Turn("system", "You keep a tavern."),
    Turn("user", "Any broth?\n\nIt is cold."),
    Turn("assistant", "Half a pot."),
)
LINE = st.sampled_from(
    ["[user]", "[assistant] ", "\\[user]", "\\\\[system]", "[users]", "[sighs]", "# a remark", "", " ", "."]
) | st.text(max_size=8)  # fmt: skip
SAID = st.lists(LINE, min_size=1, max_size=4).map("\n".join)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    pairs = draw(st.integers(1, 3))
    spoken = SAID.filter(lambda text: text.strip())
    turns = [Turn("system", draw(SAID))] if draw(st.booleans()) else []
    for _ in range(pairs):
        turns += [Turn("user", draw(spoken)), Turn("assistant", draw(spoken))]
    return tuple(turns)


@given(conversations())
@example((Turn("user", "a\r[user]\rb"), Turn("assistant", "\x85[assistant]\x0c")))
def test_what_is_not_changed_comes_back_as_it_was(turns: tuple[Turn, ...]) -> None:
    text = to_text(turns)
    assert from_text(text, turns) == turns
    assert from_text(REMARK + text, turns) == turns
    # As editors leave it.
    assert from_text(text.rstrip() + "\n", turns) == turns
    assert from_text(text.replace("\n", "\r\n"), turns) == turns
    # Without the original, only the white space around and the kind of line ends is lost.
    plain = from_text(text)
    assert from_text(to_text(plain)) == plain
    assert [t.role for t in plain] == [t.role for t in turns]


def test_only_the_changed_turn_is_another() -> None:
    edited = from_text(to_text(TURNS).replace("Half a", "A whole"), TURNS)
    assert edited[:2] == TURNS[:2]
    assert edited[2] == Turn("assistant", "A whole pot.")
    added = from_text(to_text(TURNS) + "\n[user]\nThanks!\n[assistant]\nSit, shoreling.\n", TURNS)
    assert added == (*TURNS, Turn("user", "Thanks!"), Turn("assistant", "Sit, shoreling."))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no turn; a line"),
        ("# only a remark\n", "no turn; a line"),
        ("prose\n[user]\na\n[assistant]\nb", "line 1: text before the first"),
        ("[user]\na", r"no \[assistant\] turn says anything"),
        ("[assistant]\na", r"no \[user\] turn says anything"),
        ("[user]\na\n[assistant]\n \n", r"no \[assistant\] turn says anything"),
        ("[user]\na\n[assistant]\nb\n[user]\nc\n[assistant]\n\n", r"line 7: the \[assistant\] turn is empty"),
        ("[user]\na\n[user]\nb\n[assistant]\nc", r"line 3: two \[user\] turns in a row; join them"),
        ("[user]\na\n[asistant]\nb", r"line 3: \[asistant\] is no role; did you mean \[assistant\]\?"),
        ("[user]\na\n[User]\nb", r"line 3: \[User\] is no role; did you mean \[user\]\?"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_refused_with_its_line(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        from_text(text, TURNS)
    assert "\n" not in str(caught.value)


def test_a_stage_direction_is_text_and_a_backslash_makes_a_role_text() -> None:
    found = from_text("[user]\n[sighs]\n\\[user]\n[assistant]\nb")
    assert found[0].text == "[sighs]\n[user]"


def test_without_an_editor_the_last_reply_is_typed_anew() -> None:
    assert replace_reply("A whole pot.\nAnd bread.\n", TURNS) == (
        *TURNS[:2], Turn("assistant", "A whole pot.\nAnd bread."),
    )  # fmt: skip
    assert replace_reply(to_text(TURNS).replace("Half a", "No"), TURNS)[2].text == "No pot."
    longer = (*TURNS, Turn("user", "Thanks!"))
    assert replace_reply("A pot.", longer) == (*TURNS[:2], Turn("assistant", "A pot."), longer[3])
    for text, turns, told in (
        (" \n", TURNS, "the new reply is empty"),
        ("A pot.", TURNS[:2], "there is no reply to replace"),
    ):
        with pytest.raises(InputError, match=told):
            replace_reply(text, turns)
