"""Rows laid end to end behind the prefix they share, and causal attention over that layout.

Shapes: N tokens in all (the prefix first, then row after row), B rows, T tokens of the longest
row, P prefix tokens, M trained tokens, H key heads, G queries a key head, K head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from molting.models.engine import common_prefix
from molting.models.render import Rendered


class Layout(NamedTuple):
    """Where every token stands."""

    ids_N: Any
    position_N: Any
    prefix: int
    """P: tokens of the shared prefix."""
    rows: int
    width: int
    """T."""
    ends: tuple[int, ...]
    """For each row, how many of its tokens are there: what stands behind the last place that
    predicts a trained token changes nothing."""
    padded_N: Any
    """For each token behind the prefix, its place in the padded (B, T), flat; shape (N − P,)."""
    future_TT: Any
    """Which tokens of a row lie ahead of which."""
    future_PP: Any
    at_M: Any
    """Places (0 to N − 1) whose hidden states predict the trained tokens."""
    targets_M: Any
    row_M: Any


_LEAST_PREFIX = 8
"""A shorter one is not worth a row of its own."""


def shared_prefix(rows: Sequence[Rendered]) -> int:
    """Tokens that all rows begin with and that are computed once; 0 where that does not pay."""
    # One token less than up to the first trained one: what predicts it belongs to the row.
    return common_prefix([row.ids[: max(1, row.first_trained)] for row in rows], _LEAST_PREFIX)


def lay_out(rows: Sequence[Rendered], device: Any) -> Layout:
    """The layout of some rows. The prefix ends before any row's first trained token is predicted."""
    import torch

    shared = shared_prefix(rows)
    ids = list(rows[0].ids[:shared])
    position = list(range(shared))
    padded: list[int] = []
    at: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    ends = tuple(max(_last_trained(row), shared + 1) for row in rows)
    width = max(ends) - shared
    for b, (row, end) in enumerate(zip(rows, ends, strict=True)):
        start = len(ids) - shared
        for t in range(shared + 1, min(end + 1, len(row.ids))):
            if row.trained[t]:
                at.append(start + t - 1)
                targets.append(row.ids[t])
                owner.append(b)
        ids += row.ids[shared:end]
        position += range(shared, end)
        padded += range(b * width, b * width + end - shared)

    def tensor(values: list[int]) -> Any:
        return torch.tensor(values, dtype=torch.long, device=device)

    def future(size: int) -> Any:
        return torch.ones((size, size), dtype=torch.bool, device=device).triu(1)

    return Layout(
        tensor(ids), tensor(position), shared, len(rows), width, ends, tensor(padded),
        future(width), future(shared), tensor(at), tensor(targets), tensor(owner),
    )  # fmt: skip


def _last_trained(row: Rendered) -> int:
    return max((t for t, trained in enumerate(row.trained) if trained), default=0)


class _Kept(NamedTuple):
    """Padded queries (B, H, G·T, K), keys and values (B, H, T, K), shares (B, H, G·T, P + T)."""

    query: Any
    key: Any
    value: Any
    share: Any
    prefix: tuple[Any, Any, Any, Any] | None
    """The same four of the prefix as a row of its own."""


def attend(query: Any, key: Any, value: Any, layout: Layout) -> tuple[Any, _Kept]:
    """Causal attention of queries (N, H·G, K), scaled already, over keys and values (N, H, K)."""
    import torch

    shared = layout.prefix
    found = torch.empty_like(query)
    prefix = None
    if shared:
        parts = _one_row(query[:shared], key[:shared], value[:shared])
        out, share = _attend(*parts, layout.future_PP, None)
        found[:shared] = _tokens(out, shared)
        prefix = (*parts, share)
    parts = _rows(query[shared:], key[shared:], value[shared:], layout)
    out, share = _attend(*parts, layout.future_TT, prefix)
    tokens = _tokens(out, layout.width)
    found[shared:] = tokens.index_select(0, layout.padded_N)
    return found, _Kept(*parts, share, prefix)


def attend_backward(at_found: Any, kept: _Kept, layout: Layout) -> tuple[Any, Any, Any]:
    """Gradients at the queries (N, H·G, K), the keys and the values (N, H, K)."""
    import torch

    shared = layout.prefix
    at_query = torch.empty_like(at_found)
    heads = kept.key.shape[1]
    at_key = at_found.new_empty(at_found.shape[0], heads, at_found.shape[2])
    at_value = torch.empty_like(at_key)
    out = _grouped(_pad(at_found[shared:], layout), heads, layout.width)
    at_q, at_k, at_v, at_prefix = _attend_backward(
        out, kept.query, kept.key, kept.value, kept.share, kept.prefix
    )
    at_query[shared:] = _tokens(at_q, layout.width).index_select(0, layout.padded_N)
    at_key[shared:] = at_k.transpose(1, 2).flatten(0, 1).index_select(0, layout.padded_N)
    at_value[shared:] = at_v.transpose(1, 2).flatten(0, 1).index_select(0, layout.padded_N)
    if kept.prefix is not None and at_prefix is not None:
        out = _grouped(at_found[:shared], heads, shared)
        at_q, at_k, at_v, _ = _attend_backward(out, *kept.prefix, None)
        at_query[:shared] = _tokens(at_q, shared)
        at_key[:shared] = (at_k[0] + at_prefix[0]).transpose(0, 1)
        at_value[:shared] = (at_v[0] + at_prefix[1]).transpose(0, 1)
    return at_query, at_key, at_value


def _attend(
    query: Any, key: Any, value: Any, future: Any, prefix: tuple[Any, Any, Any, Any] | None
) -> tuple[Any, Any]:
    """Output (B, H, G·T, K) and shares of attention (B, H, G·T, [P +] T)."""
    import torch

    rows, heads, asked, width = query.shape
    groups = asked // key.shape[2]
    own = query @ key.transpose(-1, -2)
    own.masked_fill_(future.repeat(groups, 1), float("-inf"))
    if prefix is None:
        share = own.softmax(-1, dtype=torch.float32).to(query.dtype)
        return share @ value, share
    prefix_key, prefix_value = prefix[1][0], prefix[2][0]
    length = prefix_key.shape[1]
    flat = query.transpose(0, 1).reshape(heads, rows * asked, width)
    ahead = (flat @ prefix_key.transpose(-1, -2)).view(heads, rows, asked, length)
    both = torch.cat([ahead.transpose(0, 1), own], -1)
    share = both.softmax(-1, dtype=torch.float32).to(query.dtype)
    seen = share[..., :length].transpose(0, 1).reshape(heads, rows * asked, length)
    from_prefix = (seen @ prefix_value).view(heads, rows, asked, width).transpose(0, 1)
    return from_prefix + share[..., length:] @ value, share


def _attend_backward(
    at_out: Any,
    query: Any,
    key: Any,
    value: Any,
    share: Any,
    prefix: tuple[Any, Any, Any, Any] | None,
) -> tuple[Any, Any, Any, tuple[Any, Any] | None]:
    """Gradients at query, key, value, and at the prefix's key and value (H, P, K)."""
    import torch

    rows, heads, asked, width = query.shape
    length = 0 if prefix is None else prefix[1].shape[2]
    own = share[..., length:]
    at_value = own.transpose(-1, -2) @ at_out
    at_share = at_out @ value.transpose(-1, -2)
    if prefix is not None:
        flat_out = at_out.transpose(0, 1).reshape(heads, rows * asked, width)
        seen = share[..., :length].transpose(0, 1).reshape(heads, rows * asked, length)
        at_prefix_value = seen.transpose(-1, -2) @ flat_out
        ahead = (flat_out @ prefix[2][0].transpose(-1, -2)).view(heads, rows, asked, length)
        at_share = torch.cat([ahead.transpose(0, 1), at_share], -1)
    at_score = torch.ops.aten._softmax_backward_data(at_share, share, -1, share.dtype)
    at_own = at_score[..., length:]
    at_query = at_own @ key
    at_key = at_own.transpose(-1, -2) @ query
    if prefix is None:
        return at_query, at_key, at_value, None
    at_ahead = at_score[..., :length].transpose(0, 1).reshape(heads, rows * asked, length)
    flat_query = query.transpose(0, 1).reshape(heads, rows * asked, width)
    at_prefix_key = at_ahead.transpose(-1, -2) @ flat_query
    at_query = at_query + (at_ahead @ prefix[1][0]).view(heads, rows, asked, width).transpose(0, 1)
    return at_query, at_key, at_value, (at_prefix_key, at_prefix_value)


def _pad(tokens: Any, layout: Layout) -> Any:
    """(N − P, heads, K) to (B·T, heads, K); padding is 0 and so gives no gradient."""
    padded = tokens.new_zeros(layout.rows * layout.width, *tokens.shape[1:])
    return padded.index_copy_(0, layout.padded_N, tokens)


def _rows(query: Any, key: Any, value: Any, layout: Layout) -> tuple[Any, Any, Any]:
    heads, width = key.shape[1], layout.width
    key, value = (
        _pad(part, layout).view(layout.rows, width, heads, -1).transpose(1, 2).contiguous()
        for part in (key, value)
    )
    return _grouped(_pad(query, layout), heads, width), key, value


def _one_row(query: Any, key: Any, value: Any) -> tuple[Any, Any, Any]:
    heads, width = key.shape[1], key.shape[0]
    key, value = (part.transpose(0, 1).contiguous()[None] for part in (key, value))
    return _grouped(query, heads, width), key, value


def _grouped(tokens: Any, heads: int, width: int) -> Any:
    """(B·T, H·G, K) to (B, H, G·T, K): the queries of a key head stand together."""
    head_width = tokens.shape[-1]
    return (
        tokens.view(-1, width, heads, tokens.shape[1] // heads, head_width)
        .permute(0, 2, 3, 1, 4)
        .reshape(-1, heads, tokens.shape[1] // heads * width, head_width)
    )


def _tokens(out: Any, width: int) -> Any:
    """The way back: (B, H, G·T, K) to (B·T, H·G, K)."""
    rows, heads, asked, head_width = out.shape
    groups = asked // width
    return (
        out.view(rows, heads, groups, width, head_width)
        .permute(0, 3, 1, 2, 4)
        .reshape(rows * width, heads * groups, head_width)
    )
