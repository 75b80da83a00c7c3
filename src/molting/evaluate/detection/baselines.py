"""What a detector has to beat: the commonest class, the length alone, the words alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from molting.evaluate.detection.arrays import Integers, Numbers
from molting.evaluate.detection.calibrated import class_shares
from molting.evaluate.detection.linear import best_logistic

BASELINES = ("majority", "length", "bag_of_words")
Scorer = Callable[[Integers], list[Numbers]]
"""Rows to the scores (n, C) of every trait."""


def fit_baseline(
    name: str,
    texts: Sequence[Sequence[str]],
    labels_NK: Integers,
    classes: Sequence[int],
    fit: Integers,
    stop: Integers,
) -> Scorer:
    """`texts`: every sample's windows, the very ones that the features were taken from."""
    if name == "majority":
        shares = [class_shares(labels_NK[fit, k], count) for k, count in enumerate(classes)]
        # Enough to name the commonest; the shares themselves come in with calibration.
        return lambda rows: [np.tile(1e-6 * share, (len(rows), 1)) for share in shares]
    if name == "length":
        return _fit_length(texts, labels_NK, classes, fit, stop)
    return _fit_words(texts, labels_NK, classes, fit, stop)


def _fit_length(
    texts: Sequence[Sequence[str]],
    labels_NK: Integers,
    classes: Sequence[int],
    fit: Integers,
    stop: Integers,
) -> Scorer:
    """Words in all and letters in a word: what remains when it does not matter what is said."""
    counts = [(sum(len(w.split()) for w in ws), sum(map(len, ws))) for ws in texts]
    rows = np.array([[np.log1p(words), letters / max(words, 1)] for words, letters in counts])
    rows = (rows - rows[fit].mean(0)) / np.maximum(rows[fit].std(0), 1e-6)
    fits = [
        best_logistic(
            rows[fit], labels_NK[fit, k], rows[stop], labels_NK[stop, k], count, (0.01, 0.1, 1.0)
        )
        for k, count in enumerate(classes)
    ]
    return lambda some: [rows[some] @ weight.T + bias for weight, bias in fits]


def _fit_words(
    texts: Sequence[Sequence[str]],
    labels_NK: Integers,
    classes: Sequence[int],
    fit: Integers,
    stop: Integers,
) -> Scorer:
    """TF-IDF of words and pairs of words; the vocabulary is that of the rows fitted on."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    joined = ["\n".join(windows) for windows in texts]
    vectorizer = TfidfVectorizer(
        token_pattern=r"[\w']+|[^\w\s]", ngram_range=(1, 2), min_df=2, sublinear_tf=True
    )
    vectorizer.fit([joined[i] for i in fit])
    rows = vectorizer.transform(joined)
    fits = [
        best_logistic(
            rows[fit], labels_NK[fit, k], rows[stop], labels_NK[stop, k], count, (0.1, 1.0, 10.0)
        )
        for k, count in enumerate(classes)
    ]
    return lambda some: [rows[some] @ weight.T + bias for weight, bias in fits]
