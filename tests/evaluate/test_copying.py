from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from molting.core.config import Evaluate
from molting.core.conversation import Conversation, Source, Turn
from molting.evaluate.copying import RUN_WORDS, Runs, copying, diversity
from molting.evaluate.heard import Heard
from molting.models.generate import Ended, Generated
from molting.signals.stats import Array

OPTIONS = Evaluate(resamples=200)
LINE = "one two three four five six seven eight nine ten eleven twelve"


def unheard(prompts: Sequence[str], texts: Sequence[str]) -> Array:
    raise AssertionError("nothing here asks for the voice")


def heard(own: list[str], tuned: list[str], training: list[str]) -> Heard:
    def rows(replies: list[str]) -> list[Conversation]:
        return [
            Conversation((Turn("user", f"{i}?"), Turn("assistant", reply)), Source("f", i))
            for i, reply in enumerate(replies)
        ]

    said = [Generated(text, Ended.stop, 1) for text in tuned]
    plain = [Generated(f"plain words number {i}", Ended.stop, 1) for i in range(len(tuned))]
    return Heard(rows(own), {"base": [plain], "tuned": [said]}, unheard, rows(training))


def fresh(count: int, tag: str = "own") -> list[str]:
    return [" ".join(f"{tag}{i}w{k}" for k in range(12)) for i in range(count)]


def test_the_longest_run_is_counted_whole_and_wherever_it_stands() -> None:
    runs = Runs([LINE, "short row"])
    assert runs.longest(LINE) == 12
    assert runs.longest("so: " + LINE.upper() + "!") == 12
    assert runs.longest("x one two three four five six seven eight y") == RUN_WORDS
    assert runs.longest("one two three four five six seven, nine") == 0
    assert runs.longest("") == 0


@given(
    st.lists(st.sampled_from("abcd"), max_size=30), st.lists(st.sampled_from("abcd"), max_size=30)
)
def test_runs_are_what_comparing_all_places_finds(said: list[str], row: list[str]) -> None:
    best = 0
    for i in range(len(said)):
        for j in range(len(row)):
            size = 0
            while i + size < len(said) and j + size < len(row) and said[i + size] == row[j + size]:
                size += 1
            best = max(best, size)
    assert Runs([" ".join(row)]).longest(" ".join(said)) == (best if best >= RUN_WORDS else 0)


def test_a_model_that_recites_its_rows_is_flagged() -> None:
    training = fresh(40, "row")
    reciting = copying(heard(fresh(40), training, training), OPTIONS)
    assert reciting["passed"] is False
    assert (reciting["tuned"], reciting["held_out_text"]) == (1.0, 0.0)
    assert reciting["longest_run_words"] == 12
    speaking = copying(heard(fresh(40), fresh(40, "new"), training), OPTIONS)
    assert speaking["passed"] is True


def test_a_persona_that_repeats_itself_sets_the_rate() -> None:
    training = fresh(40, "row")
    assert copying(heard(training, training, training), OPTIONS)["passed"] is True


def test_of_few_replies_nothing_is_cleared() -> None:
    training = fresh(6, "row")
    assert copying(heard(fresh(6), fresh(6, "new"), training), OPTIONS)["passed"] is None


def test_one_reply_to_everything_is_flagged_for_its_variety() -> None:
    constant = diversity(heard(fresh(30), [LINE] * 30, []), OPTIONS)
    assert constant["passed"] is False
    assert constant["distinct_2"]["tuned"] == 11 / (11 * 30)
    assert constant["distinct_2"]["held_out_text"] == 1.0
    assert diversity(heard(fresh(30), fresh(30, "new"), []), OPTIONS)["passed"] is True


def test_silence_has_no_variety_to_tell() -> None:
    found = diversity(heard(fresh(30), [""] * 30, []), OPTIONS)
    assert found["distinct_1"]["tuned"] is None
    assert found["tuned_over_own"]["value"] is None
    assert found["passed"] is None
