"""What every encoder shares."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from molting.models.encoders import FakeEncoder
from molting.models.vectors import TokenEncoder, module_names, unit, whole


@given(st.lists(st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3), min_size=1))
def test_law_rows_have_length_one_unless_they_are_zero(rows: list[list[float]]) -> None:
    given_rows = np.array(rows, np.float32)
    lengths = np.linalg.norm(unit(given_rows), axis=1)
    far = np.linalg.norm(given_rows, axis=1) > 1e-6
    np.testing.assert_allclose(lengths[far], 1.0, atol=1e-5)
    assert not lengths[~given_rows.any(1)].any()


@given(st.text(st.characters(codec=None)))
def test_law_whole_text_can_be_encoded_and_is_otherwise_as_it_was(text: str) -> None:
    (found,) = whole([text])
    found.encode("utf-8")
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert found == text


def test_the_steps_of_a_folder_are_named_by_their_last_part(tmp_path: Path) -> None:
    steps = [{"type": "sentence_transformers.models.Transformer"}, {"type": "Pooling"}]
    (tmp_path / "modules.json").write_text(json.dumps(steps))
    assert module_names(tmp_path) == ["Transformer", "Pooling"]


def test_an_encoder_without_token_states_is_no_token_encoder() -> None:
    assert not isinstance(FakeEncoder(), TokenEncoder)
