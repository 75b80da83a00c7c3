"""A small measure of voice while training goes on: a few validation prompts, one reply each.

It has a say in which state is kept and when training stops; what a molt is judged by is the whole
evaluation, on prompts that training never sees. The detector here is fitted on the training rows, so
that the validation replies, which are its 1, are new to it; the base's replies are its 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from molting.core.conversation import Conversation, Turn
from molting.core.corpus import Corpus
from molting.core.progress import Progress
from molting.evaluate.score import voice_value
from molting.memory.replies import remembered_replies
from molting.memory.store import Memory
from molting.models.allocator import release_memory
from molting.models.base import LoadedModel
from molting.models.engine import Engine, supported
from molting.models.generate import Generated, Sampling, generate
from molting.models.render import Renderer
from molting.signals.contrast import neutral_replies, other_personas
from molting.signals.voice import fit_detector

_TOKENS = 48
_TAUGHT = 60
"""Prompts of the training rows that the base answers to teach the detector."""


class VoiceCheck:
    """Made while `base` is untouched; then called with the model in training."""

    def __init__(
        self,
        base: LoadedModel,
        corpus: Corpus,
        prompts: int,
        seed: int,
        memory: Memory,
        progress: Progress,
    ) -> None:
        self.base, self.memory, self.progress = base, memory, progress
        self.renderer = Renderer(base.tokenizer)
        end = self.renderer.end_of_turn
        self.stop_ids = base.stop_ids | ({end} if end is not None else frozenset())
        self.sampling = Sampling(_TOKENS, 0.7, 0.9, seed)
        self.rows = self._fitting(corpus.split("validation"))[:prompts]
        taught = self._fitting(corpus.split("train"))
        few = taught[:: max(1, len(taught) // _TAUGHT)][:_TAUGHT]
        own = self._base_replies([*self.rows, *few])
        self.detector = fit_detector(
            [row.reply for row in taught],
            {
                "base": [reply.text for reply in own[len(self.rows) :]],
                "neutral": [row.reply for row in neutral_replies()[::2]],
                "personas": [row.reply for row in other_personas()[::2]],
            },
        )
        self.zero = self._scores([reply.text for reply in own[: len(self.rows)]])
        self.one = self._scores([row.reply for row in self.rows])

    def __call__(self, model: Any) -> dict[str, Any]:
        """`voice` and `voice_body` (None where they cannot be told), `personality` from both."""
        texts = [reply.text for reply in self.replies(model, [row.context for row in self.rows])]
        found: dict[str, Any] = self.voice(texts)
        values = [value for value in found.values() if value is not None]
        found["voice_n"] = len(self.rows)
        found["personality"] = min(folded(value) for value in values) if values else None
        return found

    def voice(self, texts: Sequence[str]) -> dict[str, float | None]:
        """V of replies to the validation prompts, whole and without the first words."""
        weights = np.ones(len(texts))
        found: dict[str, float | None] = {}
        for name, mine, zero, one in zip(
            ("voice", "voice_body"), self._scores(texts), self.zero, self.one, strict=True
        ):
            value = voice_value(mine, zero, one, weights)
            found[name] = float(value) if np.isfinite(value) else None
        return found

    def replies(self, model: Any, contexts: Sequence[Sequence[Turn]]) -> list[Generated]:
        """The model's replies at its present state; not remembered, for it is gone a step later."""
        engine = Engine(model, adapter=True) if supported(model) else None
        try:
            return generate(
                self.base,
                model,
                [self.renderer.prompt(context) for context in contexts],
                self.sampling,
                [f"validation:{i}" for i in range(len(contexts))],
                self.stop_ids,
                engine=engine,
                report=lambda done, total: self.progress.step("validation prompts", done, total),
            )
        finally:
            del engine
            release_memory(cycles=False)

    def _base_replies(self, rows: Sequence[Conversation]) -> list[Generated]:
        engines: list[Engine] = []

        def engine() -> Engine | None:
            if not engines and supported(self.base.model):
                engines.append(Engine(self.base.model, adapter=False))
            return engines[0] if engines else None

        return remembered_replies(
            self.memory,
            self.base,
            self.base.model,
            "",
            [self.renderer.prompt(row.context) for row in rows],
            self.sampling,
            [f"validation:{i}" for i in range(len(rows))],
            self.stop_ids,
            lambda done, total: self.progress.step("the base model's replies", done, total),
            engine,
        )

    def _fitting(self, rows: Sequence[Conversation]) -> list[Conversation]:
        """Rows whose prompt leaves room for a reply."""
        limit = self.base.context_tokens - _TOKENS
        return [row for row in rows if len(self.renderer.prompt(row.context)) <= limit]

    def _scores(self, texts: Sequence[str]) -> tuple[Any, Any]:
        return self.detector.score(texts), self.detector.score(texts, body=True)


def folded(value: float) -> float:
    """Too much voice is as wrong as too little: beyond 1 (caricature) the value comes down."""
    return float(np.clip(value if value <= 1 else 2 - value, 0.0, 1.0))
