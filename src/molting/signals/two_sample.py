"""Can a classifier tell the model's replies from the persona's own? 0.5: it cannot.

The voice score asks whether a reply lies on the persona's side of a line; this asks whether it
lies where the persona's text lies. A caricature is far on the right side and easily told.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import numpy as np

from molting.signals.stats import Array, Estimate, auc, cluster_bootstrap
from molting.signals.text import first_words, words

_FOLDS = 5
_FEWEST = 20
_READ_WORDS = 40


def two_sample_auc(
    model: Sequence[tuple[str, str]],
    persona: Sequence[tuple[str, str]],
    resamples: int,
    seed: int,
) -> Estimate:
    """AUC of a cross-validated classifier; rows are (prompt, reply), n counts the model's prompts.

    Folds are drawn by prompt, so nothing of a prompt is in training and test at once; words that
    the row's own prompt has are left out, so that other prompts are no evidence. Both sides are
    cut to the same lengths. Unknown with fewer than 20 replies on a side.
    """
    if min(len(model), len(persona)) < _FEWEST:
        return Estimate(None, None, None, len({prompt for prompt, _ in model}))
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    from molting.signals.ngrams import CHARACTERS, WORDS, Ngrams

    threadpool_limits = import_module("threadpoolctl").threadpool_limits
    left, right = _plain(model), _plain(persona)
    texts = _matched(left, right) + _matched(right, left)
    labels = np.array([1] * len(model) + [0] * len(persona))
    asked = [prompt for prompt, _ in (*model, *persona)]
    place = {prompt: k for k, prompt in enumerate(dict.fromkeys(asked))}
    cluster = np.array([place[prompt] for prompt in asked])
    fold = (np.random.default_rng(seed).permutation(len(place)) % _FOLDS)[cluster]
    scores = np.full(len(texts), np.nan)
    with threadpool_limits(1, user_api="blas"):
        for k in range(_FOLDS):
            inside, outside = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
            if not len(inside) or len(set(labels[outside])) < 2:
                continue
            pipeline = make_pipeline(
                make_union(
                    make_pipeline(Ngrams(CHARACTERS), TfidfTransformer(sublinear_tf=True)),
                    make_pipeline(Ngrams(WORDS), TfidfTransformer(sublinear_tf=True)),
                ),
                LogisticRegression(C=3.0, solver="liblinear", random_state=seed),
            )
            pipeline.fit([texts[i] for i in outside], labels[outside])
            scores[inside] = pipeline.decision_function([texts[i] for i in inside])
            # Folds have their own zero; compare ranks within one scale.
            scores[inside] -= np.median(pipeline.decision_function([texts[i] for i in outside]))

    def statistic(weights: Array) -> float:
        taken = np.repeat(np.arange(len(texts)), weights[cluster].astype(int))
        taken = taken[np.isfinite(scores[taken])]
        positive = labels[taken] == 1
        return auc(scores[taken][positive], scores[taken][~positive])

    estimate = cluster_bootstrap(statistic, len(place), min(resamples, 400), seed)
    return Estimate(
        estimate.value, estimate.low, estimate.high, len({prompt for prompt, _ in model})
    )


def _matched(texts: Sequence[str], others: Sequence[str]) -> list[str]:
    """Each cut to the length that stands at the same place on the other side, if that is shorter."""
    lengths = np.array([max(1, len(text.split())) for text in texts])
    limits = sorted(max(1, len(text.split())) for text in others)
    rank = np.argsort(np.argsort(lengths, kind="stable"), kind="stable")
    return [
        first_words(text, min(_READ_WORDS, limits[int(place) * len(limits) // len(texts)]))
        for text, place in zip(texts, rank, strict=True)
    ]


def _plain(rows: Sequence[tuple[str, str]]) -> list[str]:
    found = []
    for prompt, reply in rows:
        asked = {word for word in words(prompt) if len(word) > 3}
        kept = [w for w in reply.lower().split() if not asked & set(words(w))]
        found.append(" ".join(kept) or ".")
    return found
