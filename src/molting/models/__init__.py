"""Where a base model comes from, how text is rendered for it, LoRA, generation, likelihood."""

from molting.models.allocator import bound_memory

# Before torch is imported: it reads these settings once.
bound_memory()
