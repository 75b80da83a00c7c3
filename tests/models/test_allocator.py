"""The settings are made before torch can read them, and a person's own ones win."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("given", "expected"), [({}, "64"), ({"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "7"}, "7")]
)
def test_the_cache_of_products_is_bounded_before_torch_is_imported(
    given: dict[str, str], expected: str
) -> None:
    code = (
        "import os, sys, molting.models\n"
        "print(os.environ['ONEDNN_PRIMITIVE_CACHE_CAPACITY'], 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=given, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [expected, "False"]


def test_freed_memory_goes_back_to_the_system() -> None:
    code = (
        "import resource, torch\n"
        "from molting.models.allocator import release_memory\n"
        "def held(): return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()\n"
        "kept = [torch.ones(2_000_000) for _ in range(40)]\n"
        "last = torch.ones(1000)\n"
        "full = held(); del kept; release_memory()\n"
        "print(full - held())\n"
    )
    if not sys.platform.startswith("linux"):
        pytest.skip("glibc only")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 250e6
