"""Measurements that take minutes: run by hand, figures go to docs/measurements.md."""
