"""Exact and near duplicates: MinHash proposes, true Jaccard similarity decides."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from molting.signals.text import character_ngrams, fold, jaccard

_PERMUTATIONS = 128
_BANDS = 32
"""32 bands of 4: a pair of similarity 0.7 is proposed with probability 0.9998, one of 0.5 with
0.87, so what the true similarity then decides is all but complete."""
_SEED = 7


class Pair(msgspec.Struct, frozen=True, order=True):
    """Two places in a sequence, `left < right`, and how alike they are (1.0: equal when folded)."""

    left: int
    right: int
    similarity: float


def exact_pairs(texts: Sequence[str]) -> list[Pair]:
    """Each text that folds like an earlier one, paired with the first such."""
    first: dict[str, int] = {}
    pairs = []
    for i, text in enumerate(texts):
        folded = fold(text)
        if not folded:
            continue
        if folded in first:
            pairs.append(Pair(first[folded], i, 1.0))
        else:
            first[folded] = i
    return pairs


def near_pairs(texts: Sequence[str], threshold: float) -> list[Pair]:
    """All pairs whose character 4-gram Jaccard similarity reaches `threshold`, sorted."""
    return near_pairs_across(texts, None, threshold)


def near_pairs_across(
    texts: Sequence[str], others: Sequence[str] | None, threshold: float
) -> list[Pair]:
    """Pairs (place in `texts`, place in `others`); within `texts` when `others` is None."""
    from rensa import RMinHash, RMinHashLSH

    grams = [character_ngrams(text) for text in texts]
    probes = grams if others is None else [character_ngrams(text) for text in others]
    index = RMinHashLSH(threshold, _PERMUTATIONS, _BANDS)

    def sketch(items: set[str]) -> RMinHash:
        minhash = RMinHash(_PERMUTATIONS, _SEED)
        minhash.update(sorted(items))
        return minhash

    sketches = [sketch(items) if items else None for items in grams]
    for i, minhash in enumerate(sketches):
        if minhash is not None:
            index.insert(i, minhash)
    pairs: set[Pair] = set()
    for j, items in enumerate(probes):
        if not items:
            continue
        minhash = sketches[j] if others is None else sketch(items)
        for i in index.query(minhash):
            if others is None and i >= j:
                continue
            similarity = jaccard(grams[i], items)
            if similarity >= threshold:
                pairs.add(Pair(int(i), j, similarity))
    return sorted(pairs)


def groups(count: int, pairs: Sequence[Pair]) -> list[int]:
    """Connected components: for each place, the smallest place that it is connected to."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for pair in pairs:
        left, right = root(pair.left), root(pair.right)
        parent[max(left, right)] = min(left, right)
    return [root(i) for i in range(count)]
