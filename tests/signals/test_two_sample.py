from __future__ import annotations

from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.two_sample import two_sample_auc

NEUTRAL = [(row.prompt, row.reply) for row in neutral_replies()]
BUTLER = [(row.prompt, row.reply) for row in other_personas() if row.persona == "butler"]


def test_the_same_kind_of_text_cannot_be_told_and_another_voice_can() -> None:
    same = two_sample_auc(NEUTRAL[::2], NEUTRAL[1::2], 100, 0)
    other = two_sample_auc(NEUTRAL[::2], BUTLER, 100, 0)
    assert same.value is not None
    assert same.low is not None
    assert same.high is not None
    assert same.low < 0.5 < same.high
    assert other.value is not None
    assert other.value > 0.9
    assert (same.n, other.n) == (60, 60)


def test_a_few_replies_are_not_told_apart() -> None:
    assert two_sample_auc(NEUTRAL[:19], NEUTRAL[20:60], 100, 0).value is None


def test_length_is_no_evidence() -> None:
    short = [(prompt, " ".join(reply.split()[:12])) for prompt, reply in NEUTRAL[::2]]
    found = two_sample_auc(short, NEUTRAL[1::2], 100, 0)
    assert found.low is not None
    assert found.low < 0.62
