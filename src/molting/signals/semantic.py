"""Do two texts say the same? A cosine, the letters, the words and what contradicts, in one score.

Cosine alone is no duplicate finder: "open" and "closed" lie closer than most paraphrases. Here
it is one of several signals, and a logistic regression over texts written for it
(`molting/data/pairs.jsonl`, fitted by `molting.signals.calibration`) turns them into a probability.
"""

from __future__ import annotations

from collections.abc import Sequence

from molting.models.vectors import Array, Encoder
from molting.signals.calibration import calibrate
from molting.signals.duplicates import Pair
from molting.signals.engines import Engine
from molting.signals.neighbours import close_pairs
from molting.signals.pair_features import Calibration, features
from molting.signals.text import fold

THRESHOLD = 0.8
"""From here on a pair is called a semantic duplicate."""
FLOOR = 0.5
"""Pairs below this are not worth keeping: more likely than not they say different things."""
CANDIDATES = 8
"""Closest rows by cosine that are looked at for each row."""


def pair_scores(left_texts: Sequence[str], right_texts: Sequence[str], encoder: Encoder) -> Array:
    """Probability, 0 to 1, that the texts of each pair say the same; shape (len(left_texts),).

    Symmetric: swapping the two sides changes nothing. Rarity is taken from the texts at hand and
    from everyday text that ships. Texts that fold alike score 1, an empty text scores 0.
    """
    texts = list(dict.fromkeys([*left_texts, *right_texts]))
    place = {text: i for i, text in enumerate(texts)}
    import numpy as np

    left = np.array([place[text] for text in left_texts], np.int64)
    right = np.array([place[text] for text in right_texts], np.int64)
    return score_places(texts, left, right, encoder)


def semantic_pairs(
    texts: Sequence[str],
    encoder: Encoder,
    threshold: float = THRESHOLD,
    candidates: int = CANDIDATES,
    boundary: int | None = None,
    engine: Engine | None = None,
) -> list[Pair]:
    """Pairs of different texts that say the same, sorted; `similarity` is the probability.

    Texts that fold alike are one text here, the first: exact pairs are `exact_pairs`' business.
    Each text is compared with its `candidates` closest by cosine. Ask with `FLOOR` and keep what
    comes, and any higher threshold is a filter (`at_least`), not another search. With `boundary`
    only pairs of a text before that place and one from it on are looked for.
    """
    import numpy as np

    first: dict[str, int] = {}
    sides: dict[int, int] = {}
    for i, text in enumerate(texts):
        if folded := fold(text):
            place = first.setdefault(folded, i)
            sides[place] = sides.get(place, 0) | (1 if boundary is None or i < boundary else 2)
    places = np.array(list(first.values()), np.int64)
    side = None if boundary is None else np.array([sides[i] for i in first.values()], np.uint8)
    if len(places) < 2:
        return []
    kept = [texts[i] for i in places]
    rows = encoder.encode(kept)
    least = least_cosine(calibrate(encoder), threshold)
    left, right, cosine = close_pairs(rows, least, candidates, side=side, engine=engine)
    # A gigabyte for a million texts, and all that is asked of them is in the cosines.
    del rows
    scores = score_places(kept, left, right, encoder, cosine)
    found = []
    for k in np.nonzero(scores >= threshold)[0]:
        i, j = int(places[left[k]]), int(places[right[k]])
        found.append(Pair(min(i, j), max(i, j), float(scores[k])))
    return sorted(found)


def judged(
    texts: Sequence[str], pairs: Sequence[Pair], judge: Encoder, threshold: float
) -> list[Pair]:
    """Pairs that another encoder found, with the probability that `judge` gives them."""
    import numpy as np

    places = sorted({place for pair in pairs for place in (pair.left, pair.right)})
    number = {place: i for i, place in enumerate(places)}
    left = np.array([number[pair.left] for pair in pairs], np.int64)
    right = np.array([number[pair.right] for pair in pairs], np.int64)
    scores = score_places([texts[place] for place in places], left, right, judge)
    return [
        Pair(pair.left, pair.right, float(score))
        for pair, score in zip(pairs, scores, strict=True)
        if score >= threshold
    ]


def least_cosine(known: Calibration, threshold: float) -> float:
    """Where a search for `threshold` may stop: below, a pair would need every other signal of
    likeness above 0.9 (such pairs are near duplicates, which MinHash finds)."""
    import math

    if threshold >= 1.0:
        return 1.0
    wanted = math.log(threshold / (1.0 - threshold)) if threshold > 0 else -math.inf
    others = 0.9 * sum(max(weight, 0.0) for weight in known.weights[1:])
    if known.weights[0] <= 0:
        return known.cosine_floor
    return max(known.cosine_floor, (wanted - known.offset - others) / known.weights[0])


def at_least(pairs: Sequence[Pair], threshold: float) -> list[Pair]:
    """What is left of kept pairs at a higher threshold."""
    return [pair for pair in pairs if pair.similarity >= threshold]


def score_places(
    texts: Sequence[str],
    left: Array,
    right: Array,
    encoder: Encoder,
    cosine: Array | None = None,
) -> Array:
    """As `pair_scores`, for places in `texts`, all different."""
    import numpy as np

    if not len(left):
        return np.zeros(0)
    known = calibrate(encoder)
    used, inverse = np.unique(np.concatenate([left, right]), return_inverse=True)
    some = [texts[i] for i in used]
    a, b = inverse[: len(left)], inverse[len(left) :]
    values = features(some, a, b, encoder, cosine)
    scores = 1.0 / (1.0 + np.exp(-(values @ np.array(known.weights) + known.offset)))
    folded = [fold(text) for text in some]
    same = np.array([folded[i] == folded[j] for i, j in zip(a, b, strict=True)], bool)
    empty = np.array([not text for text in folded], bool)
    scores[same] = 1.0
    scores[empty[a] | empty[b]] = 0.0
    result: Array = scores
    return result
