from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.signals.english import numbers, spelled_alike, stem, tokens
from molting.signals.gist import (
    contradiction,
    gist,
    likeness,
    nearly_same,
    one_subject,
    same_prompt,
    says_something,
    stands_alone,
)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Could you please tell me your favourite colour?", "tell me your favourite colour"),
        ("What's the time?", "whats the time"),
        ("Hi! Where do you live?", "Where do you live?"),
        ("How do I cook rice?", "how do you cook rice"),
        ("How do I get candle wax out?", "How do I get candel wax out"),
        ("What is your age, if I may ask?", "How old are you?"),
        ("How long do I boil the beans?", "The beans, how long do I boil them?"),
    ],
)
def test_manners_spelling_and_word_forms_do_not_make_another_prompt(left: str, right: str) -> None:
    assert same_prompt(gist(left), gist(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Where were you born?", "Where was your mother born?"),
        ("Who are you?", "Who am I?"),
        ("What is 3 plus 4?", "What is 3 plus 5?"),
        ("Do you like dogs?", "Don't you like dogs?"),
        ("When does it open?", "Where does it open?"),
        ("Peel the potatoes, then salt the water.", "Salt the potatoes, then peel the water."),
        ("Do you love me?", "Do I love you?"),
    ],
)
def test_other_persons_numbers_questions_and_orders_do(left: str, right: str) -> None:
    assert not same_prompt(gist(left), gist(right))


@pytest.mark.parametrize(
    "text", ["hi", "Good evening, sir.", "thanks a lot, that worked", "How are you today?", "Yes.",
             "Do you have a minute?", "Of course.", "", "!?"],
)  # fmt: skip
def test_small_talk_is_known(text: str) -> None:
    assert gist(text).phatic


@pytest.mark.parametrize(
    "text", ["Why?", "Who are you?", "Tell me about yourself.", "Biscuit.", "Привет"]
)
def test_questions_and_names_are_no_small_talk(text: str) -> None:
    assert not gist(text).phatic


def test_a_prompt_that_points_back_does_not_stand_alone() -> None:
    assert not stands_alone(gist("Why do you say that?"))
    assert not stands_alone(gist("What do you mean?"))
    assert stands_alone(gist("Where is the lamp?"))


@pytest.mark.parametrize(
    ("prompt", "left", "right", "why"),
    [
        ("Do you like dogs?", "Yes, all of them.", "No. Never have.", "yes_no"),
        ("Can you swim?", "I can swim like an otter.", "I never learned to swim.", "negation"),
        ("When do you open?", "At nine, dear.", "At ten, dear.", "numbers"),
        ("How many sisters have you?", "Forty-one.", "41, all tall.", None),
        ("How many litres is it?", "A thousand.", "1,000 litres.", None),
        ("Tea or coffee?", "Tea, in a pot.", "Coffee. Tea is for the ill.", "choice"),
        ("Is it safe?", "Safe as houses.", "Dangerous, I'd say.", "opposite"),
        ("Where were you born?", "In Lisbon.", "Porto, in a van.", "little_in_common"),
        ("Where were you born?", "In Lisbon.", "Lisbon, in a van.", None),
        ("Tell me a joke.", "A horse walks in.", "My wife drew her eyebrows.", None),
        ("How are you?", "Terrible.", "Never better.", None),
        ("Do you like walks?", "Yes, the longer the better.", "Aye, long ones.", None),
        ("I got the job!", "Sit down, I'm pouring.", "Then buy a hat.", None),
    ],
)
def test_replies_contradict_each_other_for_a_reason(
    prompt: str, left: str, right: str, why: str | None
) -> None:
    asked = gist(prompt)
    assert contradiction(asked, gist(left), gist(right)) == why
    assert contradiction(asked, gist(right), gist(left)) == why


def test_a_changed_word_is_no_slip_in_a_sentence() -> None:
    one = gist("Nine miles by the road, six if you can jump.")
    assert nearly_same(one, gist("nine miles by the road - six if you can jump!"))
    assert not nearly_same(one, gist("Nine miles by the river, six if you can jump."))
    assert not nearly_same(one, gist("Nine miles by the road, five if you can jump."))


def test_likeness_and_subject_of_prompts() -> None:
    assert likeness(gist("hi"), gist("Good morning!")) == 1
    assert likeness(gist("hi"), gist("Is there soup?")) == 0
    assert likeness(gist("Is there soup?"), gist("Is there any soup and bread?")) < 1
    assert one_subject(gist("How do I remove a splinter?"), gist("what gets a splinter out"))
    assert not one_subject(gist("How far is Marrow?"), gist("Is there an inn at Marrow?"))
    assert not one_subject(
        gist("What is your favourite food?"), gist("What is your favourite song?")
    )


@pytest.mark.parametrize("reply", ["Yes.", "Of course, my dear.", "I don't know, to be honest.",
                                   "Let me find out and call you back."])  # fmt: skip
def test_a_reply_that_fits_anything_says_nothing(reply: str) -> None:
    assert not says_something(gist(reply))
    assert says_something(gist("The blue one on platform four, madam."))


def test_numbers_are_read_as_digits() -> None:
    assert numbers(tokens("forty-one, two thousand and three, one of them, 1,200 and 7:30")) == {
        "41", "2003", "1200", "7:30",
    }  # fmt: skip
    assert numbers(tokens("one sings, one throws things")) == frozenset()


def test_slips_of_the_pen() -> None:
    assert spelled_alike("candle", "candel")
    assert spelled_alike("definitely", "definately")
    assert not spelled_alike("boat", "coat")
    assert not spelled_alike("north", "south")
    assert not spelled_alike("cat", "cut")


@given(st.text(max_size=60))
def test_any_text_has_a_gist_and_is_the_same_as_itself(text: str) -> None:
    made = gist(text)
    assert same_prompt(made, made)
    assert nearly_same(made, made)
    assert likeness(made, made) == 1
    assert contradiction(made, made, made) is None


@given(st.from_regex(r"[a-z]{1,12}", fullmatch=True))
def test_a_stem_begins_like_its_word(word: str) -> None:
    made = stem(word)
    assert made
    assert made[:2] == word[:2] or len(word) < 3
