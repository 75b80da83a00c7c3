from __future__ import annotations

import subprocess
import sys


def test_importing_core_and_signals_never_imports_the_heavy_libraries() -> None:
    code = """
import pkgutil, importlib, sys, molting.core, molting.signals
for room in (molting.core, molting.signals):
    for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
heavy = {"torch", "transformers", "peft", "sklearn", "scipy", "pyarrow"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
