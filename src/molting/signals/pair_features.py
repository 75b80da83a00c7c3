"""What is looked at to tell whether two texts say the same: meaning, tokens, letters, words."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from molting.memory.embeddings import Remembered, remembered_values
from molting.models.vectors import Array, Encoder, TokenEncoder
from molting.signals import wording

_TEXTS_AT_ONCE = 8192
_PAIRS_AT_ONCE = 512


class Calibration(msgspec.Struct, frozen=True):
    """Logistic regression over `feature_names`: weights, offset, and where cosines may be cut."""

    weights: tuple[float, ...]
    offset: float
    cosine_floor: float
    """Below this cosine hardly any pair says the same; the search looks no further down."""


def feature_names(encoder: Encoder) -> tuple[str, ...]:
    """The columns of `features` for this encoder."""
    return ("cosine", *(("tokens",) if _token_encoder(encoder) else ()), *wording.NAMES)


def features(
    texts: Sequence[str],
    left: Array,
    right: Array,
    encoder: Encoder,
    cosine: Array | None = None,
) -> Array:
    """Shape (pairs, len(feature_names(encoder)))."""
    import numpy as np

    worded = wording.Wording(texts).features(left, right)
    tokens = _token_encoder(encoder)
    if tokens is None:
        if cosine is None:
            rows = encoder.encode(texts)
            cosine = (rows[left] * rows[right]).sum(1)
        return np.concatenate([cosine[:, None], worded], 1)
    if isinstance(encoder, Remembered):
        pairs = [tuple(sorted((texts[i], texts[j]))) for i, j in zip(left, right, strict=True)]
        both = remembered_values(
            encoder.memory,
            ("pair-1", encoder.id),
            pairs,
            2,
            lambda missing: _both(texts, left[missing], right[missing], tokens),
        )
    else:
        both = _both(texts, left, right, tokens)
    return np.concatenate([both, worded], 1)


def _token_encoder(encoder: Encoder) -> TokenEncoder | None:
    inner = encoder.encoder if isinstance(encoder, Remembered) else encoder
    return inner if isinstance(inner, TokenEncoder) else None


def _both(texts: Sequence[str], left: Array, right: Array, encoder: TokenEncoder) -> Array:
    """(cosine, token alignment) of each pair, shape (pairs, 2); each text passes once in general.

    Pairs are taken in slices of at most `_TEXTS_AT_ONCE` texts, which bounds the memory.
    """
    import numpy as np

    found = np.zeros((len(left), 2))
    start = 0
    while start < len(left):
        needed: dict[int, int] = {}
        stop = start
        while stop < len(left) and len(needed) < _TEXTS_AT_ONCE:
            needed.setdefault(int(left[stop]), len(needed))
            needed.setdefault(int(right[stop]), len(needed))
            stop += 1
        rows, states, weights = encoder.encode_tokens([texts[i] for i in needed])
        a = np.array([needed[int(i)] for i in left[start:stop]])
        b = np.array([needed[int(i)] for i in right[start:stop]])
        found[start:stop, 0] = (rows[a] * rows[b]).sum(1)
        found[start:stop, 1] = _aligned(states, [_mild(w) for w in weights], a, b)
        start = stop
    return found


def _mild(weights: Array) -> Array:
    """SIF weights with a ten times larger constant: every-day words count for something."""
    import numpy as np

    return weights / np.maximum(weights + (1.0 - weights) / 10.0, 1e-6)


def _aligned(states: Sequence[Array], weights: Sequence[Array], left: Array, right: Array) -> Array:
    """Each token's best match on the other side, both ways, as an F1 (BERTScore, Zhang 2020)."""
    import numpy as np

    lengths = np.array([len(item) for item in states])
    order = np.argsort(lengths[left] * 1000 + lengths[right], kind="stable")
    found = np.zeros(len(left))
    for start in range(0, len(order), _PAIRS_AT_ONCE):
        block = order[start : start + _PAIRS_AT_ONCE]
        side_L, weight_L = _padded(states, weights, left[block])
        side_R, weight_R = _padded(states, weights, right[block])
        cosine_BLR = side_L @ side_R.swapaxes(1, 2)
        cosine_BLR += np.where(weight_R > 0, 0.0, -2.0)[:, None, :]
        best_L = cosine_BLR.max(2)
        cosine_BLR += np.where(weight_L > 0, 0.0, -2.0)[:, :, None]
        best_R = cosine_BLR.max(1)
        recall = (best_L * weight_L).sum(1) / np.maximum(weight_L.sum(1), 1e-12)
        precision = (best_R * weight_R).sum(1) / np.maximum(weight_R.sum(1), 1e-12)
        total = precision + recall
        found[block] = np.where(
            (total > 1e-6) & (weight_L.sum(1) > 0) & (weight_R.sum(1) > 0),
            2 * precision * recall / np.maximum(total, 1e-6),
            0.0,
        )
    return found


def _padded(
    states: Sequence[Array], weights: Sequence[Array], places: Array
) -> tuple[Array, Array]:
    import numpy as np

    longest = max(1, max(len(states[i]) for i in places))
    side = np.zeros((len(places), longest, states[places[0]].shape[1]), np.float32)
    weight = np.zeros((len(places), longest), np.float32)
    for k, i in enumerate(places):
        side[k, : len(states[i])] = states[i]
        weight[k, : len(states[i])] = weights[i]
    return side, weight
