"""A lean forward pass for models of the Llama family, for everything that needs no gradients.

What the general implementation spends on a small model and a CPU is mostly overhead: adapters as
extra products, a key-value cache that is copied at every token, the same persona prompt once for
every row. Here the adapter is merged into the weights, the products are fused (q, k, v; gate, up)
and packed once for the processor, the cache is allocated beforehand, and a prefix that all rows
share is computed and kept once. Shapes: B rows, T tokens, P prefix tokens, S cached tokens, H key
heads, G query heads a key head, K head width, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from molting.models.linear import Linear

_FAMILIES = {"llama", "mistral", "qwen2"}
"""Architectures whose layer is: norm, rotary attention, norm, SwiGLU; nothing else."""
_EXACT_ROPES = {None, "default", "linear", "llama3"}
"""Rotary variants whose angles do not depend on how long the sequence is."""


class KeyValues(NamedTuple):
    """Keys and values of every layer, each (L, B, H, S, K); for a shared prefix B is 1."""

    keys: Any
    values: Any


@dataclass(frozen=True)
class _Layer:
    attention_norm: Any
    qkv: Linear
    out: Linear
    mlp_norm: Any
    gate_up: Linear
    down: Linear


def supported(model: Any) -> bool:
    """Whether `model` (a transformers model, PEFT-wrapped or not) can be run by the engine."""
    import torch

    inner = inner_model(model)
    config = inner.config
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kind = rope.get("rope_type", rope.get("type")) if isinstance(rope, dict) else "unknown"
    windows = getattr(config, "sliding_window", None) and getattr(
        config, "use_sliding_window", config.model_type == "mistral"
    )
    return (
        config.model_type in _FAMILIES
        and getattr(config, "hidden_act", "") == "silu"
        and kind in _EXACT_ROPES
        and not windows
        and type(inner.get_input_embeddings()) is torch.nn.Embedding
        and all(_mergeable(module) for module in inner.modules())
    )


class Engine:
    """Weights ready to run, with the adapter merged in or left out. Inference only."""

    def __init__(self, model: Any, *, adapter: bool) -> None:
        """`adapter`: merge the active LoRA adapter of a PEFT model, or leave it out."""
        import torch

        inner = inner_model(model)
        self.config = inner.config
        self.heads = int(self.config.num_attention_heads)
        self.key_heads = int(self.config.num_key_value_heads)
        self.width = int(self.config.hidden_size)
        self.head_width = int(getattr(self.config, "head_dim", None) or self.width // self.heads)
        self.layers_count = int(self.config.num_hidden_layers)
        body = inner.model
        self.embedding = body.embed_tokens.weight
        self.dtype, self.device = self.embedding.dtype, self.embedding.device
        self.eps = float(self.config.rms_norm_eps)
        self._rotary = body.rotary_emb
        self.norm = body.norm.weight

        def fuse(*modules: Any) -> Linear:
            weights, biases = zip(*(_merged(m, adapter) for m in modules), strict=True)
            bias = torch.cat(biases) if biases[0] is not None else None
            weight_OD = torch.cat(weights) if len(weights) > 1 else weights[0]
            return Linear(weight_OD, bias, few_rows=True)

        with torch.inference_mode():
            self.layers = [
                _Layer(
                    layer.input_layernorm.weight,
                    fuse(layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj),
                    fuse(layer.self_attn.o_proj),
                    layer.post_attention_layernorm.weight,
                    fuse(layer.mlp.gate_proj, layer.mlp.up_proj),
                    fuse(layer.mlp.down_proj),
                )
                for layer in body.layers
            ]
            self._head = fuse(inner.get_output_embeddings())

    def below(self, layers: int) -> Engine:
        """The same weights, ending after the first `layers` layers; states still go through the
        final norm."""
        part = copy.copy(self)
        part.layers, part.layers_count = self.layers[:layers], layers
        return part

    def new_cache(self, rows: int, tokens: int) -> KeyValues:
        """Room for `rows` rows of `tokens` tokens, not initialised."""
        import torch

        shape = (self.layers_count, rows, self.key_heads, tokens, self.head_width)
        return KeyValues(
            torch.zeros(shape, dtype=self.dtype, device=self.device),
            torch.zeros(shape, dtype=self.dtype, device=self.device),
        )

    def cache_bytes(self) -> int:
        """Bytes of cache that one token of one row takes."""
        width = self.layers_count * self.key_heads * self.head_width
        return 2 * width * int(self.dtype.itemsize)

    def prefix(self, ids: Sequence[int]) -> KeyValues:
        """Keys and values of a prefix that all rows share."""
        import torch

        cache = self.new_cache(1, len(ids))
        tokens_BT = torch.tensor([list(ids)], device=self.device)
        self.read(tokens_BT, cache, None)
        return cache

    def read(self, tokens_BT: Any, cache: KeyValues | None, prefix: KeyValues | None) -> Any:
        """Hidden states (B, T, D) of new rows; keys and values go to the cache's first T places.

        Rows are padded on the right: what stands behind a row's end is nobody's business, since
        no token looks ahead.
        """
        import torch

        rows, width = tokens_BT.shape
        shared = 0 if prefix is None else prefix.keys.shape[3]
        position_T = torch.arange(shared, shared + width, device=self.device)

        def store(layer: int, key_BHTK: Any, value_BHTK: Any) -> tuple[Any, Any]:
            if cache is not None:
                cache.keys[layer, :rows, :, :width] = key_BHTK
                cache.values[layer, :rows, :, :width] = value_BHTK
            return key_BHTK, value_BHTK

        with torch.inference_mode():
            mask = self._causal(width)
            return self._forward(tokens_BT, position_T[None], mask, store, prefix)

    def states(self, tokens_BT: Any, layers: Sequence[int]) -> list[Any]:
        """Hidden states (B, T, D) after each of `layers`, as transformers counts them.

        0 is the embeddings; the last layer's states are normed, those of the others are not. What
        lies above the highest layer asked for is not run. Rows are padded on the right.
        """
        import torch

        width = tokens_BT.shape[1]
        position_T = torch.arange(width, device=self.device)
        found: dict[int, Any] = {}
        highest = max(layers)

        def watch(done: int, state_BTD: Any) -> bool:
            if done in layers:
                found[done] = state_BTD
            return done < highest

        with torch.inference_mode():
            mask = self._causal(width)
            last = self._forward(
                tokens_BT, position_T[None], mask, lambda _, k, v: (k, v), None, watch
            )
        return [last if layer == self.layers_count else found[layer] for layer in layers]

    def read_masked(
        self, tokens_BT: Any, position_BT: Any, unseen_BTT: Any, prefix: KeyValues | None
    ) -> Any:
        """Hidden states (B, T, D) of tokens at given positions behind the prefix.

        `unseen_BTT[b, i, j]`: token i must not look at token j; at itself it always must.
        """
        import torch

        shared = 0 if prefix is None else prefix.keys.shape[3]
        mask = torch.zeros(unseen_BTT.shape, dtype=self.dtype, device=self.device)
        mask = mask.masked_fill_(unseen_BTT, float("-inf"))
        mask = mask.repeat(1, self.heads // self.key_heads, 1)[:, None]

        def store(_: int, key_BHTK: Any, value_BHTK: Any) -> tuple[Any, Any]:
            return key_BHTK, value_BHTK

        with torch.inference_mode():
            return self._forward(tokens_BT, position_BT + shared, mask, store, prefix)

    def step(self, token_B: Any, length_B: Any, cache: KeyValues, prefix: KeyValues | None) -> Any:
        """Hidden states (B, D) of one more token a row, which goes to place `length` of its cache."""
        import torch

        rows, room = token_B.shape[0], cache.keys.shape[3]
        shared = 0 if prefix is None else prefix.keys.shape[3]
        row_B = torch.arange(rows, device=self.device)
        unseen_BS = torch.arange(room, device=self.device)[None] > length_B[:, None]
        mask = torch.zeros((rows, room), dtype=self.dtype, device=self.device)
        mask = mask.masked_fill_(unseen_BS, float("-inf"))[:, None, None]

        def store(layer: int, key_BHTK: Any, value_BHTK: Any) -> tuple[Any, Any]:
            keys, values = cache.keys[layer, :rows], cache.values[layer, :rows]
            keys[row_B, :, length_B] = key_BHTK[:, :, 0]
            values[row_B, :, length_B] = value_BHTK[:, :, 0]
            # All of it, unused places too: oneDNN copies what is not dense.
            return keys, values

        with torch.inference_mode():
            position_B1 = (length_B + shared)[:, None]
            return self._forward(token_B[:, None], position_B1, mask, store, prefix)[:, 0]

    def logits(self, hidden_ND: Any) -> Any:
        """Logits (N, V) in the model's dtype."""
        import torch

        with torch.inference_mode():
            return self._head(hidden_ND)

    def _causal(self, width: int) -> Any:
        """The mask of `width` new tokens (1, 1, G·T, T), in which no token looks ahead."""
        import torch

        future_TT = torch.full((width, width), float("-inf"), device=self.device).triu(1)
        # Queries of a group stand one behind the other: (G, T) flattened.
        groups = self.heads // self.key_heads
        return future_TT.to(self.dtype).repeat(groups, 1)[None, None]

    def _forward(
        self,
        tokens_BT: Any,
        position_BT: Any,
        mask: Any,
        store: Callable[[int, Any, Any], tuple[Any, Any]],
        prefix: KeyValues | None,
        watch: Callable[[int, Any], bool] = lambda done, state_BTD: True,
    ) -> Any:
        """`watch` sees the state after every layer, and says whether to go on."""
        from torch.nn.functional import embedding, silu

        rows, width = tokens_BT.shape
        eps = self.eps
        heads, key_heads, head = self.heads, self.key_heads, self.head_width
        groups = heads // key_heads
        state_BTD = embedding(tokens_BT, self.embedding)
        cos, sin = self._rotary(state_BTD, position_BT)
        cos, sin = cos[:, :, None], sin[:, :, None]
        half = head // 2
        # Turning by an angle as one product with swapped halves.
        sin = sin.clone()
        sin[..., :half].neg_()
        turned = heads + key_heads
        for number, layer in enumerate(self.layers):
            if not watch(number, state_BTD):
                return state_BTD
            normal = _rms_norm(state_BTD, layer.attention_norm, eps)
            mixed = layer.qkv(normal).view(rows, width, turned + key_heads, head)
            turning = mixed[:, :, :turned]
            swapped = turning.roll(half, -1)
            turning = turning * cos + swapped * sin
            query = turning[:, :, :heads].view(rows, width, key_heads, groups, head)
            query = query.permute(0, 2, 3, 1, 4).reshape(rows, key_heads, groups * width, head)
            key_BHTK = turning[:, :, heads:].transpose(1, 2)
            value_BHTK = mixed[:, :, turned:].transpose(1, 2)
            keys, values = store(number, key_BHTK, value_BHTK)
            found = self._attend(number, query * head**-0.5, keys, values, mask, prefix)
            found = found.view(rows, key_heads, groups, width, head).permute(0, 3, 1, 2, 4)
            state_BTD = state_BTD + layer.out(found.reshape(rows, width, heads * head))
            normal = _rms_norm(state_BTD, layer.mlp_norm, eps)
            gate, up = layer.gate_up(normal).chunk(2, -1)
            state_BTD = state_BTD + layer.down(silu(gate).mul_(up))
        return _rms_norm(state_BTD, self.norm, eps)

    def _attend(
        self, layer: int, query: Any, keys: Any, values: Any, mask: Any, prefix: KeyValues | None
    ) -> Any:
        """Attention of `query` (B, H, G·T, K) over the row's own keys and the shared prefix."""
        import torch

        own = (query @ keys.transpose(-1, -2)).add_(mask)
        if prefix is None:
            return own.softmax(-1, dtype=torch.float32).to(query.dtype) @ values
        prefix_keys, prefix_values = prefix.keys[layer, 0], prefix.values[layer, 0]
        rows, key_heads, asked, head = query.shape
        # All rows' queries meet the prefix in one product a head: it is read once, not B times.
        flat = query.transpose(0, 1).reshape(key_heads, rows * asked, head)
        shared = (flat @ prefix_keys.transpose(-1, -2)).view(key_heads, rows, asked, -1)
        both = torch.cat([shared.transpose(0, 1), own], -1)
        share = both.softmax(-1, dtype=torch.float32).to(query.dtype)
        length = prefix_keys.shape[1]
        seen = share[..., :length].transpose(0, 1).reshape(key_heads, rows * asked, length)
        from_prefix = (seen @ prefix_values).view(key_heads, rows, asked, head).transpose(0, 1)
        return from_prefix + share[..., length:] @ values


def common_prefix(rows: Sequence[tuple[int, ...]], least: int = 64) -> int:
    """How many tokens all rows begin with; 0 when sharing them would not pay.

    At least one token of each row is left, whose hidden state predicts what follows.
    """
    if len(rows) < 2:
        return 0
    low, high = min(rows), max(rows)
    most = min(min(len(row) for row in rows) - 1, len(low), len(high))
    shared = next((i for i in range(most) if low[i] != high[i]), most)
    return shared if shared >= least else 0


def _rms_norm(state_BTD: Any, weight_D: Any, eps: float) -> Any:
    """As PyTorch's, whose CPU version is seven passes."""
    import torch

    width = state_BTD.shape[-1]
    length = torch.linalg.vector_norm(state_BTD, dim=-1, keepdim=True, dtype=torch.float32)
    scale = (length.square_().div_(width).add_(eps)).rsqrt_().to(state_BTD.dtype)
    return (state_BTD * scale).mul_(weight_D)


def inner_model(model: Any) -> Any:
    """The transformers model inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _mergeable(module: Any) -> bool:
    """Plain layers, and LoRA layers whose update is a product of two matrices; none in 4 bits."""
    if hasattr(getattr(module, "weight", None), "quant_state"):
        return False
    if not hasattr(module, "lora_A"):
        return True
    return hasattr(module, "get_delta_weight") and not any(getattr(module, "use_dora", {}).values())


def _merged(module: Any, adapter: bool) -> tuple[Any, Any]:
    """Weight and bias of a linear layer, the adapter's update added in float32."""
    plain = getattr(module, "base_layer", module)
    weight, bias = plain.weight, getattr(plain, "bias", None)
    if adapter and plain is not module:
        delta = sum(_delta(module, name) for name in module.active_adapters)
        weight = (weight.float() + delta).to(weight.dtype)
    return weight, bias


def _delta(module: Any, name: str) -> Any:
    if name not in module.lora_A:
        return 0.0
    down, up = module.lora_A[name].weight.float(), module.lora_B[name].weight.float()
    return module.scaling[name] * (up @ down)
