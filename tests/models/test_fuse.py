"""Several layers' weights as one product's, held once."""

from __future__ import annotations

import torch

from molting.models.fuse import side_by_side


def layers() -> list[torch.nn.Linear]:
    torch.manual_seed(0)
    return [torch.nn.Linear(6, size, bias=False).requires_grad_(False) for size in (4, 2, 3)]


def test_the_layers_compute_what_they_did_and_share_the_memory_of_the_whole() -> None:
    made = layers()
    before = [layer.weight.clone() for layer in made]
    whole = side_by_side(made)
    assert torch.equal(whole, torch.cat(before))
    whole[5, 0] = 7.0
    assert made[1].weight[1, 0] == 7.0
    whole[5, 0] = before[1][1, 0]
    assert all(
        torch.equal(layer.weight, weight) for layer, weight in zip(made, before, strict=True)
    )


def test_what_lies_side_by_side_is_not_copied_again() -> None:
    made = layers()
    whole = side_by_side(made)
    again = side_by_side(made)
    assert again.data_ptr() == whole.data_ptr()
    assert torch.equal(again, whole)


def test_views_in_another_order_or_with_a_gap_are_copied() -> None:
    made = layers()
    side_by_side(made)
    turned = side_by_side([made[1], made[0]])
    assert torch.equal(turned, torch.cat([made[1].weight, made[0].weight]))
    made = layers()
    side_by_side(made)
    gap = side_by_side([made[0], made[2]])
    assert torch.equal(gap, torch.cat([made[0].weight, made[2].weight]))


def test_one_layer_is_itself() -> None:
    (first, *_) = layers()
    assert side_by_side([first]).data_ptr() == first.weight.data_ptr()
