"""Texts as vectors of low dimension for diversity and topics, from the set's own words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from molting.signals.english import grammar
from molting.signals.stats import Array

DIMENSIONS = 128
_SPACES = 0.08
"""Where a smaller share of the characters is white space, words are not written apart."""


class TextVectors(NamedTuple):
    """`vectors[i] @ vectors[j]` is the likeness of texts i and j, at most 1."""

    vectors: Any
    """float32, shape (texts, dimensions); of length 1 or less."""
    tfidf: Any
    """The sparse matrix they come from, rows of length 1."""
    terms: Sequence[str]


def text_vectors(texts: Sequence[str], seed: int) -> TextVectors:
    """TF-IDF over words, reduced by a truncated SVD (latent semantic analysis).

    The vectors are not scaled up after the reduction: for up to 128 texts their products are the
    cosines of TF-IDF, for more the best approximation of that rank, so a weight against likeness
    means the same for ten rows and ten thousand. Pure in the texts and the seed.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not texts:
        return TextVectors(np.zeros((0, 1), np.float32), None, ())
    letters = sum(map(len, texts))
    spaced = sum(text.count(" ") for text in texts) >= _SPACES * letters
    vectorizer = TfidfVectorizer(
        sublinear_tf=True,
        # Words of nearly every row say nothing of what a row is about.
        max_df=0.5 if len(texts) >= 20 else 1.0,
        min_df=2 if len(texts) >= 1000 else 1,
        **(
            {"token_pattern": r"(?u)\w[\w'’]+", "stop_words": sorted(_grammar())}
            if spaced
            else {"analyzer": "char_wb", "ngram_range": (2, 3)}
        ),
    )
    try:
        tfidf = vectorizer.fit_transform(texts)
    except ValueError:
        # No word is left: nothing tells these texts apart.
        return TextVectors(np.zeros((len(texts), 1), np.float32), None, ())
    terms = list(vectorizer.get_feature_names_out())
    rank = min(DIMENSIONS, *tfidf.shape)
    if rank >= min(tfidf.shape):
        small = tfidf.toarray()
        if small.shape[1] > small.shape[0]:
            # Rotated into as many dimensions as there are texts; products stay what they are.
            small = np.linalg.qr(small.T)[1].T
        return TextVectors(small.astype(np.float32), tfidf, terms)
    svd = TruncatedSVD(rank, n_iter=3, random_state=seed)
    return TextVectors(svd.fit_transform(tfidf).astype(np.float32), tfidf, terms)


def _grammar() -> set[str]:
    # The vectorizer's tokens keep apostrophes, so "don't" is one of them.
    opened = {"don't", "i'm", "it's", "that's", "you're", "can't", "i've", "i'll", "there's"}
    return {word for word in grammar() if len(word) > 1} | opened


def cluster(vectors: Any, count: int, seed: int) -> Any:
    """A topic number for each row (k-means on directions), shape (rows,), the largest topic 0."""
    from sklearn.cluster import MiniBatchKMeans

    rows = len(vectors)
    count = min(count, rows)
    if count <= 1:
        return np.zeros(rows, dtype=int)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.maximum(length, 1e-9)
    means = MiniBatchKMeans(count, n_init=3, random_state=seed, batch_size=2048)
    found = means.fit_predict(directions)
    # Numbered by size, then by first row, so that the numbers are stable.
    sizes = np.bincount(found, minlength=count)
    first = [int(np.flatnonzero(found == c)[0]) if sizes[c] else rows for c in range(count)]
    order = sorted(range(count), key=lambda c: (-sizes[c], first[c]))
    renumbered = np.empty(count, dtype=int)
    renumbered[order] = np.arange(count)
    return renumbered[found]


def topic_words(tfidf: Any, terms: Sequence[str], topics: Any, most: int = 3) -> list[str]:
    """What sets each topic apart: the words that weigh more in it than in all."""
    if tfidf is None:
        return ["" for _ in range(int(topics.max(initial=0)) + 1)]
    overall: Array = np.asarray(tfidf.mean(axis=0)).ravel()
    named = []
    for topic in range(int(topics.max(initial=0)) + 1):
        inside = np.asarray(tfidf[topics == topic].mean(axis=0)).ravel()
        best = np.argsort(-(inside - overall), kind="stable")[:most]
        named.append(", ".join(terms[i] for i in best if inside[i] > overall[i]))
    return named
