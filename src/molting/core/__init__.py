"""The nouns that every other room uses. Light: importing it never imports torch."""
