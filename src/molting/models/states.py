"""Hidden states of a frozen model, pooled: what a text looks like from inside the model.

Shapes: N texts, L layers, P poolings, D width, B rows of a batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from molting.core.artifacts import read_json
from molting.core.errors import UsageError
from molting.models.base import LoadedModel, load_tokenizer
from molting.models.engine import Engine, supported
from molting.models.fake import fake_model
from molting.models.sources import ModelSource
from molting.models.vectors import whole

POOLINGS = ("mean", "last", "max")
"""All three are kept: they cost nothing beside the pass that they are taken from."""
_BATCH_TOKENS = 2048
"""Tokens in a batch, padding included."""


class Shape(NamedTuple):
    """What can be known of a model without its weights."""

    layers: int
    width: int
    context_tokens: int


def model_shape(source: ModelSource) -> Shape:
    """From the model's config.json alone."""
    if source.folder is None:
        config = fake_model().config.to_dict()
    else:
        config = read_json(source.folder / "config.json")
    try:
        layers, width = config["num_hidden_layers"], config["hidden_size"]
    except KeyError as error:
        raise UsageError(
            f"{source.name}: its config.json names no {error.args[0]}, so its states cannot be read"
        ) from None
    return Shape(int(layers), int(width), int(config.get("max_position_embeddings") or 1 << 30))


def token_rows(source: ModelSource, texts: Sequence[str], most: int) -> list[tuple[int, ...]]:
    """The first `most` tokens of each text, without special ones; never none.

    The tokenizer's own library reads it: transformers would take longer to import than a head to fit.
    """
    from tokenizers import Tokenizer

    file = source.folder / "tokenizer.json" if source.folder is not None else None
    if file is not None and file.is_file():
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_truncation()
        tokenizer.no_padding()
    else:
        tokenizer = load_tokenizer(source).backend_tokenizer
    found = tokenizer.encode_batch_fast(whole(texts), add_special_tokens=False)
    # Something must stand where a text has no token at all.
    return [tuple(encoded.ids[:most]) or (0,) for encoded in found]


class StateReader:
    """Reads pooled states; `passes` counts the texts that went through the model."""

    def __init__(self, base: LoadedModel) -> None:
        self.base = base
        self.passes = 0
        self._engine = Engine(base.model, adapter=False) if supported(base.model) else None

    def read(
        self,
        rows: Sequence[tuple[int, ...]],
        layers: Sequence[int],
        done: Callable[[Sequence[int], Any], None],
    ) -> None:
        """Calls `done(places, pooled (B, L, P, D) float32)` for each batch of token rows.

        The first token is left out of the mean and the maximum: Llama-like models park attention
        on it, and its state is some hundred times as long as any other's (arXiv 2402.17762).
        A row needs at least one token.
        """
        import numpy as np
        import torch

        for places in _batches([len(row) for row in rows]):
            longest = max(len(rows[i]) for i in places)
            tokens_BT = torch.zeros((len(places), longest), dtype=torch.long)
            for k, i in enumerate(places):
                tokens_BT[k, : len(rows[i])] = torch.tensor(rows[i])
            tokens_BT = tokens_BT.to(self.base.model.device)
            length_B = torch.tensor([len(rows[i]) for i in places], device=tokens_BT.device)
            found = [
                _pool(state_BTD.float(), length_B) for state_BTD in self._states(tokens_BT, layers)
            ]
            self.passes += len(places)
            done(places, np.stack([pooled.cpu().numpy() for pooled in found], 1))

    def _states(self, tokens_BT: Any, layers: Sequence[int]) -> list[Any]:
        import torch

        if self._engine is not None:
            return self._engine.states(tokens_BT, layers)
        with torch.inference_mode():
            # No token looks ahead, so the padding on the right needs no mask.
            states = self.base.model(input_ids=tokens_BT, output_hidden_states=True).hidden_states
        return [states[layer] for layer in layers]


def _pool(state_BTD: Any, length_B: Any) -> Any:
    """(B, P, D) in the order of POOLINGS."""
    import torch

    rows, width, _ = state_BTD.shape
    place_T = torch.arange(width, device=state_BTD.device)
    inside_BT = place_T[None] < length_B[:, None]
    # A row of one token has nothing but its first.
    counted_BT = inside_BT & ((place_T > 0)[None] | (length_B == 1)[:, None])
    counted_BT1 = counted_BT[..., None]
    mean_BD = (state_BTD * counted_BT1).sum(1) / counted_BT1.sum(1)
    last_BD = state_BTD[torch.arange(rows, device=state_BTD.device), length_B - 1]
    most_BD = state_BTD.masked_fill(~counted_BT1, float("-inf")).amax(1)
    return torch.stack([mean_BD, last_BD, most_BD], 1)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places in batches of rows of nearly one length, shortest first."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch and lengths[i] * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
