"""Texts that ship with Molting, written for it."""
