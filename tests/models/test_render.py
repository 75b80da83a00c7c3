"""Masks, token by token. Each style has a second, hand-written renderer that knows its template:
what `render.py` finds without markers must be what the one with markers writes."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from molting.core.conversation import Conversation, Source, Turn
from molting.core.errors import InputError
from molting.models.fake import fake_tokenizer
from molting.models.render import Rendered, Renderer

EVERYTHING = 1 << 20
SOURCE = Source("chats.jsonl", 7)
Segments = list[tuple[str, bool]]
"""Text and whether it is trained."""

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ZEPHYR = (
    "{% for m in messages %}\n{% if m['role'] == 'user' %}\n"
    "{{ '<|user|>\\n' + m['content'] + eos_token }}\n{% elif m['role'] == 'system' %}\n"
    "{{ '<|system|>\\n' + m['content'] + eos_token }}\n{% elif m['role'] == 'assistant' %}\n"
    "{{ '<|assistant|>\\n'  + m['content'] + eos_token }}\n{% endif %}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
LLAMA3 = (
    "{% for m in messages %}{% set content = '<|start_header_id|>' + m['role'] + "
    "'<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = '<|begin_of_text|>' + content %}{% endif %}"
    "{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)
GEMMA = (
    "{{ '<bos>' }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/...') }}{% endif %}"
    "{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\\n' + m['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}"
)
PHI3 = (
    "{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ '<|system|>\\n' + m['content'] + '<|end|>\\n' }}{% elif m['role'] == 'user' %}"
    "{{ '<|user|>\\n' + m['content'] + '<|end|>\\n' }}{% elif m['role'] == 'assistant' %}"
    "{{ '<|assistant|>\\n' + m['content'] + '<|end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"
)


def clean(turn: Turn) -> str:
    """Space around a reply is no part of it; what a person wrote stays as it is."""
    return turn.text.strip() if turn.role == "assistant" else turn.text


def chatml(turns: Sequence[Turn]) -> Segments:
    found: Segments = []
    for turn in turns:
        reply = turn.role == "assistant"
        found += [
            (f"<|im_start|>{turn.role}\n", False),
            (clean(turn) + "<|im_end|>", reply),
            ("\n", False),
        ]
    return found


def zephyr(turns: Sequence[Turn]) -> Segments:
    found: Segments = []
    for turn in turns:
        reply = turn.role == "assistant"
        # The generation prompt is `<|assistant|>` and a newline, as the row has it.
        found += [(f"<|{turn.role}|>\n", False), (clean(turn) + "</s>", reply), ("\n", False)]
    return found


def llama3(turns: Sequence[Turn]) -> Segments:
    found: Segments = [("<|begin_of_text|>", False)]
    for turn in turns:
        found += [
            (f"<|start_header_id|>{turn.role}<|end_header_id|>\n\n", False),
            (turn.text.strip() + "<|eot_id|>", turn.role == "assistant"),
        ]
    return found


def gemma(turns: Sequence[Turn]) -> Segments:
    found: Segments = [("<bos>", False)]
    system = "\n\n".join(turn.text for turn in turns if turn.role == "system")
    for turn in (turn for turn in turns if turn.role != "system"):
        text = turn.text
        if turn.role == "user" and system:
            text, system = f"{system}\n\n{text}", ""
        reply = turn.role == "assistant"
        found += [
            (f"<start_of_turn>{'model' if reply else 'user'}\n", False),
            (text.strip() + "<end_of_turn>", reply),
            ("\n", False),
        ]
    return found


def phi3(turns: Sequence[Turn]) -> Segments:
    found: Segments = []
    for turn in turns:
        reply = turn.role == "assistant"
        found += [(f"<|{turn.role}|>\n", False), (clean(turn) + "<|end|>", reply), ("\n", False)]
    return [*found, ("<|endoftext|>", False)]


class Style(NamedTuple):
    template: str
    special: tuple[str, ...]
    """The first is the tokenizer's end of text, which is not always the end of a turn."""
    stop: str
    segments: Callable[[Sequence[Turn]], Segments]
    greets: bool = True
    """Takes a conversation that the assistant begins."""


STYLES = {
    "chatml": Style(CHATML, ("<|im_end|>", "<|im_start|>", "<|endoftext|>"), "<|im_end|>", chatml),
    "zephyr": Style(ZEPHYR, ("</s>", "<s>", "<unk>"), "</s>", zephyr),
    "llama3": Style(
        LLAMA3,
        ("<|eot_id|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|pad|>"),
        "<|eot_id|>",
        llama3,
    ),
    "gemma": Style(
        GEMMA,
        ("<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<pad>"),
        "<end_of_turn>",
        gemma,
        greets=False,
    ),
    "phi3": Style(
        PHI3,
        ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<pad>"),
        "<|end|>",
        phi3,
    ),
}
every_style = pytest.mark.parametrize("name", STYLES)


@functools.cache
def renderer(template: str, special: tuple[str, ...] | None = None) -> Renderer:
    return Renderer(fake_tokenizer(template, list(special) if special else None))


def of_style(name: str) -> tuple[Style, Renderer]:
    style = STYLES[name]
    return style, renderer(style.template, style.special)


def talk(*texts: str, system: str | None = None) -> Conversation:
    """User and assistant in turns, the user first."""
    turns = [Turn("assistant" if i % 2 else "user", text) for i, text in enumerate(texts)]
    return Conversation((*([Turn("system", system)] if system else []), *turns), SOURCE)


def flagged(tokenizer: Any, segments: Segments) -> list[tuple[int, bool]]:
    return [
        (token, trained)
        for text, trained in segments
        for token in tokenizer(text, add_special_tokens=False)["input_ids"]
    ]


def pairs(row: Rendered) -> list[tuple[int, bool]]:
    return list(zip(row.ids, row.trained, strict=True))


def runs(trained: Sequence[bool]) -> list[tuple[int, int]]:
    """Neighbouring trained tokens, as (start, end)."""
    edges = [i for i in range(len(trained) + 1) if _at(trained, i - 1) != _at(trained, i)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _at(values: Sequence[bool], i: int) -> bool:
    return 0 <= i < len(values) and values[i]


def spoken(tokenizer: Any, row: Rendered) -> list[str]:
    """The text of each trained run."""
    return [tokenizer.decode(row.ids[start:end]) for start, end in runs(row.trained)]


# What each style trains, written out by hand.

TWO_EXCHANGES = talk("Hi there.", "Hello!", "Again?", "Always.", system="Be brief.")
WRITTEN: dict[str, Segments] = {
    "chatml": [
        ("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi there.<|im_end|>\n", False),
        ("<|im_start|>assistant\n", False),
        ("Hello!<|im_end|>", True),
        ("\n<|im_start|>user\nAgain?<|im_end|>\n<|im_start|>assistant\n", False),
        ("Always.<|im_end|>", True),
        ("\n", False),
    ],
    "zephyr": [
        ("<|system|>\nBe brief.</s>\n<|user|>\nHi there.</s>\n<|assistant|>\n", False),
        ("Hello!</s>", True),
        ("\n<|user|>\nAgain?</s>\n<|assistant|>\n", False),
        ("Always.</s>", True),
        ("\n", False),
    ],
    "llama3": [
        ("<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.", False),
        ("<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi there.<|eot_id|>", False),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", False),
        ("Hello!<|eot_id|>", True),
        ("<|start_header_id|>user<|end_header_id|>\n\nAgain?<|eot_id|>", False),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", False),
        ("Always.<|eot_id|>", True),
    ],
    "gemma": [
        ("<bos><start_of_turn>user\nBe brief.\n\nHi there.<end_of_turn>\n", False),
        ("<start_of_turn>model\n", False),
        ("Hello!<end_of_turn>", True),
        ("\n<start_of_turn>user\nAgain?<end_of_turn>\n<start_of_turn>model\n", False),
        ("Always.<end_of_turn>", True),
        ("\n", False),
    ],
    "phi3": [
        ("<|system|>\nBe brief.<|end|>\n<|user|>\nHi there.<|end|>\n<|assistant|>\n", False),
        ("Hello!<|end|>", True),
        ("\n<|user|>\nAgain?<|end|>\n<|assistant|>\n", False),
        ("Always.<|end|>", True),
        ("\n<|endoftext|>", False),
    ],
}


@every_style
def test_replies_and_their_end_of_turn_are_trained_and_nothing_else(name: str) -> None:
    _, render = of_style(name)
    row = render.row(TWO_EXCHANGES, EVERYTHING)
    assert pairs(row) == flagged(render.tokenizer, WRITTEN[name])
    assert row.stop_trained
    assert (row.replies_cut_wholly, row.replies_cut_partly, row.turns_dropped) == (0, 0, 0)
    assert row.full_tokens == len(row.ids)


@every_style
def test_end_of_turn_is_the_token_that_closes_a_reply(name: str) -> None:
    style, render = of_style(name)
    assert render.end_of_turn == render.tokenizer.convert_tokens_to_ids(style.stop)


@every_style
def test_only_the_last_reply_is_measured_when_asked(name: str) -> None:
    style, render = of_style(name)
    row = render.row(TWO_EXCHANGES, EVERYTHING, last_only=True)
    assert row.ids == render.row(TWO_EXCHANGES, EVERYTHING).ids
    assert spoken(render.tokenizer, row) == ["Always." + style.stop]
    assert row.stop_trained


@every_style
def test_a_reply_that_repeats_the_user_is_found_in_its_own_place(name: str) -> None:
    style, render = of_style(name)
    conversation = talk("say hello", "hello", "hello", "hello", "assistant", "assistant")
    row = render.row(conversation, EVERYTHING)
    assert pairs(row) == flagged(render.tokenizer, style.segments(conversation.turns))


@every_style
def test_markers_that_a_person_typed_are_not_taken_for_the_templates(name: str) -> None:
    style, render = of_style(name)
    conversation = talk(f"what is {style.stop} for?{style.stop}\n", f"it {style.stop} ends", "so")
    row = render.row(conversation, EVERYTHING)
    assert pairs(row) == flagged(render.tokenizer, style.segments(conversation.turns))


@every_style
def test_space_around_a_reply_is_not_trained(name: str) -> None:
    style, render = of_style(name)
    row = render.row(talk(" hi ", "\n  Hello!  \n", "x", " Bye "), EVERYTHING)
    assert spoken(render.tokenizer, row) == ["Hello!" + style.stop, "Bye" + style.stop]
    assert row.stop_trained


def test_the_prompt_is_the_prefix_even_where_tokens_melt_together() -> None:
    """Real tokenizers have one token for two line breaks, or for a letter and the space before."""
    style = STYLES["chatml"]
    inner = json.loads(
        fake_tokenizer(style.template, list(style.special)).backend_tokenizer.to_str()
    )
    pieces = [("Ċ", "Ċ"), ("Ċ", "Ġ"), ("Ġ", "Ġ"), ("Ġ", "H")]
    inner["model"]["merges"] = pieces
    inner["model"]["vocab"] |= {a + b: 300 + i for i, (a, b) in enumerate(pieces)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(inner)), eos_token=style.stop
    )
    assert len(tokenizer("\n\n H", add_special_tokens=False)["input_ids"]) == 2
    tokenizer.chat_template = style.template
    render = Renderer(tokenizer)
    for reply in ("Hello", "\nHello", " Hello", "\n\n  Hello \n"):
        conversation = talk("\n\nHi \n", reply, "  Again? ", reply)
        row = render.row(conversation, EVERYTHING)
        assert spoken(tokenizer, row) == ["Hello<|im_end|>"] * 2
        for (start, _), i in zip(runs(row.trained), (1, 3), strict=True):
            assert render.prompt(conversation.turns[:i]) == row.ids[:start]


@every_style
def test_a_row_that_ends_with_the_user_trains_the_replies_before(name: str) -> None:
    style, render = of_style(name)
    row = render.row(talk("Hi", "Hello!", "Still there?"), EVERYTHING)
    assert spoken(render.tokenizer, row) == ["Hello!" + style.stop]
    assert row.stop_trained


@pytest.mark.parametrize("name", [name for name, style in STYLES.items() if style.greets])
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_a_greeting_that_comes_first_is_trained(name: str, system: str | None) -> None:
    style, render = of_style(name)
    turns = talk("Hi", "Hello!", system=system).turns
    at = len(turns) - 2
    turns = (*turns[:at], Turn("assistant", "Welcome, traveller."), *turns[at:])
    row = render.row(Conversation(turns, SOURCE), EVERYTHING)
    assert pairs(row) == flagged(render.tokenizer, style.segments(turns))


@every_style
def test_a_system_prompt_given_to_prompt_and_row_replaces_the_rows_own(name: str) -> None:
    _, render = of_style(name)
    row = render.row(TWO_EXCHANGES, EVERYTHING, "You are Mara.")
    text = render.tokenizer.decode(row.ids)
    assert "You are Mara." in text
    assert "Be brief." not in text
    prompt = render.prompt(TWO_EXCHANGES.context, "You are Mara.")
    start, _ = runs(row.trained)[-1]
    assert prompt == row.ids[:start]


@every_style
def test_a_row_without_a_reply_has_nothing_to_train(name: str) -> None:
    _, render = of_style(name)
    row = render.row(talk("Hi"), EVERYTHING)
    assert row.trained_tokens == 0
    assert not row.stop_trained


# Templates that do something else.

OWN = ("</s>", "<s>", "<pad>")
NO_END = (
    "{% for m in messages %}{{ '### ' + m['role'] + '\\n' + m['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant\\n' }}{% endif %}"
)


def test_the_tokenizers_end_of_text_is_added_where_a_template_writes_no_end_of_turn() -> None:
    render = renderer(NO_END, OWN)
    row = render.row(talk("Hi", "Hello!", "Again?", "Always."), EVERYTHING)
    assert pairs(row) == flagged(
        render.tokenizer,
        [
            ("### user\nHi\n### assistant\n", False),
            ("Hello!", True),
            ("\n### user\nAgain?\n### assistant\n", False),
            ("Always.</s>", True),
        ],
    )
    assert row.stop_trained
    assert render.end_of_turn is None


def test_nothing_is_added_behind_a_user_turn_where_a_template_writes_no_end_of_turn() -> None:
    render = renderer(NO_END, OWN)
    row = render.row(talk("Hi", "Hello!", "Again?"), EVERYTHING)
    assert spoken(render.tokenizer, row) == ["Hello!"]
    assert not row.stop_trained


def test_the_marker_that_opens_the_next_turn_is_no_end_of_turn() -> None:
    template = NO_END.replace("'### ' + m['role'] + '\\n'", "'<|' + m['role'] + '|>'")
    render = renderer(template.replace("### assistant\\n", "<|assistant|>"))
    row = render.row(talk("Hi", "Hello!", "Again?", "Always."), EVERYTHING)
    assert spoken(render.tokenizer, row) == ["Hello!", "Always.<|end|>"]


def test_an_end_of_text_behind_the_whole_conversation_does_not_stretch_an_earlier_reply() -> None:
    template = NO_END.replace(
        "{% if add_generation_prompt %}", "{% if not add_generation_prompt %}</s>{% else %}"
    )
    render = renderer(template, OWN)
    row = render.row(talk("Hi", "Hello!", "Again?", "Always."), EVERYTHING)
    assert spoken(render.tokenizer, row) == ["Hello!", "Always.\n</s>"]
    assert row.stop_trained


def test_an_end_of_turn_that_is_written_only_between_turns_is_trained_and_the_last_added() -> None:
    template = NO_END.replace(
        "'\\n' }}{% endfor %}", "('' if loop.last else eos_token) }}{% endfor %}"
    )
    render = renderer(template, OWN)
    row = render.row(talk("Hi", "Hello!", "Again?", "Always."), EVERYTHING)
    assert spoken(render.tokenizer, row) == ["Hello!</s>", "Always.</s>"]


DROPS_THINKING = CHATML.replace(
    "m['content']", "(m['content'] if loop.last else m['content'].split('</think>')[-1])"
)


def test_thinking_in_the_last_reply_is_trained_where_a_template_drops_earlier_thinking() -> None:
    render = renderer(DROPS_THINKING, STYLES["chatml"].special)
    row = render.row(talk("Hi", "Hello", "Again?", "<think>Hm.</think>Always"), EVERYTHING)
    assert spoken(render.tokenizer, row) == [
        "Hello<|im_end|>",
        "<think>Hm.</think>Always<|im_end|>",
    ]


@pytest.mark.parametrize("last", ["Always", "<think>Hm.</think>Hello"])
def test_a_reply_whose_text_the_template_drops_is_refused_with_its_line(last: str) -> None:
    render = renderer(DROPS_THINKING, STYLES["chatml"].special)
    conversation = talk("Hi", "<think>Hm.</think>Hello", "Again?", last)
    with pytest.raises(InputError, match=r"^chats\.jsonl:7: the chat template changes the text"):
        render.row(conversation, EVERYTHING)


def test_a_reply_that_the_template_rewrites_is_refused_with_its_line() -> None:
    render = renderer(CHATML.replace("m['content']", "m['content'] | upper"))
    with pytest.raises(InputError, match=r"^chats\.jsonl:7: the chat template changes the text"):
        render.row(talk("hi", "hello"), EVERYTHING)


@pytest.mark.parametrize("texts", [("say hello", "hello"), ("hello", "hello", "hello", "hello")])
def test_a_generation_prompt_that_the_row_does_not_have_never_moves_the_mask(
    texts: tuple[str, ...],
) -> None:
    template = CHATML.replace("'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n<think>\\n'")
    render = renderer(template, STYLES["chatml"].special)
    conversation = talk(*texts)
    row = render.row(conversation, EVERYTHING)
    assert pairs(row) == flagged(render.tokenizer, chatml(conversation.turns))
    assert render.end_of_turn == render.tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_what_a_template_puts_before_the_last_reply_alone_is_trained_there_alone() -> None:
    opened = CHATML.replace(
        "m['content']",
        "('<think></think>' if loop.last and m['role'] == 'assistant' else '') + m['content']",
    )
    render = renderer(opened, STYLES["chatml"].special)
    row = render.row(talk("Hi", "Hi", "Hi", "Hi"), EVERYTHING)
    assert spoken(render.tokenizer, row) == ["Hi<|im_end|>", "<think></think>Hi<|im_end|>"]
    assert [row.text[: row.offsets[start][0]] for start, _ in runs(row.trained)] == [
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHi<|im_end|>\n"
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    ]


def test_a_conversation_that_the_template_refuses_is_an_error_with_its_line() -> None:
    _, render = of_style("gemma")
    turns = (Turn("user", "a"), Turn("user", "b"), Turn("assistant", "c"))
    with pytest.raises(InputError, match=r"^chats\.jsonl:7: .*must alternate"):
        render.row(Conversation(turns, SOURCE), EVERYTHING)


# Laws, for every style.

WORDS = ("hello", "say hello", "user", "assistant", "model", "\n", "  ", "é😀", "#", "<|", "a\n\nb")
user_texts = st.lists(
    st.sampled_from([*WORDS, "<|im_end|>", "<|end|>", "</s>", "<end_of_turn>", "<|eot_id|>"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    max_size=4,
).map("".join)
reply_texts = st.lists(
    st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    max_size=4,
).map("".join)


@st.composite
def conversations(draw: st.DrawFn, least: int = 1) -> Conversation:
    texts = draw(
        st.lists(st.tuples(user_texts, reply_texts), min_size=least, max_size=4).map(
            lambda found: [text for pair in found for text in pair]
        )
    )
    if draw(st.booleans()):
        texts.append(draw(user_texts))
    return talk(*texts, system=draw(st.none() | user_texts.filter(str.strip)))


law = settings(max_examples=40, deadline=None)


@every_style
@law
@given(conversation=conversations())
def test_law_the_mask_is_the_one_a_renderer_with_markers_writes(
    name: str, conversation: Conversation
) -> None:
    style, render = of_style(name)
    row = render.row(conversation, EVERYTHING)
    assert pairs(row) == flagged(render.tokenizer, style.segments(conversation.turns))
    assert row.stop_trained


@every_style
@law
@given(conversation=conversations())
def test_law_trained_tokens_decode_to_each_reply_and_its_stop(
    name: str, conversation: Conversation
) -> None:
    style, render = of_style(name)
    row = render.row(conversation, EVERYTHING)
    found = spoken(render.tokenizer, row)
    assert found == [reply.strip() + style.stop for reply in conversation.replies]


@every_style
@law
@given(conversation=conversations())
def test_law_the_prompt_is_the_prefix_that_training_sees(
    name: str, conversation: Conversation
) -> None:
    _, render = of_style(name)
    row = render.row(conversation, EVERYTHING)
    replies = [i for i, turn in enumerate(conversation.turns) if turn.role == "assistant"]
    starts = [start for start, _ in runs(row.trained)]
    assert [render.prompt(conversation.turns[:i]) for i in replies] == [
        row.ids[:start] for start in starts
    ]


def shortened(turns: Sequence[Turn], exchanges: int) -> list[Turn]:
    """Without the oldest exchanges; system turns stay."""
    left = list(turns)
    for _ in range(exchanges):
        first = next(i for i, turn in enumerate(left) if turn.role == "assistant")
        left = [turn for i, turn in enumerate(left) if i > first or turn.role == "system"]
    return left


@every_style
@settings(max_examples=25, deadline=None)
@given(conversation=conversations(), data=st.data())
def test_law_what_does_not_fit_is_dropped_oldest_first_then_cut_and_counted(
    name: str, conversation: Conversation, data: st.DataObject
) -> None:
    style, render = of_style(name)
    full = flagged(render.tokenizer, style.segments(conversation.turns))
    limit = data.draw(st.integers(1, len(full) + 2), label="max_tokens")

    dropped = 0
    kept = list(conversation.turns)
    while len(whole := flagged(render.tokenizer, style.segments(kept))) > limit and dropped < (
        len(conversation.replies) - 1
    ):
        dropped += 1
        kept = shortened(conversation.turns, dropped)
    spans = runs([trained for _, trained in whole])

    row = render.row(conversation, limit)
    assert pairs(row) == whole[:limit]
    assert row.turns_dropped == len(conversation.turns) - len(kept)
    assert row.full_tokens == len(full)
    assert row.replies_cut_wholly == sum(start >= limit for start, _ in spans)
    assert row.replies_cut_partly == sum(start < limit < end for start, end in spans)
    assert row.stop_trained == (spans[-1][1] <= limit)


@every_style
@pytest.mark.parametrize("exchanges", [1, 3])
def test_every_limit_keeps_the_last_reply_and_says_what_was_cut(name: str, exchanges: int) -> None:
    """The same at every limit there is, so that no off-by-one can hide."""
    style, render = of_style(name)
    conversation = talk(*["ab", "cd"] * (exchanges - 1), "ab", "Bye.", system="S")
    least = len(render.row(talk("ab", "Bye.", system="S"), EVERYTHING).ids)
    reply = len("Bye.") + 1
    for limit in range(1, len(render.row(conversation, EVERYTHING).ids) + 1):
        row = render.row(conversation, limit)
        said = spoken(render.tokenizer, row)
        behind = least - runs(render.row(talk("ab", "Bye.", system="S"), EVERYTHING).trained)[-1][1]
        room = min(reply, limit - (least - behind - reply))
        assert len(row.ids) <= limit
        assert (row.replies_cut_wholly, row.replies_cut_partly) == (
            int(room <= 0),
            int(0 < room < reply),
        )
        assert row.stop_trained == (room == reply)
        if room > 0:
            assert said[-1] == ("Bye." + style.stop if room == reply else "Bye."[:room])
