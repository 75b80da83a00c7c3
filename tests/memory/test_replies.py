"""Replies are generated once; a lost or damaged memory only costs the time again."""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from molting.memory import replies as room
from molting.memory.replies import remembered_replies
from molting.memory.store import Memory
from molting.models.base import LoadedModel, load_model
from molting.models.generate import Generated, Sampling, generate
from molting.models.sources import find_model

SAMPLING = Sampling(max_new_tokens=4, temperature=1.0, top_p=0.95, seed=1)
PROMPTS = [tuple(text.encode()) for text in ("hello", "a", "tell me more", "hello")]
STREAMS = ["0", "1", "2", "3"]
STOPS = frozenset({256})


@functools.cache
def base() -> LoadedModel:
    return load_model(find_model("fake"), "float32")


class Counted:
    """`generate`, counting the replies it makes."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(
        self, loaded: LoadedModel, model: Any, prompts: Sequence[Any], *rest: Any, **named: Any
    ) -> list[Generated]:
        self.made += len(prompts)
        return generate(loaded, model, prompts, *rest, **named)

    def since(self) -> int:
        made, self.made = self.made, 0
        return made


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counter = Counted()
    monkeypatch.setattr(room, "generate", counter)
    return counter


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path) as found:
        yield found


def ask(
    memory: Memory,
    prompts: Sequence[tuple[int, ...]] = PROMPTS,
    streams: Sequence[str] = STREAMS,
    sampling: Sampling = SAMPLING,
    adapter: str = "",
    stops: frozenset[int] = STOPS,
    loaded: LoadedModel | None = None,
) -> list[Generated]:
    loaded = loaded or base()
    return remembered_replies(
        memory, loaded, loaded.model, adapter, prompts, sampling, streams, stops
    )


def test_a_second_call_generates_nothing_and_says_the_same(
    memory: Memory, counted: Counted
) -> None:
    first = ask(memory)
    assert counted.since() == len(PROMPTS)
    assert ask(memory) == first
    assert counted.since() == 0
    assert first == generate(base(), base().model, PROMPTS, SAMPLING, STREAMS, STOPS)


def test_replies_come_in_the_order_of_their_prompts_however_much_is_known(
    memory: Memory, counted: Counted
) -> None:
    ask(memory, PROMPTS[2:], STREAMS[2:])
    counted.since()
    order = [3, 0, 2, 1]
    found = ask(memory, [PROMPTS[i] for i in order], [STREAMS[i] for i in order])
    assert counted.since() == 2
    fresh = generate(base(), base().model, PROMPTS, SAMPLING, STREAMS, STOPS)
    assert found == [fresh[i] for i in order]


def test_the_same_question_twice_in_one_call_is_asked_once(
    memory: Memory, counted: Counted
) -> None:
    found = ask(memory, [PROMPTS[0]] * 3, ["same"] * 3)
    assert counted.since() == 1
    assert found[0] == found[1] == found[2]


OTHER: dict[str, dict[str, Any]] = {
    "adapter": {"adapter": "b2:1"},
    "seed": {"sampling": msgspec.structs.replace(SAMPLING, seed=2)},
    "temperature": {"sampling": msgspec.structs.replace(SAMPLING, temperature=0.5)},
    "length": {"sampling": msgspec.structs.replace(SAMPLING, max_new_tokens=3)},
    "stop": {"stops": frozenset({256, 1})},
    "stream": {"streams": ["9", "8", "7", "6"]},
    "prompt": {"prompts": [(*ids, 33) for ids in PROMPTS]},
    "dtype": {"loaded": replace(base(), dtype="bfloat16")},
    "weights": {
        "loaded": replace(base(), source=msgspec.structs.replace(base().source, weights="b2:2"))
    },
}


@pytest.mark.parametrize("what", OTHER)
def test_whatever_a_reply_depends_on_makes_it_another_one(
    what: str, memory: Memory, counted: Counted
) -> None:
    ask(memory)
    counted.since()
    ask(memory, **OTHER[what])
    assert counted.since() == len(PROMPTS)


def test_a_corrupted_reply_is_generated_again(
    tmp_path: Path, memory: Memory, counted: Counted
) -> None:
    first = ask(memory)
    counted.since()
    db = sqlite3.connect(tmp_path / "values.db")
    with db:
        db.execute(
            "UPDATE entries SET value = CAST(replace(CAST(value AS TEXT), 'length', 'stop') "
            "AS BLOB) WHERE key = (SELECT min(key) FROM entries)"
        )
    db.close()
    assert ask(memory) == first
    assert counted.since() == 1


def test_an_interrupted_call_keeps_what_was_finished(
    memory: Memory, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_CHUNK", 2)

    def stop(done: int, total: int) -> None:
        assert total == len(PROMPTS)
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        remembered_replies(
            memory, base(), base().model, "", PROMPTS, SAMPLING, STREAMS, STOPS, stop
        )
    counted.since()
    ask(memory)
    assert counted.since() == 2


def test_progress_counts_what_is_generated_over_all_chunks(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_CHUNK", 3)
    seen: list[tuple[int, int]] = []
    remembered_replies(
        memory, base(), base().model, "", PROMPTS, SAMPLING, STREAMS, STOPS,
        lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
