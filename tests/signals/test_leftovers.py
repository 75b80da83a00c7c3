from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molting.signals.leftovers import KINDS, find_leftovers, find_refusals
from molting.signals.secrets import KINDS as SECRETS

LEFT = {
    "placeholder": [
        "Hello {{user}}, I am {{char}}.", "Dear [Your Name],", "Dear [Recipient's Name],",
        "Best, [Insert company here]", "Hi {name}!", "<USER> asks", "Write to [name] soon.",
        "${first_name}, hello", "lorem ipsum dolor", "[object Object]", "{% if x %}",
    ],
    "role_label": ["User: hi\nAye.", "Aye.\nAssistant: more", "Human: so?", "### x\nResponse: y"],
    "instruction_marker": ["### Instruction:\nBe", "[INST] Be [/INST]", "<START>\nAye"],
    "reasoning_tag": ["<think>hm</think> Aye.", "<tool_call>x", "Aye.</answer>"],
    "citation": ["The tide is low【12†source】.", ":contentReference[oaicite:0]{index=0}"],
    "out_of_character": ["(OOC: brb)", "[End of roleplay]", "((ooc what now))"],
}  # fmt: skip
SPEECH = [
    "Mind the tide, shoreling.",
    "[laughs] You call that a boat?",
    "*clack* {a pause} Well.",
    "Use the list [1, 2, 3] and the set {1, 2}.",
    "See [text](https://example.com) and [link](x).",
    "Think about it. The answer: patience.",
    "My user friend: a human being, of course.",
    "I <3 you; 3 < 5 and 5 > 2.",
    "Question everything: that is my rule.",
    "Say 'system: down' and I weep.",
    *(f"Write to [{kind}] soon." for kind in SECRETS),
]

REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, I am not able to discuss this.",
    "I cannot provide instructions for that.",
    "I must respectfully decline.",
    "That goes against my guidelines.",
    "As an AI language model, I do not have feelings.",
    "I'm unable to assist with that request.",
    "It would be inappropriate for me to comment on that.",
]
DECLINES = [
    "I'll not set foot on that ship, mate.",
    "I can't swim, and I won't learn it now.",
    "I'm sorry, but I buried it on purpose.",
    "No, and that is that.",
    "I cannot help it if the tide turns.",
    "I must refuse to believe that you paid for this boat? Nay.",
]


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in LEFT.items() for text in texts]
)
def test_each_kind_is_found_with_its_span(kind: str, text: str) -> None:
    assert kind in KINDS
    hits = [hit for hit in find_leftovers(text) if hit.kind == kind]
    assert hits
    assert all(text[hit.start : hit.end].strip() == text[hit.start : hit.end] for hit in hits)


@pytest.mark.parametrize("text", SPEECH)
def test_speech_and_our_own_redactions_are_no_leftovers(text: str) -> None:
    assert [(hit.kind, text[hit.start : hit.end]) for hit in find_leftovers(text)] == []


@pytest.mark.parametrize("text", REFUSALS)
def test_a_stock_refusal_is_found(text: str) -> None:
    hits = find_refusals(f"Aye. {text} Next?")
    assert hits
    assert all(hit.kind == "refusal" and hit.start >= 5 for hit in hits)


@pytest.mark.parametrize("text", DECLINES[:5])
def test_a_persona_may_say_no(text: str) -> None:
    assert find_refusals(text) == []


@given(st.text(max_size=80))
def test_spans_lie_inside(text: str) -> None:
    for hit in [*find_leftovers(text), *find_refusals(text)]:
        assert 0 <= hit.start < hit.end <= len(text)
