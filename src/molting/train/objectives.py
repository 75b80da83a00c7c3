"""What a step lowers: next-token loss, or preference of one reply over another (DPO).

Both are sums over trained tokens of weight · nats, as far as gradients go: that is all that a
stepper has to know.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from molting.core.config import Train
from molting.models.likelihood import RowLoss
from molting.models.render import Rendered
from molting.train.steppers import Stepper

_SAME = 1e-3
"""A margin below this is rounding."""


class Pair(NamedTuple):
    """Two replies to one prompt, each a row of which only the reply is trained."""

    whole: Rendered
    """The conversation as plain tuning trains it."""
    chosen: Rendered
    rejected: Rendered
    chosen_nats: float
    """Under the reference, the untouched base, as is the next."""
    rejected_nats: float


class Objective(Protocol):
    """`leads[i]` is the longest row of example i, by which batches are made."""

    leads: Sequence[Rendered]
    abreast: int
    """Rows that an example takes in memory."""

    def count(self, batch: Sequence[int]) -> int:
        """What a batch's loss is the mean over."""

    def tokens(self, batch: Sequence[int]) -> int:
        """Tokens that a step over these examples reads."""

    def gradients(
        self, stepper: Stepper, examples: Sequence[int], count: int
    ) -> tuple[float, dict[str, Any]]:
        """The sum of the examples' losses, and the gradients of that sum / `count`."""


class NextToken:
    """Mean nats over trained tokens."""

    abreast = 1

    def __init__(self, rows: Sequence[Rendered]) -> None:
        self.leads: Sequence[Rendered] = rows

    def count(self, batch: Sequence[int]) -> int:
        return sum(self.leads[i].trained_tokens for i in batch)

    def tokens(self, batch: Sequence[int]) -> int:
        return sum(len(self.leads[i].ids) for i in batch)

    def gradients(
        self, stepper: Stepper, examples: Sequence[int], count: int
    ) -> tuple[float, dict[str, Any]]:
        return stepper.gradients([self.leads[i] for i in examples], count)


class Preference:
    """DPO with an NLL term (Open Character Training's recipe), over pairs:

        −log σ(β · margin) + nll · nats per token of the chosen reply
        margin = (nats of chosen under the reference − now) − (the same of rejected)

    With `dpo_per_token` each reply's nats are divided by its tokens, so that length is no argument.
    """

    abreast = 2

    def __init__(self, pairs: Sequence[Pair], config: Train) -> None:
        self.pairs, self.beta, self.nll = pairs, config.dpo_beta, config.dpo_nll
        self.per_token = config.dpo_per_token
        self.leads: Sequence[Rendered] = [
            max(p.chosen, p.rejected, key=lambda row: len(row.ids)) for p in pairs
        ]

    def count(self, batch: Sequence[int]) -> int:
        return len(batch)

    def tokens(self, batch: Sequence[int]) -> int:
        return sum(len(self.pairs[i].chosen.ids) + len(self.pairs[i].rejected.ids) for i in batch)

    def gradients(
        self, stepper: Stepper, examples: Sequence[int], count: int
    ) -> tuple[float, dict[str, Any]]:
        import torch

        pairs = [self.pairs[i] for i in examples]
        rows = [row for pair in pairs for row in (pair.chosen, pair.rejected)]
        total = 0.0

        def weigh(nats_N: Any, row_N: Any) -> Any:
            nonlocal total
            nats_B = torch.zeros(len(rows), dtype=torch.float64, device=nats_N.device)
            nats_B.index_add_(0, row_N, nats_N.double())
            weights: list[float] = []
            for p, (chosen, rejected) in zip(pairs, nats_B.view(-1, 2).tolist(), strict=True):
                loss, at_chosen, at_rejected = self.loss(p, chosen, rejected)
                total += loss
                weights += [at_chosen / count, at_rejected / count]
            return nats_N.new_tensor(weights)[row_N]

        grads = stepper.weighted(rows, weigh)
        return total, grads

    def margin(self, pair: Pair, chosen: float, rejected: float) -> float:
        """How much further than the reference the model prefers the chosen reply, in nats."""
        per_chosen, per_rejected = self._per(pair)
        return (pair.chosen_nats - chosen) / per_chosen - (
            pair.rejected_nats - rejected
        ) / per_rejected

    def loss(self, pair: Pair, chosen: float, rejected: float) -> tuple[float, float, float]:
        """Loss of a pair from its replies' nats, and its derivatives by each of the two."""
        per_chosen, per_rejected = self._per(pair)
        tokens = pair.chosen.trained_tokens
        x = self.beta * self.margin(pair, chosen, rejected)
        # −log σ(x), and σ(−x), without overflow.
        loss = max(-x, 0.0) + math.log1p(math.exp(-abs(x)))
        doubt = math.exp(-max(x, 0.0)) / (1 + math.exp(-abs(x)))
        return (
            loss + self.nll * chosen / tokens,
            self.beta * doubt / per_chosen + self.nll / tokens,
            -self.beta * doubt / per_rejected,
        )

    def _per(self, pair: Pair) -> tuple[int, int]:
        if not self.per_token:
            return 1, 1
        return pair.chosen.trained_tokens, pair.rejected.trained_tokens

    def measured(self, losses: Sequence[RowLoss]) -> dict[str, float]:
        """Mean loss over pairs, and the share in which the chosen reply gained on the rejected
        one; `losses` are those of `rows()`."""
        found = [
            (pair, losses[2 * i].nats, losses[2 * i + 1].nats) for i, pair in enumerate(self.pairs)
        ]
        return {
            "preference_loss": sum(self.loss(*f)[0] for f in found) / len(found),
            "preferred": sum(self.margin(*f) > _SAME for f in found) / len(found),
        }

    def rows(self) -> list[Rendered]:
        """Chosen, rejected, chosen, rejected, …"""
        return [row for pair in self.pairs for row in (pair.chosen, pair.rejected)]
