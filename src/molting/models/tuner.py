"""Loss and gradients of LoRA adapters on a frozen Llama-family model, written out by hand.

General autograd keeps what it cannot know is not needed, computes a product for every small matrix
and pads every row. Here only the adapters have gradients; q, k, v share one product, gate and up
another, with weights packed once for the processor; rows are laid end to end without padding; and a
prefix that all rows share (a system prompt) is computed once, its keys' and values' gradients
summed over the rows. The gradients are exact: the tests compare every adapter with PEFT's own.

The stream between layers is float32, whatever the products are in. Shapes: N tokens of all rows
end to end, B rows, T tokens of the longest, P prefix tokens, H key heads, G queries a key head,
K head width, D width, O a product's outputs, R stacked ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from molting.models.allocator import release_memory
from molting.models.engine import inner_model, supported
from molting.models.fuse import side_by_side
from molting.models.head import Head
from molting.models.linear import Linear
from molting.models.normal import apply_normal, normal, normal_back
from molting.models.packed import Layout, attend, attend_backward, lay_out
from molting.models.render import Rendered

_GROUPS = (
    ("self_attn", ("q_proj", "k_proj", "v_proj")),
    ("self_attn", ("o_proj",)),
    ("mlp", ("gate_proj", "up_proj")),
    ("mlp", ("down_proj",)),
)


class Losses(NamedTuple):
    """Cross entropy of every trained token, float32, and what the way back needs."""

    nats_N: Any
    row_N: Any
    """Which row each trained token belongs to."""
    kept: Any


def tunable(model: Any) -> bool:
    """Whether the adapters of `model` (PEFT) are plain LoRA on a layer the tuner knows."""
    if not supported(model):
        return False
    config = next(iter(model.peft_config.values()))
    known = {name for _, names in _GROUPS for name in names}
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    return (
        config.lora_dropout == 0
        and not getattr(config, "lora_bias", False)
        and all(".lora_A." in name or ".lora_B." in name for name in trained)
        and all(name.split(".lora_")[0].rsplit(".", 1)[-1] in known for name in trained)
    )


def lowest_adapted(model: Any) -> int:
    """Number of the lowest layer with an adapter; of layers, when there is none."""
    layers = inner_model(model).model.layers
    adapted = (
        i for i, layer in enumerate(layers) if any(hasattr(m, "lora_A") for m in layer.modules())
    )
    return next(adapted, len(layers))


class _Adapted:
    """A frozen product and its adapters, several projections side by side."""

    def __init__(self, modules: Sequence[Any], names: Sequence[str]) -> None:
        import torch

        plain = [getattr(module, "base_layer", module) for module in modules]
        weight_OD = side_by_side(plain)
        biases = [b for layer in plain if (b := getattr(layer, "bias", None)) is not None]
        bias_O = torch.cat(biases) if biases else None
        self.forward = Linear(weight_OD, bias_O)
        self.backward = Linear(weight_OD.T, None)
        self.parts: list[tuple[str, str, slice, slice, float]] = []
        rank = row = 0
        for module, layer, name in zip(modules, plain, names, strict=True):
            size = layer.weight.shape[0]
            if hasattr(module, "lora_A"):
                active = module.active_adapters[0]
                count = module.lora_A[active].weight.shape[0]
                self.parts.append(
                    (
                        f"{name}.lora_A.{active}.weight",
                        f"{name}.lora_B.{active}.weight",
                        slice(row, row + size),
                        slice(rank, rank + count),
                        float(module.scaling[active]),
                    )
                )
                rank += count
            row += size
        self.down_RD = weight_OD.new_zeros(rank, weight_OD.shape[1])
        self.up_OR = weight_OD.new_zeros(row, rank)

    def load(self, masters: dict[str, Any]) -> None:
        for name_a, name_b, outputs, ranks, scale in self.parts:
            self.down_RD[ranks] = masters[name_a].to(self.down_RD.dtype)
            self.up_OR[outputs, ranks] = (masters[name_b] * scale).to(self.up_OR.dtype)

    def __call__(self, input_ND: Any) -> tuple[Any, Any]:
        """Output (N, O), and the adapters' inner activations (N, R) for the way back."""
        if not self.parts:
            return self.forward(input_ND), None
        inner_NR = input_ND @ self.down_RD.T
        return self.forward.plus(input_ND, inner_NR, self.up_OR.T), inner_NR

    def back(self, at_output_NO: Any, input_ND: Any, inner_NR: Any, grads: dict[str, Any]) -> Any:
        """Gradient at the input (N, D); those of the adapters are added to `grads`."""
        if not self.parts:
            return self.backward(at_output_NO)
        at_inner_NR = at_output_NO @ self.up_OR
        down_RD = (at_inner_NR.T @ input_ND).float()
        # Few rows by many columns is half again as fast as the other way round.
        up_RO = (inner_NR.T @ at_output_NO).float()
        for name_a, name_b, outputs, ranks, scale in self.parts:
            _add(grads, name_a, down_RD[ranks])
            _add(grads, name_b, up_RO[ranks, outputs].T * scale)
        return self.backward.plus(at_output_NO, at_inner_NR, self.down_RD)


class _Layer(NamedTuple):
    attention_norm: Any
    qkv: _Adapted
    out: _Adapted
    mlp_norm: Any
    gate_up: _Adapted
    down: _Adapted


class _Kept(NamedTuple):
    """What a layer leaves for its way back."""

    before_ND: Any
    scale_N1: Any
    inner_qkv: Any
    heads: Any
    only_M: Any
    """Which tokens go on behind the attention; None is all of them."""
    found_ND: Any
    inner_out: Any
    between_ND: Any
    between_scale_N1: Any
    inner_gate_up: Any
    gate_NF: Any
    up_NF: Any
    inner_down: Any


class Tuner:
    """Computes losses and the adapters' gradients. Weights of the adapters come through `load`."""

    def __init__(
        self, model: Any, below: Callable[[Sequence[Rendered]], list[Any]] | None = None
    ) -> None:
        """`model`: a PEFT model for which `tunable` is true.

        `below` knows, for each row, the stream (its tokens, D), float32, that enters the lowest
        adapted layer. With it, what lies below that layer is neither made ready nor run.
        """
        import torch

        inner = inner_model(model)
        config = inner.config
        self.heads = int(config.num_attention_heads)
        self.key_heads = int(config.num_key_value_heads)
        width = int(config.hidden_size)
        self.head_width = int(getattr(config, "head_dim", None) or width // self.heads)
        self.eps = float(config.rms_norm_eps)
        body = inner.model
        self.embedding = body.embed_tokens.weight
        self.dtype, self.device = self.embedding.dtype, self.embedding.device
        self.norm = body.norm.weight.float()
        self._rotary = body.rotary_emb
        self._below = below
        self.lowest = lowest_adapted(model)
        """The first layer with an adapter: no gradient is needed below it."""
        self._first = self.lowest if below else 0
        names = {id(module): name for name, module in model.named_modules()}
        with torch.no_grad():
            self.layers = []
            for layer in body.layers[self._first :]:
                groups = []
                for part, projections in _GROUPS:
                    modules = [getattr(getattr(layer, part), p) for p in projections]
                    groups.append(_Adapted(modules, [names[id(module)] for module in modules]))
                self.layers.append(
                    _Layer(
                        layer.input_layernorm.weight.float(),
                        groups[0],
                        groups[1],
                        layer.post_attention_layernorm.weight.float(),
                        groups[2],
                        groups[3],
                    )
                )
            self._head = Head(inner.get_output_embeddings().weight)
        # The weights that now stand side by side have left holes where they stood.
        release_memory(cycles=False)

    def load(self, masters: dict[str, Any]) -> None:
        """Take the adapters' weights (float32, PEFT's parameter names)."""
        import torch

        with torch.no_grad():
            for layer in self.layers:
                for group in _groups(layer):
                    group.load(masters)

    def losses(self, rows: Sequence[Rendered], *, gradients: bool) -> Losses:
        """Cross entropy of the rows' trained tokens."""
        import torch

        with torch.no_grad():
            layout = lay_out(rows, self.key_heads, self.heads // self.key_heads, self.device)
            stream_ND = self._entering(rows, layout)
            cos, sin = self._rotary(stream_ND.to(self.dtype)[None], layout.position_N[None])
            turn = (cos[0][:, None], _signed(sin[0])[:, None])
            kept = []
            for number, layer in enumerate(self.layers, self._first):
                # Behind the last layer's attention only what predicts a trained token counts.
                only_M = layout.at_M if layer is self.layers[-1] else None
                stream_ND, left = self._layer(layer, stream_ND, layout, turn, only_M)
                kept.append(left if gradients and number >= self.lowest else None)
            hidden_MD = stream_ND
            normal_MD, scale_M1 = normal(hidden_MD, self.norm, self.eps, self.dtype)
            nats_M, at_normal_MD = self._head.losses(
                normal_MD, layout.targets_M, gradients=gradients
            )
            left_over = (
                None
                if at_normal_MD is None
                else (layout, turn, kept, hidden_MD, scale_M1, at_normal_MD)
            )
            return Losses(nats_M, layout.row_M, left_over)

    def back(self, losses: Losses, weight_N: Any, grads: dict[str, Any]) -> None:
        """Add the gradients of Σ weight·nats to `grads` (PEFT's names, float32)."""
        import torch

        if losses.kept is None:
            return
        layout, turn, kept, hidden_MD, scale_M1, at_normal_MD = losses.kept
        with torch.no_grad():
            at_stream_ND = normal_back(
                at_normal_MD * weight_N[:, None].float(), hidden_MD, scale_M1, self.norm
            )
            for number in reversed(range(self.lowest - self._first, len(self.layers))):
                layer, left = self.layers[number], kept[number]
                at_stream_ND = self._layer_back(layer, left, at_stream_ND, layout, turn, grads)
                kept[number] = None

    def _entering(self, rows: Sequence[Rendered], layout: Layout) -> Any:
        """The stream (N, D) that enters the first layer held here."""
        import torch

        if self._below is None:
            return torch.nn.functional.embedding(layout.ids_N, self.embedding).float()
        streams = self._below(rows)
        tails = [
            stream_TD[layout.prefix : end]
            for stream_TD, end in zip(streams, layout.ends, strict=True)
        ]
        return torch.cat([streams[0][: layout.prefix], *tails])

    def _layer(
        self, layer: _Layer, stream_ND: Any, layout: Layout, turn: tuple[Any, Any], only_M: Any
    ) -> tuple[Any, _Kept]:
        """The stream behind a layer, of all tokens or of those at `only_M`."""
        from torch.nn.functional import silu

        before_ND = stream_ND
        normal_ND, scale_N1 = normal(stream_ND, layer.attention_norm, self.eps, self.dtype)
        mixed_NO, inner_qkv = layer.qkv(normal_ND)
        mixed = mixed_NO.view(len(normal_ND), -1, self.head_width)
        _turn(mixed[:, : self.heads + self.key_heads], *turn)
        found, heads = attend(mixed, layout)
        found_ND = found.view(len(normal_ND), -1)
        if only_M is not None:
            found_ND, stream_ND = found_ND[only_M], stream_ND[only_M]
        change_ND, inner_out = layer.out(found_ND)
        between_ND = stream_ND + change_ND
        normal_ND, between_scale_N1 = normal(between_ND, layer.mlp_norm, self.eps, self.dtype)
        both, inner_gate_up = layer.gate_up(normal_ND)
        gate_NF, up_NF = both.chunk(2, -1)
        change_ND, inner_down = layer.down(silu(gate_NF).mul_(up_NF))
        return between_ND + change_ND, _Kept(
            before_ND, scale_N1, inner_qkv, heads, only_M, found_ND, inner_out,
            between_ND, between_scale_N1, inner_gate_up, gate_NF, up_NF, inner_down,
        )  # fmt: skip

    def _layer_back(
        self,
        layer: _Layer,
        left: _Kept,
        at_after_ND: Any,
        layout: Layout,
        turn: tuple[Any, Any],
        grads: dict[str, Any],
    ) -> Any:
        import torch
        from torch.nn.functional import silu

        # Down, then SwiGLU.
        active_NF = silu(left.gate_NF)
        at_product_NF = layer.down.back(
            at_after_ND.to(self.dtype), active_NF * left.up_NF, left.inner_down, grads
        )
        at_both = torch.empty(
            (len(active_NF), 2 * active_NF.shape[1]), dtype=self.dtype, device=self.device
        )
        at_gate_NF, at_up_NF = at_both.chunk(2, -1)
        torch.mul(at_product_NF, active_NF, out=at_up_NF)
        silu_back = torch.ops.aten.silu_backward.grad_input
        silu_back(at_product_NF.mul_(left.up_NF), left.gate_NF, grad_input=at_gate_NF)
        normal_ND = apply_normal(left.between_ND, left.between_scale_N1, layer.mlp_norm, self.dtype)
        at_normal_ND = layer.gate_up.back(at_both, normal_ND, left.inner_gate_up, grads)
        at_between_ND = normal_back(
            at_normal_ND.float(),
            left.between_ND,
            left.between_scale_N1,
            layer.mlp_norm,
            at_after_ND,
        )
        # Attention.
        at_found = layer.out.back(
            at_between_ND.to(self.dtype), left.found_ND, left.inner_out, grads
        )
        count = len(left.before_ND)
        if left.only_M is not None:
            at_found, at_between_ND = (
                # Every trained token is predicted from a place of its own.
                part_MD.new_zeros(count, part_MD.shape[1]).index_copy_(0, left.only_M, part_MD)
                for part_MD in (at_found, at_between_ND)
            )
        at_found = at_found.view(count, self.heads, self.head_width)
        at_mixed = attend_backward(at_found, left.heads, layout)
        _turn_back(at_mixed[:, : self.heads + self.key_heads], *turn)
        at_mixed = at_mixed.view(count, -1)
        normal_ND = apply_normal(left.before_ND, left.scale_N1, layer.attention_norm, self.dtype)
        at_normal_ND = layer.qkv.back(at_mixed, normal_ND, left.inner_qkv, grads)
        return normal_back(
            at_normal_ND.float(), left.before_ND, left.scale_N1, layer.attention_norm, at_between_ND
        )


def _groups(layer: _Layer) -> Iterator[_Adapted]:
    yield from (layer.qkv, layer.out, layer.gate_up, layer.down)


def _add(grads: dict[str, Any], name: str, value: Any) -> None:
    import torch

    if name in grads:
        grads[name] += value
    else:
        # The fused optimizer reads memory in order.
        grads[name] = value.clone(memory_format=torch.contiguous_format)


def _signed(sin: Any) -> Any:
    sin = sin.clone()
    sin[..., : sin.shape[-1] // 2].neg_()
    return sin


def _turn(heads: Any, cos: Any, sin: Any) -> None:
    """Rotary position, in place: (a, b) → (a·cos − b·sin, b·cos + a·sin), halves of a head."""
    swapped = heads.roll(heads.shape[-1] // 2, -1)
    heads.mul_(cos).addcmul_(swapped, sin)


def _turn_back(at_turned: Any, cos: Any, sin: Any) -> None:
    swapped = (at_turned * sin).roll(at_turned.shape[-1] // 2, -1)
    at_turned.mul_(cos).add_(swapped)
