"""How alike two texts are by their letters, words, numbers and negations; no encoder.

Everything is a sparse matrix over all texts at once, so that a million pairs cost seconds.
"""

from __future__ import annotations

import functools
from array import array
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from molting.signals.engines import LocalEngine
from molting.signals.english import DIGITS, word_lists
from molting.signals.text import fold, words

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]
else:
    Array = Any

NAMES = ("letters", "contained", "numbers", "negation", "opposite")
_BITS = 18
_BUCKETS = 1 << _BITS
_SIZES = (2, 3, 4)
_BLOCK = 2048
_MANY = 8
_TEXTS_AT_ONCE = 8192
_COUNTED_AT_ONCE = 4_000_000


@functools.cache
def background() -> tuple[str, ...]:
    """Everyday chat text that ships: what rare words are measured against when few are at hand."""
    texts: list[str] = []
    for name in ("neutral.jsonl", "contrast.jsonl"):
        raw = resources.files("molting.data").joinpath(name).read_bytes()
        for row in msgspec.json.Decoder().decode_lines(raw):
            texts += [row["prompt"], row["reply"]]
    return tuple(texts)


class _Background(NamedTuple):
    documents: int
    letters: Any
    """How many documents have each n-gram, shape (_BUCKETS,)."""
    words: dict[str, int]


@functools.cache
def _background() -> _Background:

    folded = [fold(text) for text in background()]
    letters = _seen_in(_letter_counts(folded))
    counts = Counter(word for text in folded for word in set(words(text)))
    return _Background(len(folded), letters, dict(counts))


class Wording:
    """The texts as sparse matrices; `features` compares pairs of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np
        from scipy.sparse import csr_array

        known = _background()
        lists = word_lists()
        folded = [fold(text) for text in texts]
        documents = len(texts) + known.documents
        letters = _letter_counts(folded)
        seen = _seen_in(letters) + known.letters
        _weigh(letters, _rarity(seen, documents).astype(np.float32))
        self._letters = letters

        said, numbers = _Indicator(), _Indicator()
        self._negated = np.zeros(len(texts), bool)
        # Text by text: the words of a million at once would be most of a gigabyte.
        for i, text in enumerate(folded):
            spoken = words(text)
            said.add(spoken)
            numbers.add(_numbers(spoken))
            self._negated[i] = any(word in lists.written_negations for word in spoken)
        self._said, vocabulary = said.matrix(), said.vocabulary
        seen = np.bincount(self._said.indices, minlength=len(vocabulary))
        seen = seen + np.array([known.words.get(word, 0) for word in vocabulary], np.int64)
        self._words = self._said.copy()
        self._words.data = _rarity(seen, documents)[self._words.indices]
        self._total = self._words.sum(1)
        self._numbers = numbers.matrix()
        self._many = self._numbers.sum(1)
        ends = [
            (vocabulary[a], vocabulary[b])
            for a, b in lists.written_opposites
            if a in vocabulary and b in vocabulary
        ]
        ends += [(b, a) for a, b in ends]
        size = self._said.shape[1]
        at = tuple(np.array(ends, np.int64).reshape(-1, 2).T)
        self._opposite = csr_array((np.ones(len(ends)), at), shape=(size, size))

    def all_letters(self) -> Array:
        """`letters` of every text with every other, shape (texts, texts)."""
        found: Array = (self._letters @ self._letters.T).toarray()
        return found

    def letters(self, left: Array, right: Array) -> Array:
        """Cosine of the TF-IDF weighted character n-grams of each pair."""
        found: Array = self._letters[left].multiply(self._letters[right]).sum(1)
        return found

    def features(self, left: Array, right: Array) -> Array:
        """Shape (pairs, len(NAMES)), for places `left` and `right` in the texts.

        letters: square root of the cosine of TF-IDF weighted character n-grams.
        contained: share of the words, by rarity, of the shorter text that the longer one has.
        numbers: both texts have a number that the other has not, by how much the words agree
            otherwise (a tweet and a comment on it with different numbers contradict nothing).
        negation: one is negated and the other is not, in the same way.
        opposite: one has a word, the other its opposite, in the same way.
        """
        import numpy as np

        # In slices that stay in the processor's cache: more than twice as fast, and bounded.
        pieces = [slice(start, start + _BLOCK) for start in range(0, len(left), _BLOCK)]
        engine = LocalEngine(None if len(pieces) > _MANY else 1)
        blocks = [
            np.zeros((0, len(NAMES))),
            *engine.map(lambda some: self._features(left[some], right[some]), pieces),
        ]
        return np.concatenate(blocks)

    def _features(self, left: Array, right: Array) -> Array:
        import numpy as np

        letters = self.letters(left, right)
        shared_words = self._words[left].minimum(self._words[right]).sum(1)
        shorter = np.minimum(self._total[left], self._total[right])
        longer = np.maximum(self._total[left], self._total[right])
        contained = shared_words / np.maximum(shorter, 1e-12)
        # Squared: a contradiction is one only where nearly all the rest agrees.
        agree = (shared_words / np.maximum(longer, 1e-12)) ** 2
        shared = self._numbers[left].multiply(self._numbers[right]).sum(1)
        numbers = (self._many[left] > shared) & (self._many[right] > shared)
        negation = self._negated[left] != self._negated[right]
        both = self._said[left].multiply(self._said[right])
        only_left, only_right = self._said[left] - both, self._said[right] - both
        opposite = (only_left @ self._opposite).multiply(only_right).sum(1) > 0
        return np.stack(
            [
                np.sqrt(np.clip(letters, 0.0, 1.0)),
                np.clip(contained, 0.0, 1.0),
                numbers * agree,
                negation * agree,
                opposite * agree,
            ],
            axis=1,
        )


def _seen_in(counts: Any) -> Any:
    """How many rows have each column. In pieces: counting makes wide copies of the columns."""
    import numpy as np

    seen = np.zeros(counts.shape[1], np.int64)
    for start in range(0, counts.nnz, _COUNTED_AT_ONCE):
        some = counts.indices[start : start + _COUNTED_AT_ONCE]
        seen += np.bincount(some, minlength=len(seen))
    return seen


def _weigh(counts: Any, rarity: Any) -> None:
    """From counts to weights, rows of length 1, in place. A million texts have hundreds of millions
    of n-grams, so it is done in pieces."""
    import numpy as np

    for start in range(0, counts.shape[0], _TEXTS_AT_ONCE):
        bounds = counts.indptr[start : start + _TEXTS_AT_ONCE + 1]
        some = slice(bounds[0], bounds[-1])
        weights = (1.0 + np.log(counts.data[some])) * rarity[counts.indices[some]]
        lengths = np.sqrt(np.add.reduceat(weights**2, bounds[:-1] - bounds[0]))
        weights /= np.repeat(np.maximum(lengths, 1e-12), np.diff(bounds))
        counts.data[some] = weights


def _letter_counts(folded: Sequence[str]) -> Any:
    """Hashed counts of byte n-grams, shape (len(folded), _BUCKETS)."""
    import numpy as np
    from scipy.sparse import csr_array

    parts: list[Any] = [
        _some_letter_counts(folded[start : start + _TEXTS_AT_ONCE])
        for start in range(0, len(folded), _TEXTS_AT_ONCE)
    ]
    sizes = np.concatenate([[0], *(np.diff(part.indptr) for part in parts)])
    bounds = np.cumsum(sizes, dtype=np.int64).astype(np.int32 if sizes.sum() < 2**31 else np.int64)
    count = int(bounds[-1])
    data, columns = np.empty(count, np.float32), np.empty(count, np.int32)
    at = 0
    for i, part in enumerate(parts):
        data[at : at + part.nnz], columns[at : at + part.nnz] = part.data, part.indices
        at += part.nnz
        # Given back as it goes: the pieces and the whole together would be twice the memory.
        parts[i] = None
        del part
    return csr_array((data, columns, bounds), shape=(len(folded), _BUCKETS))


def _some_letter_counts(folded: Sequence[str]) -> Any:
    import numpy as np
    from scipy.sparse import csr_array

    # A space at both ends: never empty, and the beginning of a word is a letter of its own.
    data = [
        np.frombuffer(f" {text} ".encode("utf-8", "replace"), np.uint8).astype(np.uint32)
        for text in folded
    ]
    lengths = np.array([len(item) for item in data])
    flat = np.concatenate(data) if data else np.zeros(0, np.uint32)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(flat))
    padded = np.concatenate([flat, np.zeros(max(_SIZES), np.uint32)])
    codes, whole = [], []
    code = np.zeros(len(flat), np.uint32)
    for size in range(1, max(_SIZES) + 1):
        moved = padded[size - 1 : size - 1 + len(flat)]
        code = (code * np.uint32(0x01000193)) ^ (moved * np.uint32(0x9E3779B1))
        if size in _SIZES:
            mixed = (code ^ (code >> np.uint32(15))) * np.uint32(0x85EBCA6B)
            codes.append(mixed >> np.uint32(32 - _BITS))
            whole.append(left >= size)
    # Position by position, so that the n-grams of a text stay together.
    kept = np.stack(whole, 1)
    columns = np.stack(codes, 1)[kept].astype(np.int32)
    totals: Any = np.add.reduceat(kept.sum(1), np.cumsum(lengths) - lengths) if data else []
    bounds = np.concatenate([[0], np.cumsum(totals)]).astype(np.int32)
    counts = csr_array(
        (np.ones(len(columns), np.float32), columns, bounds), shape=(len(data), _BUCKETS)
    )
    counts.sum_duplicates()
    return counts


class _Indicator:
    """Which words which text has: a sparse matrix of ones, row by row."""

    def __init__(self) -> None:
        self.vocabulary: dict[str, int] = {}
        self._flat, self._bounds = array("i"), array("q", [0])

    def add(self, items: Sequence[str]) -> None:
        number = self.vocabulary
        self._flat.extend(number.setdefault(item, len(number)) for item in dict.fromkeys(items))
        self._bounds.append(len(self._flat))

    def matrix(self) -> Any:
        import numpy as np
        from scipy.sparse import csr_array

        shape = (len(self._bounds) - 1, max(len(self.vocabulary), 1))
        columns, bounds = np.array(self._flat, np.int32), np.array(self._bounds, np.int64)
        return csr_array((np.ones(len(columns)), columns, bounds), shape=shape)


def _rarity(seen: Any, documents: int) -> Any:
    """Smoothed inverse document frequency."""
    import numpy as np

    return np.log((documents + 1) / (seen + 1)) + 1.0


def _numbers(said: Sequence[str]) -> list[str]:
    found = [DIGITS.get(word, word) for word in said]
    return [word for word in found if word[0].isdigit()]
