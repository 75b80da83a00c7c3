from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any

import pytest

from molting.core.conversation import Conversation, Source, Turn
from molting.memory.store import Memory
from molting.models import likelihood
from molting.models.base import LoadedModel, load_model
from molting.models.likelihood import row_losses
from molting.models.render import Renderer
from molting.models.sources import find_model
from molting.signals.difficulty import UNMEASURED, difficulties


@functools.cache
def base() -> LoadedModel:
    import torch

    torch.set_num_threads(1)
    return load_model(find_model("fake"), "float32")


@functools.cache
def renderer() -> Renderer:
    return Renderer(base().tokenizer)


def row(*texts: str) -> Conversation:
    turns = tuple(Turn("user" if i % 2 == 0 else "assistant", text) for i, text in enumerate(texts))
    return Conversation(turns, Source("a.jsonl", 1))


ROWS = [
    row("Who are you?", "A crab, shoreling."),
    row("So?", "Clack.", "And the tide?", "It turns at noon."),
    row("no reply"),
    row("Who are you?", "A crab, shoreling."),
]


def test_perplexity_and_ifd_are_the_losses_of_the_last_reply() -> None:
    found = difficulties(ROWS, base(), renderer(), 1024)
    assert found[2] == UNMEASURED
    assert found[0] == found[3]
    for i in (0, 1):
        given = renderer().row(ROWS[i], 1024, last_only=True)
        (loss,) = row_losses(base().model, [given], 260)
        assert found[i].tokens == loss.tokens == len(ROWS[i].reply) + 1, "and the end of the turn"
        assert found[i].perplexity == pytest.approx(math.exp(loss.nats / loss.tokens), rel=1e-4)
        ifd = found[i].ifd
        assert ifd is not None
        assert 0.5 < ifd < 1.5


def test_the_reply_alone_is_scored_behind_the_tokens_that_open_a_reply() -> None:
    (found,) = difficulties([row("Who are you?", "A crab.")], base(), renderer(), 1024)
    given = renderer().row(row("Who are you?", "A crab."), 1024, last_only=True)
    first = given.trained.index(True)
    opening = base().tokenizer("<|assistant|>\n", add_special_tokens=False)["input_ids"]
    assert list(given.ids[first - len(opening) : first]) == opening
    from molting.models.render import Rendered

    ids = (*opening, *given.ids[first:][: found.tokens])
    alone = Rendered(ids, tuple(i >= len(opening) for i in range(len(ids))), True)
    (loss_given,) = row_losses(base().model, [given], 260)
    (loss_alone,) = row_losses(base().model, [alone], 260)
    assert found.ifd == pytest.approx(loss_given.nats / loss_alone.nats, rel=1e-4)


def test_nothing_is_computed_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[int] = []
    real = likelihood.token_losses

    def counting(model: Any, batch: Any) -> Any:
        scored.append(len(batch.ids_BT))
        return real(model, batch)

    monkeypatch.setattr(likelihood, "token_losses", counting)
    with Memory(tmp_path) as memory:
        first = difficulties(ROWS, base(), renderer(), 1024, memory)
        # Two rows are equal and one has no reply: two rows, given their prompt and alone.
        assert sum(scored) == 4
        assert difficulties(ROWS, base(), renderer(), 1024, memory) == first
        assert sum(scored) == 4
        # Another prompt for a known reply costs one pass: the reply alone is remembered.
        difficulties([row("Tell me.", "A crab, shoreling.")], base(), renderer(), 1024, memory)
        assert sum(scored) == 5


def test_a_prompt_that_tells_the_reply_lowers_the_ratio_in_a_model_that_listens() -> None:
    # The fake is untrained: what can be shown of it is that the prompt matters at all.
    one, other = difficulties(
        [row("A crab, shoreling.", "A crab, shoreling."), row("?", "A crab, shoreling.")],
        base(),
        renderer(),
        1024,
    )
    assert one.tokens == other.tokens
    assert one.ifd != other.ifd


def test_a_reply_beyond_the_limit_is_not_measured() -> None:
    (found,) = difficulties([row("x" * 400, "A crab.")], base(), renderer(), 64)
    assert found == UNMEASURED
