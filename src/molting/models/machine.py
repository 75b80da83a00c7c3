"""What this machine can do: both dtypes are timed, never inferred from flags.

bfloat16 is 2–4 times faster than float32 where the processor has matrix instructions for it,
and up to 500 times slower where it has not (pytorch issue 146508).
"""

from __future__ import annotations

import functools
import time

import msgspec

from molting.models.decode import CACHE_BYTES, MOST_ROWS
from molting.models.likelihood import HEAD_ROWS

_FLOPS = 4
"""FLOPs a parameter and token: the way there and the way back, without gradients of the weights."""
_BESIDE = {"float32": 1.2e-7, "bfloat16": 6e-8}
"""Seconds beside the matrix products, for each token, layer and unit of width, on a CPU (measured
on two cores with avx512_bf16; docs/measurements.md)."""


class Machine(msgspec.Struct, frozen=True):
    """Matrix-product speed in GFLOPS by dtype, and the faster dtype."""

    gflops: dict[str, float]
    threads: int
    device: str

    @property
    def dtype(self) -> str:
        # A tie goes to float32, which is exact.
        return "bfloat16" if self.gflops["bfloat16"] > 1.2 * self.gflops["float32"] else "float32"

    def tokens_per_second(self, parameters: int, layers: int, width: int, dtype: str) -> float:
        """Training speed to expect: matrix products at full speed, and what goes on beside them."""
        products = _FLOPS * parameters / (self.gflops[dtype] * 1e9)
        beside = _BESIDE[dtype] * layers * width if self.device == "cpu" else products
        return 1.0 / max(products + beside, 1e-12)


@functools.cache
def measure_machine(seconds: float = 0.5) -> Machine:
    """Time a matrix product of a small model's shape in both dtypes, half the time each."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    gflops: dict[str, float] = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        left = torch.ones((512, 576), dtype=dtype, device=device)
        right = torch.ones((576, 1536), dtype=dtype, device=device)
        with torch.inference_mode():
            left @ right
            best = float("inf")
            end = time.perf_counter() + seconds / 2
            while time.perf_counter() < end:
                begin = time.perf_counter()
                left @ right
                if device == "cuda":
                    torch.cuda.synchronize()
                best = min(best, time.perf_counter() - begin)
        gflops[name] = 2 * 512 * 576 * 1536 / best / 1e9
    return Machine(gflops, torch.get_num_threads(), device)


def choose_dtype(wanted: str) -> str:
    """`auto` becomes the faster of the two on this machine."""
    return measure_machine().dtype if wanted == "auto" else wanted


def evaluation_bytes(total: int, tokens: int, layers: int, width: int, dtype: str) -> int:
    """Peak memory of evaluation to expect, in bytes: the model, the engine's copy of it, the cache.

    `tokens`: of the longest prompt with its reply. SmolLM2-135M in float32: 3.3 GiB were measured in a
    whole run, where this says 3.0.
    """
    size = 4 if dtype == "float32" else 2
    # Both hold while a cache makes room: the old and the new.
    cache = 2 * min(CACHE_BYTES, MOST_ROWS * tokens * 2 * layers * width * size)
    return 2 * total * size + cache + 2**30


def training_bytes(
    total: int,
    trainable: int,
    tokens: int,
    layers: int,
    width: int,
    vocabulary: int,
    dtype: str,
    *,
    by_hand: bool,
    packed: bool = False,
    parted: bool = True,
) -> int:
    """Peak memory of training to expect, in bytes: weights, optimizer, activations, logits.

    `by_hand`: gradients by `models/tuner.py`; otherwise by PEFT and autograd, which keep more.
    `packed`: by hand on a CPU in half precision, where weights stand packed for the way there and the
    way back beside the model's own. `parted`: the head is computed a few positions at a time.
    Measured on SmolLM2-135M in float32: 2.2 and 3.8 GiB, where this says 2.1 and 3.5.
    """
    size = 4 if dtype == "float32" else 2
    weights = total * size * (3 if by_hand and packed else 1)
    # Working copy and gradient in `dtype`; master copy and two moments in float32.
    optimizer = trainable * (2 * size + 12)
    # Values kept for the way back, a token, layer and unit of width.
    activations = tokens * layers * width * (12 if by_hand else 34) * size
    logits = (min(tokens, HEAD_ROWS) if parted else tokens) * vocabulary * (size + 8)
    runtime = 600 * 2**20
    return weights + optimizer + activations + logits + runtime
