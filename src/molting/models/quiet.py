"""Libraries print bars and advice of their own; a person reading Molting's output needs neither."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars, log lines or warnings from model libraries inside the block."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging as transformers_logging

    hub = logging.getLogger("huggingface_hub")
    level, verbosity = hub.level, transformers_logging.get_verbosity()
    bars = not are_progress_bars_disabled()
    # Some bars obey no switch; and where an environment variable has fixed them, the switches
    # themselves give advice.
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        disable_progress_bars()
        hub.setLevel(logging.ERROR)
        try:
            yield
        finally:
            hub.setLevel(level)
            transformers_logging.set_verbosity(verbosity)
            transformers_logging.enable_progress_bar()
            if not bars:
                disable_progress_bars()
