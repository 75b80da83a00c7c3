"""Libraries are silent inside the block, and as they were behind it."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest
from huggingface_hub.utils import are_progress_bars_disabled
from transformers.utils import logging as transformers_logging

from molting.models.quiet import quiet


def test_nothing_that_a_library_says_is_seen(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        warnings.warn("advice", stacklevel=1)
        print("a bar", file=sys.stderr)
        transformers_logging.get_logger("transformers").warning("more advice")
        logging.getLogger("huggingface_hub").warning("a token would be faster")
        assert are_progress_bars_disabled()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_everything_is_as_it_was_afterwards_even_when_the_block_fails() -> None:
    verbosity = transformers_logging.get_verbosity()
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.INFO)
    stream = sys.stderr
    with pytest.raises(ValueError, match="inside"), quiet():
        raise ValueError("inside")
    assert transformers_logging.get_verbosity() == verbosity
    assert hub.level == logging.INFO
    hub.setLevel(level)
    assert sys.stderr is stream
    assert not are_progress_bars_disabled()
    with pytest.warns(UserWarning, match="seen again"):
        warnings.warn("seen again", stacklevel=1)


@pytest.mark.parametrize("fixed", [True, False])
def test_a_person_who_fixed_the_bars_gets_no_advice_about_it(
    fixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`HF_HUB_DISABLE_PROGRESS_BARS=1` is common on servers."""
    # The module hides behind a class of the same name.
    bars = sys.modules[are_progress_bars_disabled.__module__]
    monkeypatch.setattr(bars, "HF_HUB_DISABLE_PROGRESS_BARS", fixed)
    with quiet():
        pass
