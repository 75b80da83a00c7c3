"""Log-probabilities of trained tokens: the one loss that training and evaluation share.

The output head is computed on trained positions only; in small models it is a fifth of the
parameters, and replies are often a third of the tokens.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from molting.models.engine import Engine, common_prefix, inner_model
from molting.models.render import Rendered

_HEAD_EXTRAS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


class Batch(NamedTuple):
    """Right-padded rows. Shapes: B rows, T tokens, N trained tokens in all."""

    ids_BT: Any
    attention_BT: Any
    at_N: Any
    """Flat positions (row * T + t) whose hidden state predicts a trained token."""
    targets_N: Any
    row_N: Any


class RowLoss(NamedTuple):
    """Negative log-likelihood of a row's trained tokens: sum in nats, and how many tokens."""

    nats: float
    tokens: int


def collate(rows: Sequence[Rendered], pad_id: int, device: Any = "cpu") -> Batch:
    """Pad on the right. Positions are masked by place, never by id: padding may be the stop."""
    import torch

    width = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    attention = torch.zeros((len(rows), width), dtype=torch.long)
    at: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    for b, row in enumerate(rows):
        ids[b, : len(row.ids)] = torch.tensor(row.ids)
        attention[b, : len(row.ids)] = 1
        for t, trained in enumerate(row.trained):
            if trained and t > 0:
                at.append(b * width + t - 1)
                targets.append(row.ids[t])
                owner.append(b)
    tensors = (torch.tensor(values, dtype=torch.long).to(device) for values in (at, targets, owner))
    return Batch(ids.to(device), attention.to(device), *tensors)


def token_losses(model: Any, batch: Batch) -> Any:
    """Cross entropy of every trained token, float32, shape (N,)."""
    import torch

    inner = inner_model(model)
    if _plain_logits(inner):
        hidden_BTD = getattr(inner, inner.base_model_prefix)(
            input_ids=batch.ids_BT, attention_mask=batch.attention_BT, use_cache=False
        ).last_hidden_state
        hidden_ND = hidden_BTD.flatten(0, 1)[batch.at_N]
        head = inner.get_output_embeddings()
        if head_in_parts(inner):
            return _frozen_head_losses(hidden_ND, head.weight, batch.targets_N)
        logits_NV = head(hidden_ND)
    else:
        logits_BTV = inner(
            input_ids=batch.ids_BT, attention_mask=batch.attention_BT, use_cache=False
        ).logits
        logits_NV = logits_BTV.flatten(0, 1)[batch.at_N]
    return torch.nn.functional.cross_entropy(logits_NV.float(), batch.targets_N, reduction="none")


def head_in_parts(model: Any) -> bool:
    """Whether the loss needs no logits of all positions at once: a plain, frozen head."""
    import torch

    inner = inner_model(model)
    head = inner.get_output_embeddings()
    plain = type(head) is torch.nn.Linear and getattr(head, "bias", None) is None
    return _plain_logits(inner) and plain and not head.weight.requires_grad


def _plain_logits(inner: Any) -> bool:
    return all(getattr(inner.config, name, None) in (None, 1, 1.0) for name in _HEAD_EXTRAS)


HEAD_ROWS = 128
"""Positions at a time: with 49,152 logits each in float32, this bounds the memory to 25 MB a copy."""


def _frozen_head_losses(hidden_ND: Any, weight_VD: Any, targets_N: Any) -> Any:
    """Cross entropy through a frozen head, a few positions at a time.

    The head is not trained, so the gradient at the hidden states is known as soon as the logits
    are: (softmax − one-hot) · W. Computing it on the way forward means that no logits are kept
    for the way back, which for a small model with a large vocabulary is most of the memory.
    """
    return _head_function().apply(hidden_ND, weight_VD, targets_N)


@functools.cache
def _head_function() -> Any:
    """The autograd function, made once: its base class is there only when torch is."""
    import torch

    class Losses(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, hidden_ND: Any, weight_VD: Any, targets_N: Any) -> Any:
            losses, gradients = [], []
            for start in range(0, len(hidden_ND), HEAD_ROWS):
                part_MD = hidden_ND[start : start + HEAD_ROWS]
                target_M1 = targets_N[start : start + HEAD_ROWS, None]
                logits_MV = (part_MD @ weight_VD.T).float()
                total_M1 = logits_MV.logsumexp(-1, keepdim=True)
                losses.append((total_M1 - logits_MV.gather(-1, target_M1))[:, 0])
                if ctx.needs_input_grad[0]:
                    share_MV = logits_MV.sub_(total_M1).exp_()
                    share_MV.scatter_add_(-1, target_M1, -torch.ones_like(total_M1))
                    gradients.append(share_MV.to(weight_VD.dtype) @ weight_VD)
            if gradients:
                ctx.save_for_backward(torch.cat(gradients))
            return torch.cat(losses) if losses else hidden_ND.new_zeros(0, dtype=torch.float32)

        @staticmethod
        def backward(ctx: Any, *outputs: Any) -> Any:
            (gradient_ND,) = ctx.saved_tensors
            at_hidden_ND = (gradient_ND.float() * outputs[0][:, None]).to(gradient_ND.dtype)
            return at_hidden_ND, None, None

    return Losses


def by_length(
    rows: Sequence[Rendered], most_tokens: int = 2048, most_rows: int = 32
) -> list[list[int]]:
    """Indices in batches of like length, each at most `most_tokens` with padding."""
    order = sorted(range(len(rows)), key=lambda i: (len(rows[i].ids), i))
    batches: list[list[int]] = []
    for i in order:
        width = len(rows[i].ids)
        if (
            batches
            and len(batches[-1]) < most_rows
            and (len(batches[-1]) + 1) * width <= most_tokens
        ):
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def row_losses(
    model: Any,
    rows: Sequence[Rendered],
    pad_id: int,
    report: Callable[[int, int], None] | None = None,
    engine: Engine | None = None,
) -> list[RowLoss]:
    """Loss of each row, in the rows' order. No gradients; the model is left in its mode.

    With an `engine` it computes them, and `model` is not asked.
    """
    import torch

    if engine is not None:
        return _engine_losses(engine, rows, pad_id, report)
    device = next(model.parameters()).device
    found: list[RowLoss] = [RowLoss(0.0, 0)] * len(rows)
    was_training = model.training
    model.eval()
    done = 0
    try:
        # Not inference mode: weights that are gathered for this (FSDP) are trained with next.
        with torch.no_grad():
            for indices in by_length(rows):
                batch = collate([rows[i] for i in indices], pad_id, device)
                losses_N = token_losses(model, batch).double()
                for b, i in enumerate(indices):
                    mine = losses_N[batch.row_N == b]
                    found[i] = RowLoss(float(mine.sum()), int(mine.numel()))
                done += len(indices)
                if report:
                    report(done, len(rows))
    finally:
        model.train(was_training)
    return found


def _engine_losses(
    engine: Engine,
    rows: Sequence[Rendered],
    pad_id: int,
    report: Callable[[int, int], None] | None,
) -> list[RowLoss]:
    """A prefix that all rows share, such as a persona's prompt, is read once."""
    import torch

    found: list[RowLoss] = [RowLoss(0.0, 0)] * len(rows)
    # Up to the first trained token at most: what predicts it belongs to the row.
    heads = [row.ids[: max(1, row.first_trained)] for row in rows if row.ids]
    shared = common_prefix(heads, 8)
    prefix = engine.prefix(heads[0][:shared]) if shared else None
    tails = [row.tail(shared) for row in rows]
    done = 0
    for indices in by_length(tails, 1024):
        batch = collate([tails[i] for i in indices], pad_id, engine.device)
        with torch.inference_mode():
            hidden_BTD = engine.read(batch.ids_BT, None, prefix)
            hidden_ND = hidden_BTD.flatten(0, 1)[batch.at_N]
            parts = [
                torch.nn.functional.cross_entropy(
                    engine.logits(hidden_ND[start : start + HEAD_ROWS]).float(),
                    batch.targets_N[start : start + HEAD_ROWS],
                    reduction="none",
                )
                for start in range(0, len(hidden_ND), HEAD_ROWS)
            ]
            losses_N = torch.cat(parts).double() if parts else hidden_ND.new_zeros(0)
        for b, i in enumerate(indices):
            mine = losses_N[batch.row_N == b]
            found[i] = RowLoss(float(mine.sum()), int(mine.numel()))
        done += len(indices)
        if report:
            report(done, len(rows))
    return found


def mean_loss(losses: Iterable[RowLoss]) -> float:
    """Nats per token over all rows; NaN when there is no token (unknown, never 0)."""
    losses = list(losses)
    tokens = sum(loss.tokens for loss in losses)
    return sum(loss.nats for loss in losses) / tokens if tokens else math.nan


def perplexity(nats_per_token: float) -> float:
    return math.exp(min(nats_per_token, 700.0))
