"""Perplexity beside the personality score, against the untouched and the prompted base."""
