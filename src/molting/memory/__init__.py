"""What a frozen model has already computed, kept by content."""
