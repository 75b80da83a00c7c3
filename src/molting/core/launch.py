"""Whether this process is one of several that a launcher started (Accelerate, torchrun, Ray)."""

from __future__ import annotations

import os


def process_count() -> int:
    """Processes in the group; 1 without a launcher."""
    return _number("WORLD_SIZE", 1) if "MASTER_ADDR" in os.environ else 1


def process_rank() -> int:
    """This process's number; 0 is the one that reads, writes and speaks."""
    return _number("RANK", 0) if process_count() > 1 else 0


def sharding_asked() -> bool:
    """Whether Accelerate was configured for FSDP: frozen weights are split among the devices."""
    return os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("1", "true", "yes")


def _number(name: str, otherwise: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdigit() else otherwise
