"""RMSNorm of a float32 stream (N tokens, D wide), and its gradient written out by hand."""

from __future__ import annotations

from typing import Any


def normal(stream_ND: Any, weight_D: Any, eps: float, dtype: Any) -> tuple[Any, Any]:
    """RMSNorm: the normal stream in `dtype`, and the factor 1/rms (N, 1)."""
    import torch

    length_N1 = torch.linalg.vector_norm(stream_ND, dim=-1, keepdim=True)
    scale_N1 = (length_N1.square_().div_(stream_ND.shape[-1]).add_(eps)).rsqrt_()
    return apply_normal(stream_ND, scale_N1, weight_D, dtype), scale_N1


def apply_normal(stream_ND: Any, scale_N1: Any, weight_D: Any, dtype: Any) -> Any:
    return (stream_ND * scale_N1).mul_(weight_D).to(dtype)


def normal_back(
    at_normal_ND: Any, stream_ND: Any, scale_N1: Any, weight_D: Any, beside_ND: Any = None
) -> Any:
    """Gradient of RMSNorm at its input: s·(w·g) − x·s³·mean(x·w·g), plus what comes `beside` it."""
    import torch

    weighted_ND = at_normal_ND * weight_D
    mean_N1 = (weighted_ND * stream_ND).mean(-1, keepdim=True)
    if beside_ND is None:
        weighted_ND.mul_(scale_N1)
    else:
        weighted_ND = torch.addcmul(beside_ND, weighted_ND, scale_N1)
    return weighted_ND.addcmul_(stream_ND, mean_N1 * scale_N1**3, value=-1)
