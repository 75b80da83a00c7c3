"""Folding, words and n-grams: the one definition that every signal shares."""

from __future__ import annotations

import re
import unicodedata

WORD = re.compile(r"\w+(?:['’]\w+)*")


def fold(text: str) -> str:
    """NFKC, case folded, white space collapsed: texts that fold alike are exact duplicates."""
    # `split` parts at what `\s` matches; for ASCII the other two steps come down to `lower`.
    if text.isascii():
        return " ".join(text.split()).lower()
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def words(text: str) -> list[str]:
    """Folded words, apostrophes inside kept."""
    return WORD.findall(fold(text))


def first_words(text: str, count: int, skip: int = 0) -> str:
    """Words `skip` to `skip + count` of the text as it is written, punctuation included."""
    return " ".join(text.split()[skip : skip + count])


def character_ngrams(text: str, size: int = 4) -> set[str]:
    """Character n-grams of the folded text; a shorter text is its own only n-gram."""
    folded = fold(text)
    if len(folded) <= size:
        return {folded} if folded else set()
    return {folded[i : i + size] for i in range(len(folded) - size + 1)}


def jaccard(left: set[str], right: set[str]) -> float:
    """Shared n-grams over all n-grams, 0 to 1; two empty sets are 0, not alike."""
    union = len(left | right)
    return len(left & right) / union if union else 0.0


_UNSPACED = {
    # Characters that make about one word, in scripts that put no space between words.
    2: "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff",
    4: "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\u0f00-\u0fff",
}
_RUNS = {size: re.compile(f"[{letters}]+") for size, letters in _UNSPACED.items()}


def count_words(text: str) -> int:
    """How many words a text has; Chinese, Japanese, Thai and their like are counted by characters.

    Two characters of Chinese or Japanese and four of Thai, Lao, Khmer, Burmese or Tibetan count as
    a word: about what segmenters find. Other text is counted by its white space.
    """
    count = 0
    for size, pattern in _RUNS.items():
        for run in pattern.findall(text):
            count += max(1, len(run) // size)
        text = pattern.sub(" ", text)
    return count + len(text.split())
