"""Batched generation with fixed seeds.

Every reply has its own random stream (from the seed, its prompt and its sample number), one
uniform number a token, so the draw does not depend on what else is in the batch. Models of the
Llama family run on the engine (`models/engine.py`); any other goes through its own forward.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any

import msgspec
import numpy as np

from molting.models.base import LoadedModel
from molting.models.decode import decode
from molting.models.engine import Engine

_CANDIDATES = 64
"""Nucleus sampling looks at this many of the likeliest tokens; the rest have no share."""


class Ended(StrEnum):
    """Why a reply ended: a third case exists, so this is no boolean."""

    stop = "stop"
    length = "length"


class Sampling(msgspec.Struct, frozen=True):
    max_new_tokens: int
    temperature: float
    top_p: float
    seed: int


class Generated(msgspec.Struct, frozen=True):
    text: str
    ended: Ended
    tokens: int


def generate(
    base: LoadedModel,
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    sampling: Sampling,
    streams: Sequence[str],
    stop_ids: frozenset[int],
    *,
    engine: Engine | None = None,
    most_tokens: int = 8_000,
    report: Callable[[int, int], None] | None = None,
) -> list[Generated]:
    """Answer every prompt. `streams[i]` names the random stream of reply i.

    With an `engine` it answers, and `model` is not asked. Otherwise `most_tokens` bounds
    rows × (prompt + reply) in a batch, and with it the memory.
    """
    found: list[Generated | None] = [None] * len(prompts)
    if engine is not None:
        replies = decode(
            engine,
            prompts,
            sampling.max_new_tokens,
            lambda i: _stream(sampling.seed, streams[i], sampling.max_new_tokens),
            lambda logits_BV, draw: _choose(logits_BV, draw, sampling),
            stop_ids,
        )
        for count, (i, ids, stopped) in enumerate(replies, 1):
            text = base.tokenizer.decode(ids, skip_special_tokens=True).strip()
            found[i] = Generated(text, Ended.stop if stopped else Ended.length, len(ids))
            if report:
                report(count, len(prompts))
        return [reply for reply in found if reply is not None]
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    done = 0
    position = 0
    while position < len(order):
        rows = [order[position]]
        while position + len(rows) < len(order) and len(rows) < 64:
            candidate = order[position + len(rows)]
            width = len(prompts[candidate]) + sampling.max_new_tokens
            if (len(rows) + 1) * width > most_tokens:
                break
            rows.append(candidate)
        position += len(rows)
        for i, ids, ended in _generate_batch(
            base, model, prompts, rows, sampling, streams, stop_ids
        ):
            text = base.tokenizer.decode(ids, skip_special_tokens=True)
            found[i] = Generated(text.strip(), ended, len(ids))
            done += 1
            if report:
                report(done, len(prompts))
    return [reply for reply in found if reply is not None]


def _generate_batch(
    base: LoadedModel,
    model: Any,
    prompts: Sequence[tuple[int, ...]],
    rows: list[int],
    sampling: Sampling,
    streams: Sequence[str],
    stop_ids: frozenset[int],
) -> Iterator[tuple[int, list[int], Ended]]:
    import torch
    from transformers.cache_utils import DynamicCache

    device = next(model.parameters()).device
    pad = base.tokenizer.pad_token_id or 0
    width = max(len(prompts[i]) for i in rows)
    tokens_BT = torch.full((len(rows), width), pad, dtype=torch.long)
    mask_BT = torch.zeros((len(rows), width), dtype=torch.long)
    for b, i in enumerate(rows):
        tokens_BT[b, width - len(prompts[i]) :] = torch.tensor(prompts[i])
        mask_BT[b, width - len(prompts[i]) :] = 1
    tokens_BT, mask_BT = tokens_BT.to(device), mask_BT.to(device)
    position_B = mask_BT.sum(1)
    uniform = {i: _stream(sampling.seed, streams[i], sampling.max_new_tokens) for i in rows}
    said: dict[int, list[int]] = {i: [] for i in rows}
    alive = list(rows)
    with torch.inference_mode():
        cache = DynamicCache()
        output = model(
            input_ids=tokens_BT,
            attention_mask=mask_BT,
            position_ids=(mask_BT.cumsum(1) - 1).clamp(min=0),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        for step in range(sampling.max_new_tokens):
            draw = np.array([uniform[i][step] for i in alive])
            next_B = _choose(output.logits[:, -1].float(), draw, sampling)
            keep: list[int] = []
            for b, i in enumerate(alive):
                token = int(next_B[b])
                if token in stop_ids:
                    yield i, said[i], Ended.stop
                    continue
                said[i].append(token)
                if step + 1 == sampling.max_new_tokens:
                    yield i, said[i], Ended.length
                else:
                    keep.append(b)
            if not keep:
                return
            if len(keep) < len(alive):
                kept = torch.tensor(keep, device=device)
                cache.batch_select_indices(kept)
                mask_BT, position_B, next_B = mask_BT[kept], position_B[kept], next_B[kept]
                alive = [alive[b] for b in keep]
            mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(alive), 1)], dim=1)
            output = model(
                input_ids=next_B[:, None],
                attention_mask=mask_BT,
                position_ids=position_B[:, None],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            position_B = position_B + 1


def _choose(logits_BV: Any, uniform_B: np.ndarray, sampling: Sampling) -> Any:
    """Greedy at temperature 0, else the nucleus by inverse distribution function."""
    import torch

    if sampling.temperature == 0:
        return logits_BV.argmax(-1)
    top_BK, index_BK = (logits_BV / sampling.temperature).topk(
        min(_CANDIDATES, logits_BV.shape[-1])
    )
    # Normalised over the whole vocabulary, so that `top_p` keeps its meaning.
    probability_BK = (top_BK - (logits_BV / sampling.temperature).logsumexp(-1, keepdim=True)).exp()
    before_BK = probability_BK.cumsum(-1) - probability_BK
    probability_BK = probability_BK.masked_fill(before_BK >= sampling.top_p, 0.0)
    cumulative_BK = probability_BK.cumsum(-1)
    wanted_B1 = torch.as_tensor(uniform_B, device=logits_BV.device, dtype=cumulative_BK.dtype)[
        :, None
    ]
    chosen_B1 = (cumulative_BK <= wanted_B1 * cumulative_BK[:, -1:]).sum(-1, keepdim=True)
    last_B1 = (probability_BK > 0).sum(-1, keepdim=True) - 1
    return index_BK.gather(-1, torch.minimum(chosen_B1, last_B1))[:, 0]


def _stream(seed: int, name: str, length: int) -> np.ndarray:
    digest = hashlib.blake2b(f"{seed}\x00{name}".encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "little")).random(length)


def stream(
    base: LoadedModel,
    model: Any,
    prompt: tuple[int, ...],
    sampling: Sampling,
    name: str,
    stop_ids: frozenset[int],
) -> Iterator[str]:
    """Answer one prompt, text piece by piece; nothing is yielded in the middle of a character."""
    import torch
    from transformers.cache_utils import DynamicCache

    device = next(model.parameters()).device
    uniform = _stream(sampling.seed, name, sampling.max_new_tokens)
    ids: list[int] = []
    shown = ""
    cache = DynamicCache()
    following = torch.tensor([prompt], device=device)
    for step in range(sampling.max_new_tokens):
        # Entered for each step: a caller may close the generator, or use gradients, in between.
        with torch.inference_mode():
            output = model(
                input_ids=following, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            token = int(
                _choose(output.logits[:, -1].float(), uniform[step : step + 1], sampling)[0]
            )
            following = torch.tensor([[token]], device=device)
        if token in stop_ids:
            break
        ids.append(token)
        text = base.tokenizer.decode(ids, skip_special_tokens=True)
        if len(text) > len(shown) and not text.endswith("\ufffd"):
            yield text[len(shown) :]
            shown = text
