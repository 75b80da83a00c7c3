"""A packed product is the product."""

from __future__ import annotations

import pytest
import torch

from molting.models.linear import Linear

SHAPE = (640, 320)


@pytest.mark.parametrize("rows", [(1,), (32,), (300,), (4, 9)])
@pytest.mark.parametrize("biased", [True, False])
def test_a_packed_weight_gives_the_same_product(rows: tuple[int, ...], biased: bool) -> None:
    torch.manual_seed(0)
    weight, given = torch.randn(SHAPE), torch.randn(*rows, SHAPE[1])
    bias = torch.randn(SHAPE[0]) if biased else None
    layer = Linear(weight, bias, few_rows=True)
    if torch._C._has_mkldnn:
        assert layer.weight_OD is None
    torch.testing.assert_close(
        layer(given), torch.nn.functional.linear(given, weight, bias), rtol=1e-5, atol=1e-4
    )


def test_adding_a_product_of_two_is_adding_it() -> None:
    torch.manual_seed(0)
    weight, given = torch.randn(SHAPE), torch.randn(7, SHAPE[1])
    inner, up = torch.randn(7, 4), torch.randn(4, SHAPE[0])
    for few in (True, False):
        found = Linear(weight, None, few_rows=few).plus(given, inner, up)
        torch.testing.assert_close(found, given @ weight.T + inner @ up, rtol=1e-5, atol=1e-3)


def test_what_is_small_or_meets_many_rows_stays_as_it_is() -> None:
    assert Linear(torch.randn(8, 8), None, few_rows=True).weight_OD is not None
    assert Linear(torch.randn(SHAPE), None).weight_OD is not None
