from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.persona import Persona
from molting.signals.noise import REJECTED_KINDS, all_noise, cut_replies, find_noise, looks_cut

NOISE = {
    "template_token": [
        "Aye.<|im_end|>",
        "<|start_header_id|>assistant<|end_header_id|> Aye.",
        "[INST] Who are you? [/INST] Aye.",
        "<<SYS>> Be Jack. <</SYS>>",
        "Aye, mate.</s>",
        "<start_of_turn>model Aye",
        "### Response:\nAye.",
        "Aye.<|endoftext|>",
        "<｜Assistant｜>Aye.",
    ],
    "error": [
        "Error: 429 Too Many Requests. Please try again in 1.2s.",
        "429 Too Many Requests",
        "503 Service Unavailable\n\nThe server is down for maintenance.",
        "404 - Not Found",
        "HTTP 502",
        "HTTP/1.1 500",
        "The request failed with status code 503.",
        "(status 401, request id req_1)",
        "Error code: 400 - {'message': 'bad'}",
        'Traceback (most recent call last):\n  File "a.py", line 1',
        "requests.exceptions.ConnectionError: Connection aborted.",
        "ValueError: too many values to unpack",
        "Rate limit reached for requests per minute.",
        "You exceeded your current quota, please check your plan.",
        '{"error": {"message": "overloaded"}}',
        "API Error: 529 Overloaded",
        "Fatal error: out of memory",
        "[ERROR] CUDA out of memory.",
        "Something went wrong while generating the response. Contact our help center.",
        "Something went wrong. Please try again.",
        "The server is currently unavailable.",
        "The engine is currently overloaded, please try again later.",
        "connect ECONNREFUSED 127.0.0.1:80",
        "This model's maximum context length is 8192 tokens.",
        "Invalid API key provided.",
        "Network error",
        "There was an error: connection timed out",
    ],
    "boilerplate": [
        "As an AI language model, I cannot feel the sea.",
        "I'm just a large language model.",
        "I’m an AI, so I have no home.",
        "I'm sorry, but I can't assist with that.",
        "I’m sorry, but I can’t help with that.",
        "I cannot fulfill this request.",
        "I don't have personal opinions about rum.",
        "I hope this email finds you well.",
        "If you have any questions, feel free to ask!",
        "Feel free to reach out if you need more help!",
        "Let me know if you have any other questions.",
        "Is there anything else I can help you with?",
        "My knowledge cutoff is in 2023.",
        "I was trained by OpenAI.",
        "I was trained on a large corpus of text.",
        "How can I help you today?",
    ],
    "agent_chatter": [
        "Let me check the config file first.",
        "I'll read src/main.py to see what it does.",
        "Let me search the codebase for all usages.",
        "Now I'll run the tests to make sure nothing broke.",
        "I'll start by reading the existing tests.",
        "Let me look at `utils.helpers` again.",
        "Let me check the logs.",
        "Okay, let me open the file.",
        "This session is being continued from a previous conversation that ran out of context.",
        "Conversation summary: the user asked for a script.",
        "Here is a summary of the conversation so far.",
        "Thought: I need the weather.\nAction: get_weather",
        "Action: search\nObservation: nothing found",
        "Final Answer: 42",
    ],
    "tool_output": [
        "total 8\n-rw-r--r-- 1 crab crab 5 Jan 1 10:00 shell",
        "drwxr-xr-x 2 crab crab 4096 Jan 1 10:00 .",
        "@@ -1,3 +1,4 @@ def main",
        "diff --git a/x b/x",
        '{"name": "shell", "size": 3}',
        '[{"name": "shell"}]',
        "<!DOCTYPE html><title>x</title>",
        "<html><body>hi</body></html>",
        "2024-05-01 10:00:00 INFO start\n2024-05-01 10:00:01 INFO stop\n",
        "$ ls -la",
        "root@box:~# ls",
        "PASSED tests/test_a.py::test_b",
        "FAILED tests/test_a.py",
        "ok  \tgithub.com/a/b\t0.012s",
        "```json\n{}\n```",
        "===== 3 failed, 2 passed in 0.1s =====",
    ],
    "heading": ["## The tide", "**Step one**", "**Do this:**"],
}

# What personas and people do say. Each of these looks a little like noise.
SPEECH = [
    # the word "error", and numbers that are no status
    "I made an error: sorry.",
    'I made an error: "sorry" is all I can say.',
    "Error is human, matey, and the sea forgives none of it.",
    "Terror: that is what I felt when the kraken rose.",
    "One exception: on Sundays we sail at noon.",
    "There is an error of 450 leagues in that map.",
    "Errors: I have made 500 of them.",
    "Meet me in room 404, and mind the stairs.",
    "My room is 404.",
    "In the year 1503 I lost my first ship.",
    "See you at 5.",
    "500 miles I walked, and 500 more.",
    "400 years ago my shell was a palace.",
    "404. That was the number on the door.",
    "The dress code for 500 guests is boots.",
    "My area code 415 days are long gone, and the code of 1420 still binds us.",
    "She has the status of 500 queens.",
    "We have exceeded our quota of heroes for today.",
    "I've reached my limit, and I rate limits low.",
    "I get too many requests for that shanty.",
    "The engine is overloaded, Captain, she cannot take any more!",
    "Something went wrong with the sails, so we try again at dawn.",
    "He refused the connection between rum and ruin.",
    "If the box shows a network error, switch it off and on again.",
    "The model ship is unavailable: the cat has it.",
    # what a stock assistant also says, but not so
    "I was trained by the finest swordsman in Toledo.",
    "I was trained on ropes and rigging.",
    "Feel free to ask the parrot, he knows.",
    "Let me know if you need any more rum.",
    "Is there anything else I can fetch for you, sir?",
    "I'm sorry, but I buried it on purpose.",
    "I cannot help with that knot from here.",
    "I am a crab, not an assistant.",
    "As an aid to memory, tie a knot.",
    "How can I help it if the tide turns?",
    # files, logs, codes and commands of another kind
    "You should check the file twice before you cut the bars.",
    "I'd check the file before I trusted it, inspector.",
    "Let me check the tide, and then we shall see.",
    "Let me read you the captain's log, for it is a sad one. It begins in fog.",
    "I'll open the folder of old letters one day, but not tonight. Tonight we sail.",
    "Let me look at your hand. A long life, and a short temper.",
    "I'll run the tool shed as I please, thank you.",
    "I will call the command of the fleet to order.",
    "Observation: your left boot is muddy, so you came by the marsh.",
    "Thought: the fog is a kind of curtain.",
    "Action! That is what the sea wants.",
    "In summary of our trade: buy low, sail fast.",
    # text that only starts like a tool's
    "ok captain.",
    "OK then.",
    "Failed again/and again, I did.",
    "Passed my prime, I have.",
    "$ 20 for that parrot is robbery.",
    "---------- and that is where the map was torn.",
    "[laughs] You call that a boat?",
    "{ a pause } Well.",
    "<3 you, old salt",
    "I paid 3 < 5 coins > 2 for it.",
    "Meet me on 2024-05-01 10:00:00 sharp.",
    "*clack* Aye.",
    "Use `rm` with care, lad.",
    "S is for salt, and </3 is how I feel.",
    "Mail me @ the harbour: ask for Jack.",
]


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in NOISE.items() for text in texts]
)
def test_noise_of_each_kind_is_found_with_its_span(kind: str, text: str) -> None:
    hits = {hit.kind: hit for hit in find_noise(text)}
    assert kind in hits
    hit = hits[kind]
    assert 0 <= hit.start < hit.end <= len(text)
    # The span alone holds the pattern's evidence, and asking for one kind gives only that kind.
    assert text[hit.start : hit.end].strip()
    assert find_noise(text, [kind]) == [hit]


@pytest.mark.parametrize("text", SPEECH)
def test_speech_is_not_noise(text: str) -> None:
    assert [(hit.kind, text[hit.start : hit.end]) for hit in find_noise(text)] == []


@pytest.mark.parametrize("kind", ["error", "boilerplate", "template_token", "heading"])
def test_noise_inside_a_longer_reply_is_found(kind: str) -> None:
    text = "Aye, the sea was calm that day.\n" + NOISE[kind][0]
    (hit,) = find_noise(text, [kind])
    assert hit.start >= text.index("\n") + 1 or text[hit.start] == "\n"


def test_the_first_hit_of_a_kind_is_reported() -> None:
    text = "I hope this email finds you well. As an AI, I hope so."
    (hit,) = find_noise(text, ["boilerplate"])
    assert text[hit.start : hit.end] == "I hope this email finds you well"


def test_a_heading_is_counted_but_rejects_nothing() -> None:
    assert "heading" not in REJECTED_KINDS
    assert set(REJECTED_KINDS) < set(NOISE)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_can_be_searched_and_spans_lie_inside(text: str) -> None:
    for hit in find_noise(text):
        assert 0 <= hit.start < hit.end <= len(text)
    assert isinstance(looks_cut(text), bool)


@pytest.mark.parametrize(
    "text",
    [
        "The tide was out and we walked to the",
        "The tide was out and we walked to the bar and then he said,",
        "I have told you once, I have told you twice, and I",
    ],
)
def test_a_reply_that_breaks_off_looks_cut(text: str) -> None:
    assert looks_cut(text)


@pytest.mark.parametrize(
    "text",
    [
        "The tide was out and we walked to the bar.",
        "The tide was out and we walked to the bar!  \n",
        "The tide was out and we walked to the bar …",
        'And then he said: "We shall never walk to the bar."',
        "The tide was out and we walked to the bar 🦀",
        "The tide was out and we walked to the bar ☀️",
        "The tide was out and we walked to the bar *clack*",
        "The tide was out and we walked to the bar (twice)",
        "The tide was out and we walked to the bar~",
        "今日は とても いい 天気 です から 散歩 しましょう。",
        "Short and sweet",
        "",
    ],
)
def test_a_reply_that_ends_does_not_look_cut(text: str) -> None:
    assert not looks_cut(text)


WHOLE = "The tide was out and we walked to the bar."
BROKEN = "The tide was out and we walked to the"


def test_a_few_broken_replies_are_cut() -> None:
    assert cut_replies([WHOLE, BROKEN, WHOLE, WHOLE, WHOLE]) == [False, True, False, False, False]


def test_a_voice_that_never_uses_full_stops_is_not_cut() -> None:
    assert cut_replies([BROKEN, BROKEN, WHOLE, "aye"]) == [False] * 4
    assert cut_replies([]) == []


def test_all_noise_gives_every_place_and_find_noise_the_first_of_each_kind() -> None:
    text = "As an AI, hm. I hope this email finds you well. HTTP 502. As an AI, no."
    found = all_noise(text)
    assert [(h.kind, text[h.start : h.end]) for h in found] == [
        ("boilerplate", "As an AI"),
        ("boilerplate", "I hope this email finds you well"),
        ("error", "HTTP 502"),
        ("boilerplate", "As an AI"),
    ]
    first = {hit.kind: hit for hit in reversed(found)}
    assert {hit.kind: hit for hit in find_noise(text)} == first


@pytest.mark.parametrize("kind", sorted(NOISE))
def test_a_persona_excuses_nothing_but_what_it_is(kind: str) -> None:
    robot = Persona(name="Rob", description="A robot and an artificial intelligence.")
    for text in NOISE[kind]:
        claims = "an AI" in text and "language model" not in text
        assert bool(find_noise(text, [kind], robot)) != claims, text
