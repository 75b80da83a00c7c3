"""The frozen output head: cross entropy of trained tokens, and its gradient in the same pass.

The head is not trained, so the gradient at the hidden states is known as soon as the logits are:
(softmax − one-hot) · W. Nothing of the vocabulary's size is kept for the way back. Shapes: M
trained tokens, D width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

from molting.models.likelihood import HEAD_ROWS
from molting.models.linear import Linear


class Head:
    """Losses of hidden states (M, D), in the model's dtype, against the tokens they predict."""

    def __init__(self, weight_VD: Any) -> None:
        import torch

        # In float32 the processor multiplies a tall matrix by a narrow one a third faster than the
        # other way round (docs/lab-log.md), so logits stand in columns.
        columns = weight_VD.device.type == "cpu" and weight_VD.dtype == torch.float32
        self._weight_VD = weight_VD if columns else None
        self._dtype = weight_VD.dtype
        if not columns:
            self._forward, self._backward = Linear(weight_VD, None), Linear(weight_VD.T, None)

    def losses(self, normal_MD: Any, targets_M: Any, *, gradients: bool) -> tuple[Any, Any]:
        """Nats (M,) and, if wanted, their gradient at `normal_MD`; both float32."""
        import torch

        nats, at_normal = [], []
        for start in range(0, len(normal_MD), HEAD_ROWS):
            part_MD = normal_MD[start : start + HEAD_ROWS]
            target_M1 = targets_M[start : start + HEAD_ROWS, None]
            logits_MV = self._logits(part_MD)
            total_M1 = logits_MV.logsumexp(-1, keepdim=True)
            nats.append((total_M1 - logits_MV.gather(-1, target_M1))[:, 0])
            if gradients:
                share_MV = logits_MV.sub_(total_M1).exp_()
                share_MV.scatter_add_(-1, target_M1, -torch.ones_like(total_M1))
                at_normal.append(self._back(share_MV))
        if not nats:
            return normal_MD.new_zeros(0, dtype=torch.float32), None
        return torch.cat(nats), torch.cat(at_normal) if gradients else None

    def _logits(self, part_MD: Any) -> Any:
        if self._weight_VD is None:
            return self._forward(part_MD).float()
        return (self._weight_VD @ part_MD.T).T

    def _back(self, share_MV: Any) -> Any:
        if self._weight_VD is None:
            return self._backward(share_MV.to(self._dtype)).float()
        return share_MV @ self._weight_VD
