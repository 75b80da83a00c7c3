"""Novelty: how unlike a text is to the nearest other one, 0 for a copy and 1 for nothing shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from molting.signals.stats import Array
from molting.signals.text import fold

_EXACT_UP_TO = 4000
"""More texts are compared in full only with their likeliest neighbours."""
_BLOCK = 512
_CANDIDATES = 10
_DIMENSIONS = 96


class Novelty(NamedTuple):
    """1 − likeness to the nearest other text, and where that one is; None when there is no other."""

    value: float | None
    nearest: int | None


def novelty(
    texts: Sequence[str], encode: Callable[[Sequence[str]], Array] | None = None
) -> list[Novelty]:
    """Novelty of every text in the set.

    Likeness is the cosine of character 3- and 4-gram TF-IDF: the one that selection uses. With
    `encode` (texts → unit vectors, shape (len(texts), D)) it is the cosine of those instead, which
    sees sense as well as words. Beyond 4,000 texts the neighbours to compare with are proposed by
    96 dimensions of the same vectors: of several near neighbours the nearest may be missed by a
    little, copies are not.
    """
    said = [i for i, text in enumerate(texts) if fold(text)]
    found = [Novelty(None, None)] * len(texts)
    if len(said) < 2:
        return found
    vectors = encode([texts[i] for i in said]) if encode else _tfidf([texts[i] for i in said])
    likeness, nearest = _nearest(vectors)
    for place, i in enumerate(said):
        value = float(np.clip(1.0 - likeness[place], 0.0, 1.0))
        found[i] = Novelty(value, said[int(nearest[place])])
    return found


def _tfidf(texts: Sequence[str]) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True, dtype=np.float32
    )
    return vectorizer.fit_transform([fold(text) for text in texts])


def _nearest(vectors: Any) -> tuple[Array, Array]:
    count = vectors.shape[0]
    sparse = hasattr(vectors, "toarray")
    if sparse and count > _EXACT_UP_TO:
        return _proposed(vectors)
    likeness, nearest = np.zeros(count), np.zeros(count, dtype=int)
    for start in range(0, count, _BLOCK):
        block = vectors[start : start + _BLOCK] @ vectors.T
        cosine = np.asarray(block.toarray() if sparse else block, dtype=float)
        rows = np.arange(cosine.shape[0])
        cosine[rows, start + rows] = -1.0
        nearest[start : start + _BLOCK] = cosine.argmax(1)
        likeness[start : start + _BLOCK] = cosine.max(1)
    return likeness, nearest


def _proposed(vectors: Any) -> tuple[Array, Array]:
    from sklearn.decomposition import TruncatedSVD

    count = vectors.shape[0]
    small = TruncatedSVD(_DIMENSIONS, random_state=0, n_iter=2).fit_transform(vectors)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-12)
    likeness, nearest = np.zeros(count), np.zeros(count, dtype=int)
    for start in range(0, count, _BLOCK):
        cosine = small[start : start + _BLOCK] @ small.T
        rows = np.arange(cosine.shape[0])
        cosine[rows, start + rows] = -1.0
        near = np.argpartition(cosine, -_CANDIDATES, axis=1)[:, -_CANDIDATES:]
        own = vectors[np.repeat(start + rows, near.shape[1])]
        true = np.asarray(own.multiply(vectors[near.ravel()]).sum(1)).reshape(near.shape)
        best = true.argmax(1)
        likeness[start : start + _BLOCK] = true[rows, best]
        nearest[start : start + _BLOCK] = near[rows, best]
    return likeness, nearest
