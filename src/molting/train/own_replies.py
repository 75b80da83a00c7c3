"""What the untouched base says by itself: the same prompt, stream and seed never run twice."""

from __future__ import annotations

from collections.abc import Sequence

from molting.core.progress import Progress
from molting.memory.replies import remembered_replies
from molting.memory.store import Memory
from molting.models.base import LoadedModel
from molting.models.engine import Engine, supported
from molting.models.generate import Generated, Sampling
from molting.models.render import Renderer

_TEMPERATURE, _TOP_P = 0.7, 0.9


def own_replies(
    base: LoadedModel,
    renderer: Renderer,
    prompts: Sequence[tuple[int, ...]],
    streams: Sequence[str],
    tokens: int,
    seed: int,
    memory: Memory,
    progress: Progress,
    task: str,
) -> list[Generated]:
    """One reply to each prompt, at most `tokens` long. `base` must be untouched still."""
    end = renderer.end_of_turn
    engines: list[Engine] = []

    def engine() -> Engine | None:
        if not engines and supported(base.model):
            engines.append(Engine(base.model, adapter=False))
        return engines[0] if engines else None

    return remembered_replies(
        memory,
        base,
        base.model,
        "",
        prompts,
        Sampling(tokens, _TEMPERATURE, _TOP_P, seed),
        streams,
        base.stop_ids | ({end} if end is not None else frozenset()),
        lambda done, total: progress.step(task, done, total),
        engine,
    )
