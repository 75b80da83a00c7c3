"""The frozen layers under the lowest adapted one: forward only, one row at a time.

What they give is remembered, so it must not depend on which rows happened to stand beside: every
product here has the shape of the row's own part, and is the same bit for bit whenever it is
computed (on the same machine, with the same number of threads). The stream between layers is
float32, as in the tuner. Shapes: T tokens of a part, P tokens before it, S = P + T, H key heads,
G queries a key head, K head width, D width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from molting.models.allocator import release_memory
from molting.models.engine import inner_model
from molting.models.fuse import side_by_side
from molting.models.linear import Linear
from molting.models.normal import normal

Past = dict[int, tuple[Any, Any]]
"""Keys and values (H, P, K) of what stands before, by layer."""


class _Layer(NamedTuple):
    attention_norm: Any
    qkv: Linear
    out: Linear
    mlp_norm: Any
    gate_up: Linear
    down: Linear


class Below:
    """Layers `first` to `boundary` − 1 of a model of the Llama family, without adapters."""

    def __init__(self, model: Any, first: int, boundary: int) -> None:
        import torch

        inner = inner_model(model)
        config, body = inner.config, inner.model
        self.first = first
        self.heads = int(config.num_attention_heads)
        self.key_heads = int(config.num_key_value_heads)
        self.head_width = int(
            getattr(config, "head_dim", None) or int(config.hidden_size) // self.heads
        )
        self.eps = float(config.rms_norm_eps)
        self.embedding = body.embed_tokens.weight
        self.dtype, self.device = self.embedding.dtype, self.embedding.device
        self._rotary = body.rotary_emb

        def joined(*modules: Any) -> Linear:
            biases = [module.bias for module in modules if module.bias is not None]
            return Linear(side_by_side(modules), torch.cat(biases) if biases else None)

        with torch.no_grad():
            self.layers = [
                _Layer(
                    layer.input_layernorm.weight.float(),
                    joined(layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj),
                    joined(layer.self_attn.o_proj),
                    layer.post_attention_layernorm.weight.float(),
                    joined(layer.mlp.gate_proj, layer.mlp.up_proj),
                    joined(layer.mlp.down_proj),
                )
                for layer in body.layers[first:boundary]
            ]
        # The weights that now stand side by side have left holes where they stood.
        release_memory(cycles=False)
        self.passes: Counter[int] = Counter()
        """How often each layer was run, by its number in the model."""

    def embed(self, ids: Sequence[int]) -> Any:
        """The stream (T, D) that enters layer 0."""
        import torch

        ids_T = torch.tensor(ids, dtype=torch.long, device=self.device)
        return torch.nn.functional.embedding(ids_T, self.embedding).float()

    def run(self, stream_TD: Any, past: Past | None) -> tuple[Any, Past]:
        """The stream behind the last layer, and what comes next needs to look back at it."""
        import torch
        from torch.nn.functional import silu

        width = len(stream_TD)
        before = 0 if not past else next(iter(past.values()))[0].shape[1]
        with torch.no_grad():
            position_1T = torch.arange(before, before + width, device=self.device)[None]
            cos, sin = self._rotary(stream_TD.to(self.dtype)[None], position_1T)
            cos_T1K, sin_T1K = cos[0][:, None], sin[0][:, None]
            future_TS = torch.ones(
                (width, before + width), dtype=torch.bool, device=self.device
            ).triu(before + 1)
            left: Past = {}
            for number, layer in enumerate(self.layers, self.first):
                self.passes[number] += 1
                normal_TD, _ = normal(stream_TD, layer.attention_norm, self.eps, self.dtype)
                mixed = layer.qkv(normal_TD).view(width, -1, self.head_width)
                turning = mixed[:, : self.heads + self.key_heads]
                turning = turning * cos_T1K + _half_turned(turning) * sin_T1K
                key, value = turning[:, self.heads :], mixed[:, self.heads + self.key_heads :]
                key, value = key.transpose(0, 1), value.transpose(0, 1)
                if past:
                    key = torch.cat([past[number][0], key], 1)
                    value = torch.cat([past[number][1], value], 1)
                left[number] = (key.contiguous(), value.contiguous())
                found_TD = self._attend(turning[:, : self.heads], *left[number], future_TS)
                stream_TD = stream_TD + layer.out(found_TD)
                normal_TD, _ = normal(stream_TD, layer.mlp_norm, self.eps, self.dtype)
                gate, up = layer.gate_up(normal_TD).chunk(2, -1)
                stream_TD = stream_TD + layer.down(silu(gate).mul_(up))
        return stream_TD, left

    def _attend(self, query: Any, key: Any, value: Any, future_TS: Any) -> Any:
        """Queries (T, H·G, K) over keys and values (H, S, K); the result is (T, H·G·K)."""
        import torch

        groups, width = self.heads // self.key_heads, len(query)
        query = (query * self.head_width**-0.5).view(width, self.key_heads, groups, -1)
        # Queries of a key head stand one behind the other: (H, G·T, K).
        query = query.permute(1, 2, 0, 3).reshape(self.key_heads, groups * width, -1)
        score = query @ key.transpose(-1, -2)
        score.masked_fill_(future_TS.repeat(groups, 1), float("-inf"))
        found = score.softmax(-1, dtype=torch.float32).to(value.dtype) @ value
        found = found.view(self.key_heads, groups, width, -1).permute(2, 0, 1, 3)
        return found.reshape(width, -1)


def _half_turned(heads: Any) -> Any:
    """(a, b) → (−b, a), halves of a head."""
    import torch

    a, b = heads.chunk(2, -1)
    return torch.cat([-b, a], -1)
