"""Molting gives a small language model a personality and measures honestly whether it did."""

__version__ = "0.1.0"
