"""A frozen product, its weight laid out for the processor once. Shapes: N rows, D inputs, O outputs."""

from __future__ import annotations

from typing import Any

_WORTH_PACKING = 1 << 17
"""Entries of a weight; a product with a smaller one is mostly the call."""


class Linear:
    """A frozen linear layer; on a CPU its weight is packed once, not at every call, where it pays."""

    def __init__(self, weight_OD: Any, bias_O: Any, *, few_rows: bool = False) -> None:
        """`few_rows`: most inputs have a few dozen rows, as when many replies grow by a token.

        Then a product is bound by how the weight lies in memory, and oneDNN's own layout pays in
        float32 too: 32 rows through SmolLM2-135M take 0.19 s instead of 0.30 (docs/lab-log.md).
        """
        import torch

        self.weight_OD, self.bias_O = weight_OD, bias_O
        self._packed = None
        pays = weight_OD.dtype == torch.bfloat16 or (
            few_rows and weight_OD.dtype == torch.float32 and weight_OD.numel() >= _WORTH_PACKING
        )
        if weight_OD.device.type == "cpu" and pays:
            self._packed = _packed(weight_OD)
        if self._packed is not None:
            self.weight_OD = None

    def __call__(self, input_ND: Any) -> Any:
        import torch

        if self._packed is None:
            return torch.nn.functional.linear(input_ND, self.weight_OD, self.bias_O)
        apply = torch.ops.mkldnn._linear_pointwise
        return apply(input_ND, self._packed, self.bias_O, "none", [], "")

    def plus(self, input_ND: Any, inner_NR: Any, up_RO: Any) -> Any:
        """The output plus `inner_NR` · `up_RO`, added while a product is written."""
        import torch

        if self._packed is None:
            output_NO = torch.nn.functional.linear(input_ND, self.weight_OD, self.bias_O)
            return output_NO.addmm_(inner_NR, up_RO)
        apply = torch.ops.mkldnn._linear_pointwise.binary
        return apply(input_ND, inner_NR @ up_RO, self._packed, self.bias_O, "add")


def _packed(weight: Any) -> Any:
    """oneDNN's own layout of a weight, or None where this build of PyTorch has none."""
    import torch

    try:
        if weight.dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return None
        return torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), 64)
    except (AttributeError, RuntimeError):
        return None
