"""Word order: are these sentences, or only the right words?

Detectors of a voice count words; thrown together in any order they sound like the persona still.
Here every two neighbouring words are looked up in texts that people or models wrote. A word that
is not among the common ones stands for its ending, so that new words do not matter. A reply's
value is the chance that its own order is likelier than a random order of its words: about 1 for
sentences and 0.5 for a shuffle. It is the mean over the reply's windows of twelve words, so that
one shuffled half shows.
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from molting.signals.stats import Array
from molting.signals.text import WORD, fold

_COMMON = 400
_SHUFFLES = 8
_WINDOW = 12
_READ = 120
_FEWEST = 5
"""Words below which an order says nothing."""
_TOKEN = re.compile(r"\w+(?:['’]\w+)*|[.,!?;:]")


class WordOrder:
    """Counts of neighbouring word classes in `texts`."""

    def __init__(self, texts: Sequence[str]) -> None:
        spoken = [_tokens(text) for text in texts]
        counts = Counter(word for said in spoken for word in said)
        self._common = {word for word, _ in counts.most_common(_COMMON)}
        self._single: Counter[str] = Counter()
        self._pair: Counter[tuple[str, str]] = Counter()
        for said in spoken:
            classes = [self._class(word) for word in said]
            self._single.update(classes[:-1])
            self._pair.update(itertools.pairwise(classes))
        self._total = max(1, sum(self._single.values()))

    def value(self, text: str, seed: int = 0) -> float:
        """0 to 1; NaN for a text of fewer than five words."""
        classes = [self._class(word) for word in _tokens(text)[:_READ]]
        if len(WORD.findall(text)) < _FEWEST:
            return float("nan")
        draw = random.Random(seed)
        found = []
        for start in range(0, max(1, len(classes) - _WINDOW // 2), _WINDOW):
            part = classes[start : start + _WINDOW]
            own = self._likely(part)
            above = 0.0
            for _ in range(_SHUFFLES):
                other = part[:]
                draw.shuffle(other)
                value = self._likely(other)
                above += float(own > value) + 0.5 * float(own == value)
            found.append(above / _SHUFFLES)
        return float(np.mean(found))

    def values(self, texts: Sequence[str]) -> Array:
        return np.array([self.value(text, i) for i, text in enumerate(texts)], dtype=float)

    def _likely(self, classes: Sequence[str]) -> float:
        """Sum over neighbours of log p(next | this), backed off to log p(next)."""
        total = 0.0
        for one, other in itertools.pairwise(classes):
            back = (self._single[other] + 0.5) / (self._total + 0.5)
            total += math.log((self._pair[one, other] + 8 * back) / (self._single[one] + 8))
        return total

    def _class(self, word: str) -> str:
        return word if word in self._common or len(word) < 3 else f"-{word[-3:]}"


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(fold(text))
