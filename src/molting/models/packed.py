"""Rows laid end to end behind the prefix they share, and causal attention over that layout.

Attention wants rows side by side, head by head; products want tokens end to end. One gather takes
queries, keys and values of all rows from the one to the other, and puts the prefix's keys and values
in front of each row's own; one gather takes the gradients back. Padding stands behind a row's end:
no query before it looks there, and what its own queries find is not taken back.

Shapes: N tokens in all (the prefix first, then row after row), B rows, T tokens of the longest row,
P prefix tokens, S = P + T, M trained tokens, H key heads, G queries a key head, A = H·(G + 2) heads
of all kinds, K head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from molting.models.engine import common_prefix
from molting.models.render import Rendered

_LEAST_PREFIX = 8
"""A shorter one is not worth a row of its own."""


class _Gather(NamedTuple):
    """Rows of attention, out of tokens end to end and back."""

    rows: int
    width: int
    """T."""
    before: int
    """P."""
    from_NA: Any
    """For queries (B, H, G, T), keys (B, H, S) and values (B, H, S), one behind the other: the
    place of each in the flat (N, A)."""
    query_at: Any
    """For each token and query head, its place in the flat (B, H, G, T)."""
    own_at: Any
    """For each token and key head, its place in the flat (B, H, S)."""
    mask_QS: Any
    """0 where a query (G·T of them) may look, −∞ ahead of it; shape (1, G·T, S)."""


class Layout(NamedTuple):
    """Where every token stands."""

    ids_N: Any
    position_N: Any
    prefix: int
    """P: tokens of the shared prefix."""
    ends: tuple[int, ...]
    """For each row, how many of its tokens are there: what stands behind the last place that
    predicts a trained token changes nothing."""
    heads: tuple[int, int]
    """H and G."""
    tails: _Gather
    """All rows behind the prefix."""
    head: _Gather | None
    """The prefix, a row of its own."""
    at_M: Any
    """Places (0 to N − 1) whose hidden states predict the trained tokens."""
    targets_M: Any
    row_M: Any


def shared_prefix(rows: Sequence[Rendered]) -> int:
    """Tokens that all rows begin with and that are computed once; 0 where that does not pay."""
    # One token less than up to the first trained one: what predicts it belongs to the row.
    return common_prefix([row.ids[: max(1, row.first_trained)] for row in rows], _LEAST_PREFIX)


def lay_out(rows: Sequence[Rendered], key_heads: int, groups: int, device: Any) -> Layout:
    """The layout of some rows for attention with H key heads of G queries each."""
    import torch

    shared = shared_prefix(rows)
    ids = list(rows[0].ids[:shared])
    position = list(range(shared))
    at: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    starts: list[int] = []
    ends = tuple(max(_last_trained(row), shared + 1) for row in rows)
    for b, (row, end) in enumerate(zip(rows, ends, strict=True)):
        start = len(ids) - shared
        starts.append(len(ids))
        for t in range(shared + 1, min(end + 1, len(row.ids))):
            if row.trained[t]:
                at.append(start + t - 1)
                targets.append(row.ids[t])
                owner.append(b)
        ids += row.ids[shared:end]
        position += range(shared, end)

    def tensor(values: list[int]) -> Any:
        return torch.tensor(values, dtype=torch.long, device=device)

    counts = [end - shared for end in ends]
    heads = (key_heads, groups)
    return Layout(
        tensor(ids), tensor(position), shared, ends, heads,
        _gather(starts, counts, shared, heads, device),
        _gather([0], [shared], 0, heads, device) if shared else None,
        tensor(at), tensor(targets), tensor(owner),
    )  # fmt: skip


def _last_trained(row: Rendered) -> int:
    return max((t for t, trained in enumerate(row.trained) if trained), default=0)


def _gather(
    starts: Sequence[int], counts: Sequence[int], before: int, heads: tuple[int, int], device: Any
) -> _Gather:
    """For rows of `counts` tokens that begin at `starts`, behind the first `before` tokens of all."""
    import torch

    key_heads, groups = heads
    kinds = key_heads * (groups + 2)
    rows, width = len(counts), max(counts)

    def count(size: int) -> Any:
        return torch.arange(size, device=device)

    count_B, start_B = torch.tensor(counts, device=device), torch.tensor(starts, device=device)
    there_BT = count(width) < count_B[:, None]
    # Padding reads the row's first token: any number will do, as long as it is one.
    token_BT = start_B[:, None] + torch.where(there_BT, count(width), 0)
    token_BS = torch.cat([count(before).expand(rows, before), token_BT], 1)
    query_HG = count(key_heads * groups).view(key_heads, groups)
    queries = token_BT[:, None, None] * kinds + query_HG[None, :, :, None]
    keys, values = (
        token_BS[:, None] * kinds + first + count(key_heads)[None, :, None]
        for first in (key_heads * groups, key_heads * (groups + 1))
    )
    # The way back: tokens in order, only those that are there.
    row_N, place_N = there_BT.nonzero(as_tuple=True)
    query_at = (row_N[:, None] * key_heads * groups + count(key_heads * groups)) * width
    own_at = (row_N[:, None] * key_heads + count(key_heads)) * (before + width) + before
    ahead_TS = torch.full((width, before + width), float("-inf"), device=device).triu(before + 1)
    return _Gather(
        rows, width, before,
        torch.cat([queries.flatten(), keys.flatten(), values.flatten()]),
        (query_at + place_N[:, None]).flatten(),
        (own_at + place_N[:, None]).flatten(),
        ahead_TS.repeat(groups, 1)[None],
    )  # fmt: skip


class _Kept(NamedTuple):
    """Queries (B·H, G·T, K), keys and values (B·H, S, K), shares of attention (B·H, G·T, S)."""

    query: Any
    key: Any
    value: Any
    share: Any


def attend(mixed_NAK: Any, layout: Layout) -> tuple[Any, tuple[_Kept, _Kept | None]]:
    """Causal attention of the queries among `mixed` (queries, keys, values) over all before them.

    What is found (N, H·G, K), and what the way back needs.
    """
    import torch

    parts = [
        _attend(mixed_NAK, gather, layout.heads) for gather in (layout.head, layout.tails) if gather
    ]
    found = torch.cat([found for found, _ in parts]) if len(parts) > 1 else parts[0][0]
    return found, (parts[-1][1], parts[0][1] if layout.head else None)


def attend_backward(at_found: Any, kept: tuple[_Kept, _Kept | None], layout: Layout) -> Any:
    """Gradient at `mixed` (N, A, K)."""

    key_heads, groups = layout.heads
    shared, asked = layout.prefix, key_heads * groups
    at_mixed = at_found.new_empty(len(at_found), asked + 2 * key_heads, at_found.shape[2])
    tails, head = kept
    at_before = _attend_backward(
        at_found[shared:], tails, layout.tails, layout.heads, at_mixed[shared:]
    )
    if head is not None and layout.head is not None:
        _attend_backward(at_found[:shared], head, layout.head, layout.heads, at_mixed[:shared])
        for at_HPK, first in zip(at_before, (asked, asked + key_heads), strict=True):
            at_mixed[:shared, first : first + key_heads] += at_HPK.transpose(0, 1)
    return at_mixed


def _attend(mixed_NAK: Any, gather: _Gather, heads: tuple[int, int]) -> tuple[Any, _Kept]:
    import torch

    key_heads, groups = heads
    width = mixed_NAK.shape[-1]
    rows, seen = gather.rows * key_heads, gather.before + gather.width
    taken = mixed_NAK.view(-1, width).index_select(0, gather.from_NA)
    sizes = [rows * groups * gather.width, rows * seen, rows * seen]
    query, key, value = (part.view(rows, -1, width) for part in taken.split(sizes))
    mask = gather.mask_QS.to(query.dtype)
    score = torch.baddbmm(mask, query, key.transpose(1, 2), alpha=width**-0.5)
    share = score.softmax(-1, dtype=torch.float32).to(query.dtype)
    found = (share @ value).view(-1, width).index_select(0, gather.query_at)
    return found.view(-1, key_heads * groups, width), _Kept(query, key, value, share)


def _attend_backward(
    at_found: Any, kept: _Kept, gather: _Gather, heads: tuple[int, int], at_mixed: Any
) -> tuple[Any, Any]:
    """Writes the gradient at these rows' own tokens; returns that at the keys and the values (H, P,
    K) of what stands before them, summed over the rows."""
    import torch

    key_heads, groups = heads
    tokens, _, width = at_found.shape
    query, key, value, share = kept
    at_out = at_found.new_zeros(query.numel() // width, width)
    at_out.index_copy_(0, gather.query_at, at_found.reshape(-1, width))
    at_out = at_out.view(query.shape)
    at_value = share.transpose(1, 2) @ at_out
    at_share = at_out @ value.transpose(1, 2)
    at_score = torch.ops.aten._softmax_backward_data(at_share, share, -1, share.dtype)
    at_score.mul_(width**-0.5)
    at_query, at_key = at_score @ key, at_score.transpose(1, 2) @ query
    asked = key_heads * groups
    for part, first, size, places in (
        (at_query, 0, asked, gather.query_at),
        (at_key, asked, key_heads, gather.own_at),
        (at_value, asked + key_heads, key_heads, gather.own_at),
    ):
        own = part.view(-1, width).index_select(0, places).view(tokens, size, width)
        at_mixed[:, first : first + size] = own
    before = gather.before
    at_key, at_value = (
        part.view(gather.rows, key_heads, -1, width)[:, :, :before].sum(0)
        for part in (at_key, at_value)
    )
    return at_key, at_value
