from __future__ import annotations

from collections import Counter

from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.duplicates import near_pairs
from molting.signals.noise import find_noise
from molting.signals.secrets import find_secrets


def test_the_shipped_texts_are_enough_to_fit_and_certify_with() -> None:
    assert len(neutral_replies()) >= 100
    counts = Counter(text.persona for text in other_personas())
    assert len(counts) == 19
    assert min(counts.values()) >= 8


def test_the_shipped_texts_are_clean_and_say_nothing_twice() -> None:
    texts = [*neutral_replies(), *other_personas()]
    assert all(text.prompt.strip() and text.reply.strip() for text in texts)
    assert near_pairs([text.reply for text in texts], 0.7) == []
    kinds = ("template_token", "error", "agent_chatter", "tool_output")
    assert [text.reply for text in texts if find_noise(text.reply, kinds)] == []
    assert [text.reply for text in texts if find_secrets(text.reply)] == []
    # A neutral assistant may call itself one; another persona may not.
    assert not any(find_noise(text.reply) for text in other_personas())
