"""Counts of n-grams of texts, each text analysed once in a process.

A voice is measured with a dozen classifiers that are fitted on much the same texts, and taking the
texts apart is four fifths of a fit. So n-grams are numbered once, a text's counts are kept, and a
fit only puts rows together. Counts, columns and their order are those of scikit-learn's
`CountVectorizer` (the tests compare them); what follows from them is left to it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from molting.signals.stats import Array

_MOST_KEPT = 6_000_000
"""Counts that are kept, 8 bytes each; when there are more, all are forgotten."""
_AT_ONCE = 2_000
"""Texts that are read together when nothing is learned from them."""

CHARACTERS: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (2, 4)}
WORDS: dict[str, Any] = {"token_pattern": r"[\w']+|[^\w\s]"}
WORD_PAIRS: dict[str, Any] = WORDS | {"ngram_range": (1, 2)}


class _Known:
    """What one way of taking texts apart has found so far."""

    def __init__(self, analyze: Callable[[str], list[str]]) -> None:
        self.analyze = analyze
        self.lock = threading.Lock()
        self.number: dict[str, int] = {}
        self.rows: dict[str, tuple[Array, Array]] = {}
        self.kept = 0

    def read(self, texts: Sequence[str]) -> tuple[Array, Array, Array, dict[str, int]]:
        """Numbers and counts of all texts end to end, where each begins and the last one ends, and
        what the numbers stand for."""
        with self.lock:
            if self.kept > _MOST_KEPT:
                self.number, self.rows, self.kept = {}, {}, 0
            rows = [self._row(text) for text in texts]
            number = self.number
        start = np.concatenate([[0], np.cumsum([len(ids) for ids, _ in rows], dtype=np.int64)])
        nothing = [np.zeros(0, dtype=np.int32)]
        ids = np.concatenate([ids for ids, _ in rows] or nothing)
        counts = np.concatenate([counts for _, counts in rows] or nothing)
        return ids, counts, start, number

    def _row(self, text: str) -> tuple[Array, Array]:
        found = self.rows.get(text)
        if found is None:
            counted, number = Counter(self.analyze(text)), self.number
            size = len(counted)
            ids = (number.setdefault(gram, len(number)) for gram in counted)
            found = (
                np.fromiter(ids, np.int32, size),
                np.fromiter(counted.values(), np.int32, size),
            )
            self.rows[text] = found
            self.kept += size
        return found


_KNOWN: dict[str, _Known] = {}


def _known(way: dict[str, Any]) -> _Known:
    key = repr(sorted(way.items()))
    if key not in _KNOWN:
        from sklearn.feature_extraction.text import CountVectorizer

        _KNOWN.setdefault(key, _Known(CountVectorizer(**way).build_analyzer()))
    return _KNOWN[key]


class Ngrams:
    """Counts (texts, n-grams), float64; a first step of a scikit-learn pipeline.

    `way`: how texts are taken apart, `CountVectorizer`'s settings. `least`: in how many of the
    texts learned from an n-gram must be. Learning raises ValueError when none is.
    """

    def __init__(self, way: dict[str, Any], least: int = 1) -> None:
        self.way, self.least = way, least

    def fit(self, texts: Sequence[str], labels: Any = None) -> Ngrams:
        self.fit_transform(texts, labels)
        return self

    def fit_transform(self, texts: Sequence[str], labels: Any = None, **_: Any) -> Any:
        ids, counts, start, number = _known(self.way).read(texts)
        in_texts = np.bincount(ids, minlength=len(number))
        names = list(number)
        enough = sorted(names[i] for i in np.flatnonzero(in_texts >= self.least))
        if not enough:
            raise ValueError(f"no n-gram is in {self.least} of {len(texts)} texts")
        self.vocabulary_ = {name: column for column, name in enumerate(enough)}
        self._numbered: dict[str, int] | None = None
        self._column: Any = None
        return self._matrix(ids, counts, start, number)

    def transform(self, texts: Sequence[str]) -> Any:
        from scipy.sparse import vstack

        known = _known(self.way)
        parts = [
            self._matrix(*known.read(texts[first : first + _AT_ONCE]))
            for first in range(0, max(1, len(texts)), _AT_ONCE)
        ]
        return vstack(parts, format="csr") if len(parts) > 1 else parts[0]

    def _matrix(self, ids: Array, counts: Array, start: Array, number: dict[str, int]) -> Any:
        from scipy.sparse import csr_matrix

        columns = self._columns(number)[ids]
        taken = columns >= 0
        before = np.concatenate([[0], np.cumsum(taken)])
        values = counts[taken].astype(float)
        shape = (len(start) - 1, len(self.vocabulary_))
        matrix = csr_matrix((values, columns[taken], before[start]), shape=shape)
        matrix.sort_indices()
        return matrix

    def _columns(self, number: dict[str, int]) -> Any:
        """The column of every n-gram numbered so far; −1 for one that was not learned."""
        with _known(self.way).lock:
            size = len(number)
            if self._numbered is not number:
                # What is learned gets its numbers now, so none of it can come later.
                places = [number.setdefault(name, len(number)) for name in self.vocabulary_]
                self._numbered, size = number, len(number)
                self._column = np.full(size, -1, dtype=np.int32)
                self._column[places] = np.arange(len(places), dtype=np.int32)
            elif size > len(self._column):
                later = np.full(size - len(self._column), -1, dtype=np.int32)
                self._column = np.concatenate([self._column, later])
            return self._column
