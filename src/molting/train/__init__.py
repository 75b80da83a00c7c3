"""Batches, the loop, early stopping, resume."""
