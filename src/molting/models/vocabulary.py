"""How much a token says, from its place in the vocabulary.

Vocabularies are built most frequent first, so the place stands in for the frequency (Zipf's law),
and SIF weights follow (Arora et al. 2017; Model2Vec does the same). Single characters and special
tokens come before the words in most vocabularies and are counted apart: left in the ranking, they
make "the" look rare (AUC .79 against .81 on written pairs for the distilled encoder).
"""

from __future__ import annotations

import re
from typing import Any

_A = 1e-3
"""SIF's constant: a word of this frequency has weight 1/2."""
_CHARACTER = 0.1
_SPECIAL = re.compile(r"\[(?:unused\d+|[A-Z]+)\]|<[^<>]*>")


def token_weights(tokenizer: Any) -> Any:
    """float32, shape (vocabulary,): near 0 for "the", near 1 for rare words, 0 for special tokens."""
    import numpy as np

    tokens = tokenizer.get_vocab()
    size = max(tokens.values(), default=-1) + 1
    weights = np.full(size, _CHARACTER, np.float32)
    words = []
    for token, i in tokens.items():
        if _SPECIAL.fullmatch(token):
            weights[i] = 0.0
        elif len(token.strip("#▁Ġ ")) > 1:
            words.append(i)
    words.sort()
    frequency = 1.0 / np.arange(2, len(words) + 2)
    frequency /= max(frequency.sum(), 1e-12)
    weights[words] = _A / (_A + frequency)
    return weights
