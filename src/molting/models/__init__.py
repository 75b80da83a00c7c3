"""Where a base model comes from, how text is rendered for it, LoRA, generation, likelihood."""
