"""Losses of rows that begin alike: several answers to one question, read with the question once.

Rows are put into trees: a head of tokens that all of a tree's rows share, and behind it one branch a
row. A branch's tokens see the head and their own branch, at the positions they would have in a row of
their own, so the losses are those of the rows one by one. Four choices behind a question of thirty
tokens cost half as much, and a prefix that all rows share is still read once for all.
Shapes: B trees, T tokens, N scored tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from molting.models.engine import Engine, common_prefix
from molting.models.likelihood import HEAD_ROWS, RowLoss
from molting.models.render import Rendered

_LEAST_HEAD = 4
_LEAST_SHARE = 0.2
"""A head of fewer tokens, or of a smaller share of a row, is not worth a tree."""
_TREE_TOKENS = 384
"""Attention is between all tokens of a tree, also those that do not see each other."""
_MOST_TOKENS = 1024
_MOST_TREES = 32


class Tree(NamedTuple):
    """Rows by their number, and how many tokens of them are the head."""

    rows: list[int]
    head: int


class _Laid(NamedTuple):
    """A tree as one sequence."""

    ids: list[int]
    position: list[int]
    branch: list[int]
    """Which branch a token belongs to; −1 is the head."""
    at: list[int]
    """Places whose states predict scored tokens."""
    targets: list[int]
    owner: list[int]
    """The row of each scored token."""


def branch_losses(
    engine: Engine,
    rows: Sequence[Rendered],
    report: Callable[[int, int], None] | None = None,
) -> list[RowLoss]:
    """Loss of each row's scored tokens, in the rows' order, as `row_losses` gives."""
    import torch

    found = [RowLoss(0.0, 0)] * len(rows)
    shared = common_prefix([row.ids[: max(1, row.first_trained)] for row in rows if row.ids], 8)
    prefix = engine.prefix(rows[0].ids[:shared]) if shared else None
    tails = [row.tail(shared) for row in rows]
    laid = [lay_tree(tails, tree) for tree in trees(tails)]
    done = 0
    for some in _batches(laid):
        batch = [laid[k] for k in some]
        ids_BT, position_BT, unseen_BTT = _tensors(batch, engine.device)
        width = ids_BT.shape[1]
        at = [b * width + place for b, tree in enumerate(batch) for place in tree.at]
        targets = torch.tensor([t for tree in batch for t in tree.targets], dtype=torch.long)
        targets_N = targets.to(engine.device)
        with torch.inference_mode():
            states_BTD = engine.read_masked(ids_BT, position_BT, unseen_BTT, prefix)
            states_ND = states_BTD.flatten(0, 1)[torch.tensor(at, dtype=torch.long)]
            parts = [
                torch.nn.functional.cross_entropy(
                    engine.logits(states_ND[start : start + HEAD_ROWS]).float(),
                    targets_N[start : start + HEAD_ROWS],
                    reduction="none",
                )
                for start in range(0, len(at), HEAD_ROWS)
            ]
        losses = torch.cat(parts).double().cpu().tolist() if parts else []
        for loss, owner in zip(losses, (o for tree in batch for o in tree.owner), strict=True):
            known = found[owner]
            found[owner] = RowLoss(known.nats + loss, known.tokens + 1)
        done += sum(len(set(tree.branch) - {-1}) for tree in batch)
        if report:
            report(done, len(rows))
    return found


def trees(rows: Sequence[Rendered]) -> list[Tree]:
    """Rows in trees of a like beginning, greedily, from the rows sorted by their tokens.

    A head ends before the last token that any of its rows needs to predict its first scored one.
    """
    order = sorted(range(len(rows)), key=lambda i: rows[i].ids)
    made: list[Tree] = []
    for i in order:
        if made:
            last = made[-1]
            head = min(last.head, _alike(rows[last.rows[-1]], rows[i]))
            lengths = [len(rows[k].ids) for k in (*last.rows, i)]
            if (
                head >= max(_LEAST_HEAD, _LEAST_SHARE * max(lengths))
                and sum(lengths) - head * len(last.rows) <= _TREE_TOKENS
                # A head that one more row would shorten by much is kept for those that have it.
                and (len(last.rows) == 1 or 2 * head >= last.head)
            ):
                made[-1] = Tree([*last.rows, i], head)
                continue
        made.append(Tree([i], _room(rows[i])))
    return [Tree(tree.rows, tree.head if len(tree.rows) > 1 else 0) for tree in made]


def _room(row: Rendered) -> int:
    """Longest head that a row allows: one token before the first scored one stays in the branch."""
    return max(0, min(len(row.ids), row.first_trained) - 1)


def _alike(left: Rendered, right: Rendered) -> int:
    most = min(_room(left), _room(right))
    return next((k for k in range(most) if left.ids[k] != right.ids[k]), most)


def lay_tree(rows: Sequence[Rendered], tree: Tree) -> _Laid:
    """One sequence of a tree: the head, then the branches end to end."""
    head = tree.head
    ids = list(rows[tree.rows[0]].ids[:head])
    position, branch = list(range(head)), [-1] * head
    at: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    for number, i in enumerate(tree.rows):
        row = rows[i]
        start = len(ids)
        for t in range(max(head, 1), len(row.ids)):
            if row.trained[t] and t > head:
                at.append(start + t - head - 1)
                targets.append(row.ids[t])
                owner.append(i)
        ids += row.ids[head:]
        position += range(head, len(row.ids))
        branch += [number] * (len(row.ids) - head)
    return _Laid(ids, position, branch, at, targets, owner)


def _batches(laid: Sequence[_Laid]) -> list[list[int]]:
    batches: list[list[int]] = []
    for k in sorted(range(len(laid)), key=lambda k: (len(laid[k].ids), k)):
        width = len(laid[k].ids)
        last = batches[-1] if batches else []
        if last and len(last) < _MOST_TREES and (len(last) + 1) * width <= _MOST_TOKENS:
            last.append(k)
        elif width:
            batches.append([k])
    return batches


def _tensors(batch: Sequence[_Laid], device: Any) -> tuple[Any, Any, Any]:
    """Ids and positions (B, T), and which tokens (last axis) each token must not see (B, T, T)."""
    import torch

    width = max(len(tree.ids) for tree in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.long)
    position = torch.zeros_like(ids)
    # Padding is a branch of its own, seen by nobody else.
    branch = torch.full((len(batch), width), -2, dtype=torch.long)
    for b, tree in enumerate(batch):
        size = len(tree.ids)
        ids[b, :size] = torch.tensor(tree.ids)
        position[b, :size] = torch.tensor(tree.position)
        branch[b, :size] = torch.tensor(tree.branch)
    ahead = torch.ones((width, width), dtype=torch.bool).triu(1)
    apart = (branch[:, None, :] != branch[:, :, None]) & (branch[:, None, :] != -1)
    return ids.to(device), position.to(device), (ahead | apart).to(device)
