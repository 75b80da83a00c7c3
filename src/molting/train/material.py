"""From a corpus to what the loop learns from: rows, pairs, neutral rows. The base is untouched yet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from molting.core.config import Train
from molting.core.corpus import Corpus
from molting.core.errors import ConfigError
from molting.core.progress import Progress
from molting.memory.store import Memory
from molting.models.base import LoadedModel
from molting.models.render import Rendered, Renderer
from molting.train.mix import neutral_rows
from molting.train.objectives import Pair
from molting.train.preference import Pairs, preference_pairs


class Material(NamedTuple):
    """What training learns from and stops by."""

    rows: list[Rendered]
    validation: list[Rendered]
    pairs: tuple[Pair, ...] = ()
    held_out_pairs: tuple[Pair, ...] = ()
    facts: Mapping[str, object] = MappingProxyType({})
    """For the manifest: how many neutral rows, how many pairs, which were dropped and why."""


def prepare(
    base: LoadedModel,
    renderer: Renderer,
    corpus: Corpus,
    config: Train,
    memory: Memory,
    progress: Progress,
) -> Material:
    """Render the splits; for `dpo` make pairs, for `mix` neutral rows."""
    limit = min(config.max_tokens, base.context_tokens)
    rows = [renderer.row(row, limit) for row in corpus.split("train")]
    validation = [renderer.row(row, limit) for row in corpus.split("validation")]
    if config.method == "dpo":
        if config.mix:
            raise ConfigError(
                "is for lora and qlora; dpo keeps to the base model by its reference "
                "(train.dpo_beta)",
                key="train.mix",
            )
        made = preference_pairs(base, renderer, corpus.split("train"), config, memory, progress)
        held_out = preference_pairs(
            base, renderer, corpus.split("validation"), config, memory, progress
        )
        progress.say(_told(made))
        facts = {"pairs": len(made.pairs), "held_out_pairs": len(held_out.pairs), "dropped": made.dropped}  # fmt: skip
        whole = [pair.whole for pair in made.pairs]
        return Material(whole, validation, made.pairs, held_out.pairs, facts)
    if config.mix:
        neutral = neutral_rows(base, renderer, len(rows), config, memory, progress)
        share = len(neutral) / (len(neutral) + len(rows))
        progress.say(f"{len(neutral)} neutral rows are mixed in: {share:.0%} of all")
        return Material([*rows, *neutral], validation, facts={"neutral_rows": len(neutral)})
    return Material(rows, validation)


def _told(made: Pairs) -> str:
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(made.dropped.items()))
    return f"{len(made.pairs)} pairs to prefer by" + (f"; dropped: {dropped}" if dropped else "")
