"""The scorer against sums made by hand, and against what guessing gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from molting.evaluate.choices import (
    candidate_row,
    item_rows,
    right_answers,
    right_share,
    start_token,
    where_they_differ,
)
from molting.evaluate.items import Item, ItemSet
from molting.evaluate.systems import Speaker
from molting.memory.store import Memory
from molting.models.render import Rendered

TWO = Item((("Q:", "yes"), ("Q:", "no, never")), 1)


def by_hand(speaker: Speaker, context: str, text: str, tuned: bool) -> float:
    """Log-probability of `text` behind `context`, through the model's own forward pass."""
    before = speaker.base.tokenizer.encode(context, add_special_tokens=False)
    whole = speaker.base.tokenizer.encode(f"{context} {text}", add_special_tokens=False)
    with torch.inference_mode():
        if tuned:
            logits = speaker.model(input_ids=torch.tensor([whole])).logits
        else:
            with speaker.model.disable_adapter():
                logits = speaker.model(input_ids=torch.tensor([whole])).logits
    shares = logits[0].float().log_softmax(-1)
    return float(sum(shares[t - 1, whole[t]] for t in range(len(before), len(whole))))


@pytest.mark.parametrize("tuned", [False, True])
def test_a_choice_is_its_log_probability_per_byte(speaker: Speaker, tuned: bool) -> None:
    scores = [by_hand(speaker, context, text, tuned) for context, text in TWO.candidates]
    rows = item_rows(ItemSet("two", "choices", (TWO,)), speaker, 2048)
    found = [-loss.nats for loss in speaker.losses(tuned, rows)]
    assert found == pytest.approx(scores, abs=1e-4)
    expected = 1.0 if scores[1] / 9 > scores[0] / 3 else 0.0
    assert right_answers(ItemSet("two", "choices", (TWO,)), speaker, tuned, 2048) == [expected]


def test_length_decides_only_where_it_should() -> None:
    scores = [-3.0, -6.0]
    assert right_share(TWO, scores, per_byte=False) == 0.0
    assert right_share(TWO, scores, per_byte=True) == 1.0


def test_a_tie_gets_what_guessing_gets() -> None:
    four = Item(tuple(("Q:", text) for text in "abcd"), 2)
    assert right_share(four, [-1.0] * 4, per_byte=True) == 0.25
    assert right_share(four, [-1.0, -2.0, -1.0, -2.0], per_byte=True) == 0.5
    assert right_share(four, [-1.0, -2.0, -1.5, -2.0], per_byte=True) == 0.0


def test_sentences_are_compared_from_where_they_differ(speaker: Speaker) -> None:
    """What two sentences share adds the same to both, so leaving it out changes no answer."""
    pair = Item((("", "The bakers open early."), ("", "The bakers opens early.")), 0)
    start = start_token(speaker)
    whole = [
        candidate_row(speaker.base.tokenizer, context, text, start, 2048)
        for context, text in pair.candidates
    ]
    assert whole[0].ids[0] == start
    assert whole[0].trained_tokens == len("The bakers open early.")
    part = where_they_differ(whole)
    assert part[0].trained_tokens == len(" early.")
    before, after = ([loss.nats for loss in speaker.losses(True, rows)] for rows in (whole, part))
    assert before[0] - before[1] == pytest.approx(after[0] - after[1], abs=1e-4)


def test_a_context_that_is_too_long_loses_its_beginning(speaker: Speaker) -> None:
    row = candidate_row(speaker.base.tokenizer, "x" * 300, "end", 0, 50)
    assert len(row.ids) <= 50
    assert row.trained_tokens == len(" end")
    assert speaker.base.tokenizer.decode(row.ids).endswith("xxx end")


def test_the_next_words_are_right_when_greedy_decoding_writes_them(speaker: Speaker) -> None:
    ids = speaker.base.tokenizer.encode("The tide is", add_special_tokens=False)
    with torch.inference_mode(), speaker.model.disable_adapter():
        for _ in range(3):
            logits = speaker.model(input_ids=torch.tensor([ids])).logits
            ids = [*ids, int(logits[0, -1].argmax())]
    scored = tuple(i >= len(ids) - 3 for i in range(len(ids)))
    written = Rendered(tuple(ids), scored, False)
    other = Rendered((*ids[:-2], (ids[-2] + 1) % 256, ids[-1]), scored, False)
    assert speaker.greedy(False, [written, other]) == [True, False]


def test_without_an_engine_the_answers_are_the_same(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    items = ItemSet(
        "some",
        "choices",
        (TWO, Item((("What is red?", "a rose"), ("What is red?", "grass")), 0)),
    )
    rows = item_rows(items, speaker, 2048)
    fast = speaker.losses(True, rows)
    greedy = speaker.greedy(True, rows)
    with Memory(tmp_path) as memory:
        monkeypatch.setattr(speaker, "memory", memory)
        monkeypatch.setattr(speaker, "_supported", False)
        slow = speaker.losses(True, rows)
        assert speaker.greedy(True, rows) == greedy
    assert [loss.nats for loss in slow] == pytest.approx([loss.nats for loss in fast], abs=1e-4)
