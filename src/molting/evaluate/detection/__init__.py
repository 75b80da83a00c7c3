"""Personality detection over frozen features (PersLLM, arXiv 2504.05411). No part of any score."""
