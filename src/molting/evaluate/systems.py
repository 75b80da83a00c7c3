"""The four systems that are compared, and their replies to the same prompts with the same seeds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from molting.core.conversation import Turn
from molting.core.errors import InputError
from molting.core.progress import Progress
from molting.memory.replies import remembered_replies
from molting.memory.scored import remembered_rows, remembered_scores
from molting.memory.store import Memory, key_of
from molting.models.allocator import release_memory
from molting.models.base import LoadedModel
from molting.models.branches import branch_losses
from molting.models.engine import Engine, supported
from molting.models.generate import Generated, Sampling
from molting.models.greedy import greedy_rows
from molting.models.likelihood import RowLoss, row_losses
from molting.models.mean_states import mean_states
from molting.models.render import Rendered, Renderer
from molting.signals.stats import Array

SYSTEMS = ("base", "prompted", "tuned", "tuned_prompted")


class Speaker:
    """Answers prompts as one of the four systems. `adapter` is the adapter's content hash."""

    def __init__(
        self,
        base: LoadedModel,
        model: Any,
        adapter: str,
        persona_prompt: str,
        memory: Memory,
        progress: Progress,
    ) -> None:
        self.base, self.model, self.adapter = base, model, adapter
        self.persona_prompt = persona_prompt
        self.memory, self.progress = memory, progress
        self.renderer = Renderer(base.tokenizer)
        end = self.renderer.end_of_turn
        self.stop_ids = base.stop_ids | ({end} if end is not None else frozenset())
        self._supported = supported(model)
        self._engines: dict[bool, Engine] = {}

    def answer(
        self,
        system: str,
        contexts: Sequence[Sequence[Turn]],
        sampling: Sampling,
        sample: int,
        task: str,
        prefills: Sequence[str] | None = None,
    ) -> list[Generated]:
        """One reply to each context, in order; remembered ones are not generated again.

        `prefills[i]` is put into the mouth of reply i, and is no part of what comes back.
        """
        limit = self._room(sampling)
        prompts = []
        for i, turns in enumerate(contexts):
            ids = self._prompt(system, turns, prefills[i] if prefills is not None else "")
            if len(ids) > limit:
                raise InputError(
                    f"a prompt of {len(ids)} tokens leaves no room for a reply in the model's "
                    f"context of {self.base.context_tokens}; shorten the persona or the held-out row"
                )
            prompts.append(ids)
        tuned = system.startswith("tuned")

        def report(done: int, total: int) -> None:
            self.progress.step(f"{task}: {system.replace('_', ' + ')}", done, total)

        with self._switched(tuned):
            return remembered_replies(
                self.memory,
                self.base,
                self.model,
                self.adapter if tuned else "",
                prompts,
                sampling,
                [f"{sample}:{_name(turns)}" for turns in contexts],
                self.stop_ids,
                report,
                lambda: self._engine(tuned),
            )

    def fits(self, system: str, turns: Sequence[Turn], sampling: Sampling, prefill: str) -> bool:
        """Whether the model's context has room for this prompt and its reply."""
        return len(self._prompt(system, turns, prefill)) <= self._room(sampling)

    def _room(self, sampling: Sampling) -> int:
        return self.base.context_tokens - sampling.max_new_tokens

    def _prompt(self, system: str, turns: Sequence[Turn], prefill: str) -> tuple[int, ...]:
        prompted = self.persona_prompt if system.endswith("prompted") else None
        ids = self.renderer.prompt(turns, prompted)
        if prefill:
            ids += tuple(self.base.tokenizer.encode(prefill, add_special_tokens=False))
        return ids

    def _engine(self, tuned: bool) -> Engine | None:
        """The engine with the adapter or without it; one at a time, each is a copy of the weights."""
        if not self._supported:
            return None
        if tuned not in self._engines:
            self._engines.clear()
            # An engine refers to nothing that refers to it.
            release_memory(cycles=False)
            self._engines[tuned] = Engine(self.model, adapter=tuned)
        return self._engines[tuned]

    @contextlib.contextmanager
    def _switched(self, tuned: bool) -> Iterator[None]:
        if tuned or not hasattr(self.model, "disable_adapter"):
            yield
        else:
            with self.model.disable_adapter():
                yield

    def losses(
        self, tuned: bool, rows: Sequence[Rendered], task: str | None = None
    ) -> list[RowLoss]:
        """Loss of each row's trained tokens, with the adapter on or off; remembered."""

        def compute(missing: list[Rendered]) -> list[RowLoss]:
            engine = self._engine(tuned)
            if engine is not None:
                return branch_losses(engine, missing)
            with self._switched(tuned):
                return row_losses(self.model, missing, self.base.tokenizer.pad_token_id or 0)

        def report(done: int, total: int) -> None:
            if task:
                self.progress.step(f"{task}: {'tuned' if tuned else 'base'}", done, total)

        return remembered_scores(self.memory, self._kind(tuned), rows, compute, report)

    def greedy(self, tuned: bool, rows: Sequence[Rendered]) -> list[bool]:
        """For each row, whether greedy decoding would write its trained tokens; remembered."""

        def compute(missing: list[Rendered]) -> list[bool]:
            pad_id = self.base.tokenizer.pad_token_id or 0
            with self._switched(tuned):
                return greedy_rows(self.model, missing, pad_id, self._engine(tuned))

        return remembered_rows(self.memory, ("greedy-1", *self._kind(tuned)), rows, compute)

    def _kind(self, tuned: bool) -> tuple[str, str, str]:
        """What a value in the memory depends on besides the row."""
        return self.base.source.weights, self.adapter if tuned else "", self.base.dtype

    def middle_states(self, rows: Sequence[Rendered]) -> Array | None:
        """Mean state of each row's trained tokens at the base's middle layer, (rows, width).

        None where the engine cannot run the model.
        """
        engine = self._engine(False)
        if engine is None:
            return None
        pad_id = self.base.tokenizer.pad_token_id or 0
        return mean_states(engine.below(engine.layers_count // 2), rows, pad_id)


def _name(context: Sequence[Turn]) -> str:
    """The random stream of a reply by what was asked, not by its place in a list.

    So all systems answer a prompt with the same random numbers, and the same prompt in another
    file has its reply remembered.
    """
    return "/".join(key_of(turn.role, turn.text)[-16:] for turn in context)


class Transcript(msgspec.Struct, frozen=True):
    """One generated reply, as kept in transcripts.jsonl."""

    kind: str
    """`held_out`, `identity` or `fact`."""
    system: str
    prompt: tuple[Turn, ...]
    sample: int
    reply: str
    ended: str
    right: bool | None = None
    """For probes: whether the answer was judged right."""
