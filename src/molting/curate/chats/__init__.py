"""Chat exports as people have them, one small file a format: who, when, text, where it stood."""
