"""What can be said of a text or a set of texts: pure functions over text and numbers."""
