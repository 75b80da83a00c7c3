"""A row's format is told by its keys alone."""

from __future__ import annotations

from typing import Any

import pytest

from molting.curate.row_keys import Format, format_of, pair_keys


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"messages": []}, "messages"),
        ({"conversations": [], "prompt": "a", "reply": "b"}, "sharegpt"),
        ({"instruction": "a", "output": "b"}, "alpaca"),
        ({"instruction": "a", "input": "c"}, None),
        ({" Prompt ": "a", "RESPONSE": "b"}, "pairs"),
        ({"prompt": "a"}, None),
        (["prompt", "reply"], None),
    ],
)
def test_the_keys_tell(row: Any, expected: Format | None) -> None:
    assert format_of(row) == expected


def test_a_key_is_never_both_prompt_and_reply() -> None:
    assert pair_keys({"user": "a", "assistant": "b"}) == ("user", "assistant")
    assert pair_keys({"Question": "a", "Answer": "b", "id": 1}) == ("Question", "Answer")
    assert pair_keys({"input": "a", "id": 1}) is None
