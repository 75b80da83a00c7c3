"""How alike two texts are by their letters, words, numbers and negations; no encoder.

Everything is a sparse matrix over all texts at once, so that a million pairs cost seconds.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec

from molting.signals.text import fold, words

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[np.float64]]
else:
    Array = Any

NAMES = ("letters", "contained", "numbers", "negation", "opposite")
_BUCKETS = 1 << 20
_SIZES = (2, 3, 4)
_NEGATIONS = frozenset(
    "no not never none nobody nothing neither nor nowhere without cannot can't cant won't wont "
    "don't dont doesn't doesnt didn't didnt isn't isnt aren't arent wasn't wasnt weren't werent "
    "haven't havent hasn't hasnt hadn't hadnt shouldn't wouldn't couldn't mustn't needn't ain't "
    "refuse refuses refused deny denies denied".split()
)
_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve".split()
    )
}
_OPPOSITES = tuple(
    tuple(pair.split("/"))
    for pair in (
        "always/never all/none everyone/nobody everybody/nobody open/close opens/closes "
        "open/closed opened/closed more/less more/fewer most/least best/worst better/worse "
        "good/bad love/hate like/dislike like/hate loves/hates buy/sell bought/sold win/lose "
        "wins/loses won/lost rise/fall rises/falls rose/fell up/down raise/lower raise/cut "
        "increase/decrease increases/decreases accept/refuse accept/reject accepts/rejects "
        "allow/ban allowed/banned allow/forbid allowed/forbidden start/stop starts/stops "
        "begin/end before/after with/without first/last early/late hot/cold warm/cold wet/dry "
        "big/small large/small high/low long/short old/new young/old fast/slow full/empty "
        "safe/dangerous easy/hard easy/difficult cheap/expensive clean/dirty true/false "
        "right/wrong correct/wrong guilty/innocent alive/dead happy/sad success/failure "
        "success/disaster remember/forget remembered/forgot on/off inside/outside same/different "
        "possible/impossible agree/disagree healthy/ill push/pull give/take gave/took "
        "boiling/freezing summer/winter morning/evening day/night useful/useless free/closed "
        "awake/asleep join/leave arrive/leave create/cut quiet/noisy strong/weak"
    ).split()
)


@functools.cache
def background() -> tuple[str, ...]:
    """Everyday chat text that ships: what rare words are measured against when few are at hand."""
    texts: list[str] = []
    for name in ("neutral.jsonl", "contrast.jsonl"):
        raw = resources.files("molting.data").joinpath(name).read_bytes()
        for row in msgspec.json.Decoder().decode_lines(raw):
            texts += [row["prompt"], row["reply"]]
    return tuple(texts)


class Wording:
    """The texts as sparse matrices; `features` compares pairs of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        import numpy as np
        from scipy.sparse import csr_array, diags_array

        folded = [fold(text) for text in (*texts, *background())]
        count = len(texts)
        letters = _letter_counts(folded)
        letters.data = 1.0 + np.log(letters.data)
        weighted = csr_array(letters[:count] @ diags_array(_rarity(letters)))
        lengths = np.sqrt(weighted.multiply(weighted).sum(1))
        self._letters = csr_array(diags_array(1.0 / np.maximum(lengths, 1e-12)) @ weighted)

        spoken = [words(text) for text in folded]
        vocabulary: dict[str, int] = {}
        said = _indicator(spoken, vocabulary)
        self._words = csr_array(said[:count] @ diags_array(_rarity(said)))
        self._said = said[:count]
        self._numbers = _indicator([_numbers(w) for w in spoken[:count]], {})
        self._negated = np.array(
            [any(w in _NEGATIONS for w in text) for text in spoken[:count]], bool
        )
        known = [(a, b) for a, b in _OPPOSITES if a in vocabulary and b in vocabulary]
        ends = [(vocabulary[a], vocabulary[b]) for a, b in known]
        ends += [(b, a) for a, b in ends]
        size = said.shape[1]
        at = tuple(np.array(ends, np.int64).reshape(-1, 2).T)
        self._opposite = csr_array((np.ones(len(ends)), at), shape=(size, size))

    def letters(self, left: Array, right: Array) -> Array:
        """Cosine of the TF-IDF weighted character n-grams of each pair."""
        found: Array = self._letters[left].multiply(self._letters[right]).sum(1)
        return found

    def features(self, left: Array, right: Array) -> Array:
        """Shape (pairs, len(NAMES)), for places `left` and `right` in the texts.

        letters: square root of the cosine of TF-IDF weighted character n-grams.
        contained: share of the words, by rarity, of the shorter text that the longer one has.
        numbers: both texts have a number that the other has not.
        negation: one is negated and the other is not, by how much the words agree otherwise.
        opposite: one has a word, the other its opposite, in the same way.
        """
        import numpy as np

        letters = self.letters(left, right)
        shared_words = self._words[left].minimum(self._words[right]).sum(1)
        total = self._words.sum(1)
        shorter = np.minimum(total[left], total[right])
        longer = np.maximum(total[left], total[right])
        contained = shared_words / np.maximum(shorter, 1e-12)
        agree = shared_words / np.maximum(longer, 1e-12)
        shared = self._numbers[left].multiply(self._numbers[right]).sum(1)
        many = self._numbers.sum(1)
        numbers = (many[left] > shared) & (many[right] > shared)
        negation = self._negated[left] != self._negated[right]
        both = self._said[left].multiply(self._said[right])
        only_left, only_right = self._said[left] - both, self._said[right] - both
        opposite = (only_left @ self._opposite).multiply(only_right).sum(1) > 0
        return np.stack(
            [
                np.sqrt(np.clip(letters, 0.0, 1.0)),
                np.clip(contained, 0.0, 1.0),
                numbers.astype(float),
                negation * agree,
                opposite * agree,
            ],
            axis=1,
        )


def _letter_counts(folded: Sequence[str]) -> Any:
    """Hashed counts of byte n-grams, shape (len(folded), _BUCKETS)."""
    import numpy as np
    from scipy.sparse import csr_array

    data = [
        np.frombuffer(f" {text} ".encode("utf-8", "replace"), np.uint8).astype(np.uint32)
        for text in folded
    ]
    lengths = np.array([len(item) for item in data])
    flat = np.concatenate(data)
    owner = np.repeat(np.arange(len(data)), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(flat))
    rows, columns = [], []
    code = np.zeros(len(flat), np.uint32)
    for size in range(1, max(_SIZES) + 1):
        moved = np.zeros_like(flat)
        moved[: len(flat) - size + 1] = flat[size - 1 :]
        code = code * np.uint32(0x01000193) ^ (moved * np.uint32(0x9E3779B1))
        if size in _SIZES:
            whole = left >= size
            mixed = code[whole] ^ (code[whole] >> np.uint32(15))
            columns.append((mixed % np.uint32(_BUCKETS)).astype(np.int64))
            rows.append(owner[whole])
    row, column = np.concatenate(rows), np.concatenate(columns)
    key, counts = np.unique(row * _BUCKETS + column, return_counts=True)
    shape = (len(data), _BUCKETS)
    return csr_array((counts.astype(float), (key // _BUCKETS, key % _BUCKETS)), shape=shape)


def _indicator(lists: Sequence[Sequence[str]], vocabulary: dict[str, int]) -> Any:
    import numpy as np
    from scipy.sparse import csr_array

    bounds, flat = [0], []
    for items in lists:
        flat += [vocabulary.setdefault(item, len(vocabulary)) for item in dict.fromkeys(items)]
        bounds.append(len(flat))
    shape = (len(lists), max(len(vocabulary), 1))
    return csr_array((np.ones(len(flat)), np.array(flat, np.int64), bounds), shape=shape)


def _rarity(matrix: Any) -> Array:
    """Smoothed inverse document frequency of each column."""
    import numpy as np

    seen = np.bincount(matrix.indices, minlength=matrix.shape[1])
    rarity: Array = np.log((matrix.shape[0] + 1) / (seen + 1)) + 1.0
    return rarity


def _numbers(said: Sequence[str]) -> list[str]:
    found = [_NUMBERS.get(word, word) for word in said]
    return [word for word in found if word[0].isdigit()]
