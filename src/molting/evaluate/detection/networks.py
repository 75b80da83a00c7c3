"""Heads that learn in steps, over the sequence of a writer's windows: MLP, GRU, LSTM, CNN, Transformer.

One small network answers for all traits; AdamW, stopped where the loss on the held-out part is
least. Shapes: B samples, W windows, D width, H hidden width, C classes of all traits together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from molting.evaluate.detection.arrays import UNKNOWN, Floats, Integers, Tensors

_HIDDEN = 64
_DROPOUT = 0.3
_BATCH = 64
_RATE = 2e-3
_DECAY = 0.05
_EPOCHS = 30
_PATIENCE = 4


class Network:
    """A fitted network with the standardisation of its input."""

    def __init__(self, name: str, module: Any, mean: Floats, scale: Floats, classes: Sequence[int]):
        self.name, self.module, self.mean, self.scale = name, module, mean, scale
        self.classes = list(classes)

    def score(self, sequences: Sequence[Floats]) -> list[Floats]:
        import torch

        if not sequences:
            return [np.zeros((0, count), np.float32) for count in self.classes]
        self.module.eval()
        rows_BWD, length_B = self._batch(sequences)
        with torch.inference_mode():
            scores = self.module(rows_BWD, length_B).numpy()
        return list(np.split(scores, np.cumsum(self.classes)[:-1], 1))

    def tensors(self) -> Tensors:
        state = {f"net.{k}": v.numpy() for k, v in self.module.state_dict().items()}
        return {"mean": self.mean, "scale": self.scale} | state

    @classmethod
    def load(cls, name: str, tensors: Tensors, classes: Sequence[int]) -> Network:
        import torch

        mean, scale = tensors["mean"], tensors["scale"]
        module = _module(name, len(mean), sum(classes))
        module.load_state_dict(
            {
                key.removeprefix("net."): torch.from_numpy(np.array(value))
                for key, value in tensors.items()
                if key.startswith("net.")
            }
        )
        return cls(name, module, mean, scale, classes)

    def _batch(self, sequences: Sequence[Floats]) -> tuple[Any, Any]:
        """Standardised rows padded on the right with zeros (B, W, D), and how many are real (B,)."""
        import torch

        longest = max(len(sequence) for sequence in sequences)
        rows = np.zeros((len(sequences), longest, len(self.mean)), np.float32)
        for i, sequence in enumerate(sequences):
            rows[i, : len(sequence)] = (sequence - self.mean) / self.scale
        return torch.from_numpy(rows), torch.tensor([len(sequence) for sequence in sequences])


def fit_network(
    name: str,
    sequences: Sequence[Floats],
    labels_NK: Integers,
    classes: Sequence[int],
    fit: Integers,
    stop: Integers,
    seed: int,
) -> Network:
    """Train on rows `fit`, keep the epoch with the least loss on rows `stop`."""
    import torch

    stacked = np.concatenate([sequences[i] for i in fit])
    mean = stacked.mean(0, dtype=np.float64).astype(np.float32)
    scale = np.maximum(stacked.std(0, dtype=np.float64), 1e-6).astype(np.float32)
    weights = [_class_weights(labels_NK[fit, k], count) for k, count in enumerate(classes)]
    # The generator is everybody's: what is drawn here must not move anybody else's draws.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(name, _module(name, len(mean), sum(classes)), mean, scale, classes)
        module = network.module
        optimizer = torch.optim.AdamW(module.parameters(), lr=_RATE, weight_decay=_DECAY)
        rows_BWD, length_B = network._batch([sequences[i] for i in fit])
        labels_BK = torch.from_numpy(labels_NK[fit])
        held = [sequences[i] for i in stop]
        best, best_state, waited = math.inf, None, 0
        for _ in range(_EPOCHS):
            module.train()
            order = torch.randperm(len(fit))
            for start in range(0, len(fit), _BATCH):
                some = order[start : start + _BATCH]
                scores_BC = module(rows_BWD[some], length_B[some])
                loss = _loss(scores_BC, labels_BK[some], classes, weights)
                if loss is None:
                    continue
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                optimizer.step()
            with torch.inference_mode():
                scores = torch.from_numpy(np.concatenate(network.score(held), 1))
                on_held = _loss(scores, torch.from_numpy(labels_NK[stop]), classes, weights)
            value = math.inf if on_held is None else float(on_held)
            if value < best - 1e-4:
                best, waited = value, 0
                best_state = {k: v.clone() for k, v in module.state_dict().items()}
            elif (waited := waited + 1) >= _PATIENCE:
                break
        if best_state is not None:
            module.load_state_dict(best_state)
    return network


def _class_weights(labels: Integers, count: int) -> Any:
    """Every class weighs alike; a class nobody has weighs nothing."""
    import torch

    counts = np.bincount(labels[labels != UNKNOWN], minlength=count).astype(np.float32)
    present = counts > 0
    weights = np.where(present, counts.sum() / np.maximum(counts * present.sum(), 1), 0)
    return torch.from_numpy(weights.astype(np.float32))


def _loss(scores_BC: Any, labels_BK: Any, classes: Sequence[int], weights: Sequence[Any]) -> Any:
    """Mean cross-entropy over the traits of which something is known; None when nothing is."""
    import torch
    from torch.nn.functional import cross_entropy

    parts = []
    for k, (scores, weight) in enumerate(
        zip(scores_BC.split(list(classes), 1), weights, strict=True)
    ):
        labels = labels_BK[:, k]
        known = labels != UNKNOWN
        if bool(known.any()) and float(weight[labels[known]].sum()) > 0:
            parts.append(cross_entropy(scores[known], labels[known], weight))
    return torch.stack(parts).mean() if parts else None


def _module(name: str, width: int, outputs: int) -> Any:
    """The network: windows (B, W, D) and lengths (B,) to scores (B, C)."""
    import torch
    from torch import nn

    class Pooled(nn.Module):
        """Dropout, a body over the sequence, its mean (or maximum) over the real windows, a layer."""

        def __init__(self) -> None:
            super().__init__()
            self.drop = nn.Dropout(_DROPOUT)
            self.body, self.hidden = _body(name, width)
            self.out = nn.Linear(self.hidden, outputs)

        def forward(self, rows_BWD: Any, length_B: Any) -> Any:
            inside_BW = torch.arange(rows_BWD.shape[1])[None] < length_B[:, None]
            state_BWH = self._states(self.drop(rows_BWD), inside_BW)
            if name == "cnn":
                summary_BH = state_BWH.masked_fill(~inside_BW[..., None], float("-inf")).amax(1)
            else:
                summed = (state_BWH * inside_BW[..., None]).sum(1)
                summary_BH = summed / length_B[:, None]
            return self.out(self.drop(summary_BH))

        def _states(self, rows_BWD: Any, inside_BW: Any) -> Any:
            if name == "mlp":
                return self.body(rows_BWD)
            if name in ("gru", "lstm"):
                # Read forwards only, so what pads the end reaches no real window.
                return self.body(rows_BWD)[0]
            if name == "cnn":
                return self.body(rows_BWD.transpose(1, 2)).transpose(1, 2)
            project, encoder = self.body
            return encoder(project(rows_BWD), src_key_padding_mask=~inside_BW)

    return Pooled()


def _body(name: str, width: int) -> tuple[Any, int]:
    from torch import nn

    if name == "mlp":
        return nn.Sequential(nn.Linear(width, _HIDDEN), nn.GELU()), _HIDDEN
    if name == "gru":
        return nn.GRU(width, _HIDDEN, batch_first=True), _HIDDEN
    if name == "lstm":
        return nn.LSTM(width, _HIDDEN, batch_first=True), _HIDDEN
    if name == "cnn":
        return nn.Sequential(nn.Conv1d(width, _HIDDEN, 3, padding=1), nn.GELU()), _HIDDEN
    layer = nn.TransformerEncoderLayer(
        _HIDDEN, 4, 2 * _HIDDEN, dropout=_DROPOUT, batch_first=True, norm_first=True
    )
    encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    return nn.ModuleList([nn.Linear(width, _HIDDEN), encoder]), _HIDDEN
