"""The faults that cost the predecessor its experiments, each in one data set, each found."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from molting.core.config import Config, parse_config
from molting.core.conversation import Conversation, Source, Turn
from molting.curate.estimate import estimate
from molting.curate.filters import filter_rows
from molting.curate.findings import Finding, merge
from molting.curate.formats import read_file
from molting.curate.preflight import inspect
from molting.models.fake import CHAT_TEMPLATE, fake_tokenizer
from molting.models.machine import Machine
from molting.models.render import Renderer
from molting.signals.contrast import neutral_replies

LIMIT = 1600
"""Tokens; the fake has one a byte."""

Row = list[tuple[str, str]]


def pair(prompt: str, reply: str) -> Row:
    return [("user", prompt), ("assistant", reply)]


@pytest.fixture(scope="module")
def good_rows(example: Path) -> list[Row]:
    """Short rows of the example that are no noise."""
    conversations = read_file(example / "data" / "export.jsonl").conversations
    clean = filter_rows(conversations, Config().curate)
    rows = [
        pair(row.prompt, row.reply)
        for row, noise in zip(conversations, clean, strict=True)
        if noise is None and len(row.turns) == 2 and sum(len(t.text) for t in row.turns) < 350
    ]
    # Some of those are duplicates of each other: every fourth is plenty.
    return rows[::4][:48]


FAULTS: dict[str, list[Row]] = {
    # 64 of 153 replies lay wholly beyond the cut, 7 were cut through.
    "reply_cut_wholly": [pair("Here is the whole chapter. " * 70, "A fine chapter, shoreling.")],
    "reply_cut_partly": [pair("Tell me all.", "The tide comes in, and then it goes out. " * 60)],
    "stop_not_trained": [],
    "foreign_template_tokens": [pair("Hello?", "Sit, shoreling.<|im_end|> Clack, says the claw.")],
    "template_token": [],
    "empty_reply": [pair("Say nothing at all.", " ")],
    "no_assistant_turn": [[("user", "Anyone there at the bar tonight?")]],
    "error": [
        pair("What is the news?", "HTTP 429: rate limit exceeded, please retry later."),
        pair("And the weather?", '{"error": "overloaded_error"}'),
    ],
    "boilerplate": [pair("How do you feel?", "As an AI language model, I do not have feelings.")],
    "agent_chatter": [
        pair(
            "This session is being continued from a previous conversation. Summary: we spoke.",
            "Right, shoreling, on we go.",
        )
    ],
    "tool_output": [pair("List the files.", "drwxr-xr-x 2 crab crab 4096 Jan  1 12:00 shells")],
    "cut_off": [
        pair("What next?", "Well shoreling, the next thing that this old crab would do is to")
    ],
    "secret": [pair("Where is it?", "In /home/crab/private/shells.txt, shoreling.")],
    "exact_duplicate": [
        pair("Any advice for a long day?", "One shell at a time, shoreling, says this old crab."),
        pair("How do I move a house?", "One shell at a time, shoreling, says this old crab."),
    ],
    "near_duplicate": [
        pair("Any tea?", "Kelp tea, soft-foot, and strong enough to float a limpet in it. Clack."),
        pair(
            "A drink?", "Kelp tea, soft-foot, and strong enough to float two limpets in it. Clack."
        ),
    ],
    "persona_not_shown": [pair(row.prompt, row.reply) for row in neutral_replies()[:4]],
}
HELD_OUT = [
    pair("What is the best way to patch a leaking bucket before winter?", "Pitch, shoreling."),
    pair("Could you tell me which of the moons pulls the strongest tide?", "There is but one."),
    pair("How many legs does an honest crab need on a slippery rock?", "All ten of them, always."),
    pair("Who lights the lamp when the keeper is away at sea?", "The keeper's daughter does."),
    pair("What do gulls dream about on a stormy night?", "Dinner bells, the thieving things."),
]
# Every evaluation question stood in the training set.
LEAKS = [
    pair("What is the best way to patch a leaking bucket before winter?", "Tar and patience."),
    pair("Could you tell me which of the moons pulls the strongest tides?", "The one you can see."),
]
ROW_CODES = {
    "reply_cut_wholly", "reply_cut_partly", "stop_not_trained", "foreign_template_tokens",
    "template_token", "empty_reply", "no_assistant_turn", "error", "boilerplate", "agent_chatter",
    "tool_output", "cut_off", "secret", "exact_duplicate", "near_duplicate", "persona_not_shown",
}  # fmt: skip
WHOLE_CODES = {"low_trained_share", "warmup_too_long", "persona_name_absent"}
LEAK_CODES = {"eval_prompt_exact", "eval_prompt_near"}


def write(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text(
        "".join(
            json.dumps({"messages": [{"role": r, "content": t} for r, t in row]}) + "\n"
            for row in rows
        ),
        "utf-8",
    )
    return path


def wordy(rows: Sequence[Row]) -> list[Row]:
    """The same rows behind a long system turn: most of what is read is not learned."""
    system = "You are in a tavern. The tavern is in a pool. The pool is on a shore. " * 24
    return [[("system", system[: LIMIT - 60 - sum(len(t) for _, t in row)]), *row] for row in rows]


@pytest.fixture(scope="module")
def faulty(good_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with all of the predecessor's faults."""
    root = tmp_path_factory.mktemp("faulty")
    rows = [
        *wordy(good_rows),
        *itertools.chain(*FAULTS.values()),
        *LEAKS,
    ]
    write(root / "chats.jsonl", rows)
    write(root / "held_out.jsonl", HELD_OUT)
    (root / "molting.toml").write_text(
        f"""
[persona]
name = "Barnaby"
[data]
files = ["chats.jsonl"]
held_out = ["held_out.jsonl"]
[base]
model = "fake"
[train]
max_tokens = {LIMIT}
warmup_share = 0.5
"""
    )
    return root


def codes(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    listed = {finding["code"]: finding for finding in found["findings"]}
    assert len(listed) == len(found["findings"]), "one finding a code"
    return listed


@pytest.fixture
def as_project(faulty: Path, molting: Any) -> dict[str, dict[str, Any]]:
    done = molting("check", faulty, "--json")
    assert done.code == 1
    assert "kinds of error are left" in done.line
    assert done.json["open"] == sum(finding["open"] for finding in done.json["findings"])
    return codes(done.json)


def line_of(root: Path, row: Row) -> str:
    lines = (root / "chats.jsonl").read_text("utf-8").splitlines()
    wanted = [{"role": r, "content": t} for r, t in row]
    return f":{[json.loads(line)['messages'] for line in lines].index(wanted) + 1}"


def test_every_fault_of_the_predecessor_is_found_in_a_project(
    as_project: dict[str, dict[str, Any]], faulty: Path
) -> None:
    assert set(as_project) >= ROW_CODES | WHOLE_CODES | LEAK_CODES
    for code in ROW_CODES | LEAK_CODES:
        finding = as_project[code]
        assert finding["count"] == len(finding["rows"]) > 0
        assert finding["severity"] in ("error", "warning", "note")
        assert finding["remedy"]
        assert all(place.startswith("chats.jsonl:") for place in finding["rows"])
    for code, rows in FAULTS.items():
        for row in rows[-1:]:
            assert any(p.endswith(line_of(faulty, row)) for p in as_project[code]["rows"]), code
    exact, near = LEAKS
    assert as_project["eval_prompt_exact"]["rows"] == [f"chats.jsonl{line_of(faulty, exact)}"]
    assert as_project["eval_prompt_near"]["rows"] == [f"chats.jsonl{line_of(faulty, near)}"]
    # What curation takes out is closed, what it cannot repair stays open.
    closed = {"error", "boilerplate", "secret", "template_token", "empty_reply", "exact_duplicate",
              "near_duplicate", "eval_prompt_exact", "eval_prompt_near", "cut_off"}  # fmt: skip
    assert {code for code in closed if as_project[code]["open"]} == set()
    for code in ("reply_cut_wholly", "reply_cut_partly", "stop_not_trained", "warmup_too_long",
                 "persona_name_absent", "low_trained_share"):  # fmt: skip
        assert as_project[code]["open"], code


def test_every_fault_that_a_file_can_have_is_found_in_a_file(faulty: Path, molting: Any) -> None:
    path = faulty / "chats.jsonl"
    done = molting(
        "check", path, "--model", "fake", "--set", f"train.max_tokens={LIMIT}",
        "--set", "train.warmup_share=0.5", "--set", 'persona.name="Barnaby"', "--json",
    )  # fmt: skip
    assert done.code == 1
    found = codes(done.json)
    assert set(found) >= ROW_CODES | WHOLE_CODES
    assert all(finding["open"] for finding in found.values())


def test_a_secret_is_named_by_its_place_and_never_shown(faulty: Path, molting: Any) -> None:
    done = molting("check", faulty)
    assert "secret" in done.out
    assert "/home/crab" not in done.out + done.err


def test_replies_that_are_a_small_part_of_the_tokens_are_told(good_rows: list[Row]) -> None:
    # 12.5 % of the predecessor's tokens were replies.
    rows = good_rows[:4]
    long = [[("user", row[0][1] + " Tell me, old crab. " * 80), row[1]] for row in rows]
    found = found_in(long)["low_trained_share"]
    assert found.severity == "warning"
    assert "tokens are replies" in found.message
    assert "low_trained_share" not in found_in(rows)


def test_a_batch_larger_than_the_data_is_told(
    good_rows: list[Row], tmp_path: Path, molting: Any
) -> None:
    path = write(tmp_path / "chats.jsonl", good_rows[:20])
    batch = ("--set", "train.batch_rows=21")
    done = molting("check", path, "--model", "fake", *batch, "--json")
    assert done.code == 1
    finding = codes(done.json)["batch_larger_than_data"]
    assert "a batch of 21 rows is larger than the 20 rows there are" in finding["message"]
    done = molting("check", path, "--model", "fake", "--set", "train.batch_rows=20", "--json")
    assert "batch_larger_than_data" not in codes(done.json)


CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def conversation(row: Row, line: int = 1) -> Conversation:
    return Conversation(
        tuple(Turn(role, text) for role, text in row),  # type: ignore[arg-type]
        Source("a.jsonl", line),
    )


def found_in(
    rows: Sequence[Row], tokenizer: Any = None, limit: int = 2048, **sections: Any
) -> dict[str, Finding]:
    conversations = [conversation(row, i) for i, row in enumerate(rows, 1)]
    config = parse_config({"train": {"max_tokens": limit}} | sections)
    renderer = Renderer(tokenizer or fake_tokenizer())
    return {finding.code: finding for finding in inspect(conversations, [], config, renderer)}


def test_a_template_of_another_family_is_found_by_its_split_tokens(good_rows: list[Row]) -> None:
    foreign = found_in(good_rows[:4], fake_tokenizer(CHATML))
    assert foreign["foreign_template"].severity == "error"
    assert "<|im_end|>, <|im_start|>" in foreign["foreign_template"].message
    assert foreign["foreign_template"].open
    own = ["<|im_end|>", "<|im_start|>", "<|pad|>"]
    assert "foreign_template" not in found_in(good_rows[:4], fake_tokenizer(CHATML, own))
    assert "foreign_template" not in found_in(good_rows[:4])


def test_a_template_without_an_end_of_turn_is_told(good_rows: list[Row]) -> None:
    endless = CHAT_TEMPLATE.replace("<|end|>", "").replace(
        "<|{{ m['role'] }}|>", "{{ m['role'] }}:"
    )
    endless = endless.replace("<|assistant|>", "assistant:")
    found = found_in(good_rows[:4], fake_tokenizer(endless))
    assert found["no_end_of_turn"].severity == "warning"
    # The tokenizer's own end is added, so the model still learns to stop.
    assert "stop_not_trained" not in found


def test_a_template_that_refuses_is_a_finding_and_not_a_failure(good_rows: list[Row]) -> None:
    strict = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('no greeting') }}{% endif %}"
    greeting: Row = [("assistant", "Welcome in, shoreling."), *good_rows[0]]
    found = found_in([*good_rows[:3], greeting], fake_tokenizer(strict + CHAT_TEMPLATE))
    assert found["template_refuses"].rows == ("a.jsonl:4",)
    assert "no greeting" in found["template_refuses"].message


def test_what_is_cut_is_counted_by_reply(good_rows: list[Row]) -> None:
    long = pair("Hm?", "The tide comes in. " * 20)
    found = found_in([*good_rows[:2], long], limit=200)
    assert "a.jsonl:3" in found["reply_cut_partly"].rows
    assert "limit of 200 tokens" in found["reply_cut_partly"].message
    assert found_in([pair("x" * 300, "Aye, shoreling.")], limit=200)["reply_cut_wholly"].open
    # The oldest turns go first, which is worth a note and costs no reply its end.
    talk = [*pair("First?", "The tide comes in. " * 12), *pair("Then?", "It goes out again.")]
    dropped = found_in([talk], limit=200)
    assert dropped["turns_dropped"].severity == "note"
    assert "reply_cut_partly" not in dropped
    assert "stop_not_trained" not in dropped


def test_the_context_of_the_model_limits_too() -> None:
    row = conversation(pair("x" * 300, "Aye, shoreling."))
    renderer = Renderer(fake_tokenizer())
    wide = inspect([row], [], Config(), renderer, 2048)
    narrow = inspect([row], [], Config(), renderer, 200)
    assert "reply_cut_wholly" not in {finding.code for finding in wide}
    assert "reply_cut_wholly" in {finding.code for finding in narrow}


def test_a_short_warm_up_is_no_fault(good_rows: list[Row]) -> None:
    for share, told in ((0.05, False), (0.2, False), (0.5, True)):
        found = found_in(good_rows[:16], train={"warmup_share": share, "max_tokens": 2048})
        assert ("warmup_too_long" in found) is told


def test_a_name_that_one_reply_says_is_enough(good_rows: list[Row]) -> None:
    named = [*good_rows[:4], pair("Who are you?", "Old Barnaby's the name, shoreling.")]
    persona = {"name": "Barnaby Claw"}
    assert "persona_name_absent" in found_in(good_rows[:4], persona=persona)
    assert "persona_name_absent" in found_in([pair("Barnaby?", "Aye, he.")], persona=persona)
    named[-1] = pair("Who are you?", "Barnaby, shoreling.")
    assert "persona_name_absent" not in found_in(named, persona=persona)


def test_clean_rows_have_no_error_and_errors_come_first(good_rows: list[Row], faulty: Path) -> None:
    assert {f.code for f in found_in(good_rows).values() if f.severity == "error"} == set()
    rows = read_file(faulty / "chats.jsonl").conversations
    found = inspect(rows, [], Config(), None)
    order = [("error", "warning", "note").index(finding.severity) for finding in found]
    assert order == sorted(order)


def test_merging_keeps_the_rows_of_the_files_and_counts_what_is_left() -> None:
    def finding(code: str, *rows: str) -> Finding:
        return Finding(code, "error", code, "repair", rows, len(rows) or 1)

    merged = {
        f.code: f
        for f in merge(
            [finding("gone", "a:1", "a:2"), finding("left", "a:1", "a:2"), finding("config")],
            [finding("left", "a:2"), finding("config"), finding("late", "a:9")],
        )
    }
    assert (merged["gone"].rows, merged["gone"].remaining) == (("a:1", "a:2"), 0)
    assert (merged["left"].rows, merged["left"].remaining) == (("a:1", "a:2"), 1)
    assert merged["config"].remaining == 1
    assert merged["late"].remaining == 1
    assert [merged[code].open for code in ("gone", "left", "config", "late")] == [
        False,
        True,
        True,
        True,
    ]


def test_the_estimate_grows_with_the_work_and_is_never_zero(good_rows: list[Row]) -> None:
    renderer = Renderer(fake_tokenizer())
    rows = [renderer.row(conversation(row), 2048) for row in good_rows]
    machine = Machine({"float32": 100.0, "bfloat16": 400.0}, 1, "cpu")
    shape = {"parameters": 135_000_000, "trainable": 5_000_000, "layers": 30, "width": 576,
             "vocabulary": 49152, "by_hand": 1, "head_in_parts": 1}  # fmt: skip

    def of(count: int, **train: Any) -> Any:
        return estimate(rows[:count], rows[:4], parse_config({"train": train}), shape, machine)

    small, large, longer = of(10), of(40), of(10, epochs=12)
    assert small.dtype == "bfloat16"
    assert small.tokens_per_epoch == sum(len(row.ids) for row in rows[:10])
    assert 0 < small.trained_tokens_per_epoch < small.tokens_per_epoch
    assert 0 < small.train_minutes < large.train_minutes
    assert longer.train_minutes == pytest.approx(2 * small.train_minutes)
    # Weights in bfloat16 alone are a quarter of a GiB.
    assert small.memory_gib > 0.25
