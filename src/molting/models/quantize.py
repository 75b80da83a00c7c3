"""A base model in 4 bits, for QLoRA: bitsandbytes NF4 with double quantisation, CPU and CUDA.

Linear layers are quantised, the head and the embeddings are not (in small models they are one and the
same). An adapter trained over it is an ordinary one and loads on the unquantised base.
"""

from __future__ import annotations

from typing import Any

from molting.core.errors import UsageError

BITS_PER_WEIGHT = 4.127
"""4, and for each 64 weights a scale in 8 bits, for each 256 scales one in 32."""


def require_bitsandbytes() -> Any:
    """The package, or one clear line."""
    try:
        import bitsandbytes
    except ImportError:
        raise UsageError(
            "train.method = qlora needs bitsandbytes, which is not installed: "
            "pip install 'molting-lm[qlora]'"
        ) from None
    return bitsandbytes


def quantize(model: Any, dtype: Any) -> Any:
    """Replace every linear layer but the head, one after the other; products are in `dtype`.

    The full weight of a layer is let go as soon as its 4-bit copy is made.
    """
    import torch

    bitsandbytes = require_bitsandbytes()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    head = model.get_output_embeddings()
    for name, module in list(model.named_modules()):
        if type(module) is not torch.nn.Linear or module is head:
            continue
        small = bitsandbytes.nn.Linear4bit(
            module.in_features,
            module.out_features,
            bias=module.bias is not None,
            compute_dtype=dtype,
            compress_statistics=True,
            quant_type="nf4",
            device="meta",
        )
        small.weight = bitsandbytes.nn.Params4bit(
            module.weight.data,
            requires_grad=False,
            compress_statistics=True,
            quant_type="nf4",
            module=small,
        )
        small.bias = module.bias
        # Moving a weight to its device is what quantises it.
        small.to(device)
        model.set_submodule(name, small)
        del module.weight
    model.is_loaded_in_4bit = True
    return model
