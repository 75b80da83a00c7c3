"""Replies a model has given, remembered: the same model, prompt and seed never runs twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from molting.memory.store import Memory, key_of
from molting.models.base import LoadedModel
from molting.models.engine import Engine
from molting.models.generate import Generated, Sampling, generate

_CHUNK = 256
"""Replies are put away this many at a time, so an interrupted evaluation resumes."""


def remembered_replies(
    memory: Memory,
    base: LoadedModel,
    model: Any,
    adapter: str,
    prompts: Sequence[tuple[int, ...]],
    sampling: Sampling,
    streams: Sequence[str],
    stop_ids: frozenset[int],
    report: Callable[[int, int], None] | None = None,
    engine: Callable[[], Engine | None] = lambda: None,
) -> list[Generated]:
    """Like `generate`; `adapter` is the adapter's content hash, empty for the untouched base.

    `engine` makes one when something has to be computed.
    """
    keys = [
        key_of(
            "reply-2",
            base.source.weights,
            adapter,
            base.dtype,
            ids,
            sampling,
            stream,
            sorted(stop_ids),
        )
        for ids, stream in zip(prompts, streams, strict=True)
    ]
    known = {
        key: msgspec.convert(value, Generated)
        for key, value in memory.get(dict.fromkeys(keys)).items()
    }
    # Twice in one call is once: the last of equal keys stands for all.
    wanted = {key: i for i, key in enumerate(keys) if key not in known}
    missing = list(wanted.values())
    missing.sort(key=lambda i: (len(prompts[i]), i))
    total = len(missing)
    for start in range(0, total, _CHUNK):
        chunk = missing[start : start + _CHUNK]

        def progress(done: int, _: int, start: int = start) -> None:
            if report:
                report(start + done, total)

        replies = generate(
            base,
            model,
            [prompts[i] for i in chunk],
            sampling,
            [streams[i] for i in chunk],
            stop_ids,
            engine=engine(),
            report=progress,
        )
        fresh = {keys[i]: reply for i, reply in zip(chunk, replies, strict=True)}
        memory.put(fresh)
        known |= fresh
    return [known[key] for key in keys]
