"""From chat files to a corpus: formats, preflight, filters, selection, split."""
