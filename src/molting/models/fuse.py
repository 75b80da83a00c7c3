"""Weights of layers that are computed as one product, held once.

A product of several layers needs their weights one below another. A copy beside the model's own
would be as much memory again: 0.4 GiB of float32 for SmolLM2-135M.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def side_by_side(layers: Sequence[Any]) -> Any:
    """The weights (O, D) of linear layers one below another; the layers' own become views of it."""
    import torch

    weights = [layer.weight.detach() for layer in layers]
    if len(weights) == 1:
        return weights[0]
    joined = _already(weights)
    if joined is None:
        joined = torch.cat(weights)
        start = 0
        for layer, weight_OD in zip(layers, weights, strict=True):
            layer.weight.data = joined[start : start + len(weight_OD)]
            start += len(weight_OD)
    return joined


def _already(weights: Sequence[Any]) -> Any | None:
    """The whole that these are views of, if they lie one behind another in it."""
    import torch

    first = weights[0]
    at = first.storage_offset()
    for weight_OD in weights:
        if (
            not weight_OD.is_contiguous()
            or weight_OD.dtype != first.dtype
            or weight_OD.untyped_storage().data_ptr() != first.untyped_storage().data_ptr()
            or weight_OD.storage_offset() != at
            or weight_OD.shape[1] != first.shape[1]
        ):
            return None
        at += weight_OD.numel()
    rows = sum(len(weight_OD) for weight_OD in weights)
    return torch.as_strided(first, (rows, first.shape[1]), (first.shape[1], 1))
