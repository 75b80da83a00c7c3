"""Settings without which a small model takes several times its memory, or its time, on a Linux CPU.

- oneDNN keeps up to 1,024 compiled products, one for every shape it has met, and batches of chat
  rows have hundreds of shapes. 64 are as fast (measured: docs/lab-log.md).
- glibc raises its threshold for mapping a block by itself as it goes, and heaps then grow holes. A
  fixed threshold keeps them in bounds. It must not be low: a block that is mapped anew for every
  product costs a page fault for each 4 KiB, which took a fifth of a training step (docs/lab-log.md).
- PyTorch can ask for pages of 2 MiB. Weights that are read whole at every token then come in a tenth
  to a seventh faster; training takes the same time and memory.
"""

from __future__ import annotations

import ctypes
import gc
import os
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_BYTES = 32 << 20
"""The largest that glibc allows."""
_TRIM_BYTES = 512 << 20


def bound_memory() -> None:
    """Apply them, once; a person's own environment variables win."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if sys.platform.startswith("linux") and "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        # musl has none, and needs none.
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
            mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


def release_memory(*, cycles: bool = True) -> None:
    """Give what has been freed back to the system: between stages, when a model has gone.

    `cycles`: look for what only refers to itself first, which takes a good part of a second.
    """
    if cycles:
        gc.collect()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
