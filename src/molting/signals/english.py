"""Words of English chat: tokens, contractions, manners, stems, synonyms, numbers.

The lists lie in data/english.toml. Light rules instead of a library: a chat of ten words needs the
contractions and manners of chats, not a lemmatizer, and every word of another language passes.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from molting.signals.text import fold

_TOKEN = re.compile(r"\d+(?:,\d{3})+(?!\d)|\d+(?:[.:]\d+)*|[^\W\d_]+(?:['’][^\W\d_]+)*|[.,;:!?]")
_PRONOUN_IS = {
    "what", "who", "where", "when", "how", "why", "that", "it", "he", "she", "there", "here",
}  # fmt: skip
_SPOKEN = {
    "whats": "what is", "whos": "who is", "wheres": "where is", "hows": "how is", "im": "i am",
    "dont": "do not", "doesnt": "does not", "didnt": "did not", "cant": "can not", "cannot": "can not",
    "wont": "will not", "isnt": "is not", "arent": "are not", "wasnt": "was not", "couldnt": "could not",
    "shouldnt": "should not", "wouldnt": "would not", "havent": "have not", "ive": "i have",
    "youre": "you are", "theyre": "they are", "thats": "that is", "theres": "there is", "id": "i would",
    "u": "you", "ur": "your", "r": "are", "gonna": "going to", "wanna": "want to",
    "can't": "can not", "won't": "will not", "shan't": "shall not", "ain't": "is not",
    "let's": "let us", "o'clock": "",
}  # fmt: skip
_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = (
    {word: value for value, word in enumerate(_UNITS)}
    | {word: 20 + 10 * i for i, word in enumerate(_TENS)}
    | {"dozen": 12, "hundred": 100, "thousand": 1000, "million": 1_000_000}
)
DIGITS = {word: str(value) for value, word in enumerate(_UNITS[:13])}
"""Numbers that are written out as often as not."""


AUXILIARY = frozenset(
    [
        "do",
        "does",
        "did",
        "is",
        "are",
        "was",
        "were",
        "am",
        "can",
        "could",
        "will",
        "would",
        "shall",
        "should",
        "have",
        "has",
        "had",
        "may",
        "might",
        "must",
    ]
)


def tokens(text: str) -> list[str]:
    """Folded words, numbers and marks, contractions opened."""
    return _open(_TOKEN.findall(fold(text)))


def is_mark(token: str) -> bool:
    return token[0] in ".,;:!?"


def without_manners(words: list[str]) -> list[str]:
    """A prompt without its greeting, its "please" and its "could you tell me"."""
    lists = word_lists()
    said = " ".join(lists.anywhere.sub(" ", " ".join(words)).split())
    while True:
        shorter = lists.opening.sub("", said)
        first = shorter.split(" ", 3)
        # "Can you swim" asks; "can you explain" is manners.
        if first[0] in AUXILIARY and first[1:2] == ["you"] and {*first[2:3]} & lists.requests:
            shorter = " ".join(first[2:])
        if shorter == said or not shorter:
            # A greeting alone is not nothing.
            return (shorter or said).split() or list(words)
        said = shorter


def concept(word: str) -> str:
    """The word's stem, or the first of its group of synonyms."""
    root = stem(word)
    return word_lists().concepts.get(root, root)


def stem(word: str) -> str:
    """The word without its commonest English endings; short words stay as they are."""
    for ending, put in (("ies", "y"), ("ied", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word[: -len(ending)] + put
    for ending in ("ing", "ed"):
        root = word[: -len(ending)]
        if word.endswith(ending) and len(root) >= 3 and re.search(r"[aeiouy]", root):
            if len(root) > 3 and root[-1] == root[-2] and root[-1] not in "ls":
                root = root[:-1]
            return root.removesuffix("e")
    if word.endswith("s") and len(word) > 3 and word[-2] not in "suia":
        word = word[:-1]
    if word.endswith("ly") and len(word) > 5:
        word = word[:-2]
    return word.removesuffix("e") if len(word) > 4 else word


def spelled_alike(left: str, right: str) -> bool:
    """Equal, or one a slip of the pen for the other: swapped, doubled or missing letters."""
    if left == right:
        return True
    short, long = sorted((left, right), key=len)
    if len(short) < 4 or len(long) - len(short) > 1 or short[0] != long[0]:
        return False
    if len(short) == len(long):
        wrong = [i for i, (a, b) in enumerate(zip(left, right, strict=True)) if a != b]
        swapped = len(wrong) == 2 and wrong[1] == wrong[0] + 1 and sorted(left) == sorted(right)
        return swapped or (len(wrong) == 1 and len(short) >= 7)
    return len(long) >= 5 and any(long[:i] + long[i + 1 :] == short for i in range(len(long)))


def is_number(word: str) -> bool:
    return word[0].isdigit() or (word in _VALUES and word not in ("one", "zero"))


def numbers(tokens: Sequence[str]) -> frozenset[str]:
    """Numbers as digits, "forty-one" and "two thousand" too. A lone "one" is seldom a number."""
    found: set[str] = set()
    spoken: list[str] = []
    for token in [*tokens, ""]:
        if token in _VALUES or (spoken and token == "and"):
            spoken.append(token)
            continue
        if spoken and set(spoken) - {"one", "and", "zero"}:
            found.add(str(_value([word for word in spoken if word != "and"])))
        spoken = []
        if token[:1].isdigit():
            found.add(token.replace(",", "").lstrip("0") or "0")
    return frozenset(found)


def _value(spoken: Sequence[str]) -> int:
    total = current = 0
    for word in spoken:
        value = _VALUES[word]
        if value >= 1000:
            total, current = total + max(current, 1) * value, 0
        elif value == 100:
            current = max(current, 1) * value
        else:
            current += value
    return total + current


@functools.cache
def grammar() -> frozenset[str]:
    """Words that no phrase is remembered for: grammar and persons, plain yes and no."""
    lists = word_lists()
    return (lists.function | lists.persons.keys() | {"yes", "no"}) - lists.interjections


@dataclass(frozen=True)
class WordLists:
    function: frozenset[str]
    interjections: frozenset[str]
    persons: dict[str, str]
    anywhere: re.Pattern[str]
    opening: re.Pattern[str]
    requests: frozenset[str]
    phatic_whole: frozenset[str]
    phatic_words: frozenset[str]
    stock: frozenset[str]
    general: frozenset[str]
    yes: frozenset[str]
    no: frozenset[str]
    agreeing_no: tuple[str, ...]
    negations: frozenset[str]
    inviting_verbs: frozenset[str]
    inviting_nouns: frozenset[str]
    should: frozenset[str]
    concepts: dict[str, str]
    opposites: frozenset[tuple[str, str]]
    """Concepts."""
    written_negations: frozenset[str]
    """Words as they are written, contractions too."""
    written_opposites: tuple[tuple[str, str], ...]


@functools.cache
def word_lists() -> WordLists:
    text = resources.files("molting.data").joinpath("english.toml").read_text(encoding="utf-8")
    raw: dict[str, Any] = tomllib.loads(text)

    def phrases(value: str) -> list[str]:
        found = [" ".join(part.split()) for part in value.replace("\n", " ").split("|")]
        return sorted((p for p in found if p), key=len, reverse=True)

    concepts: dict[str, str] = {}
    for line in raw["concepts"]["groups"].split("\n"):
        group = [stem(word) for word in line.split()]
        for word in group:
            concepts.setdefault(word, concepts.get(group[0], group[0]))
    opposites: set[tuple[str, str]] = set()
    for line in filter(None, raw["concepts"]["opposites"].split("\n")):
        left, right = (concepts.get(stem(word), stem(word)) for word in line.split())
        opposites |= {(left, right), (right, left)}
    interjections = frozenset(raw["interjections"].split())
    answers, phatic, invitations = raw["answers"], raw["phatic"], raw["invitations"]
    manners = raw["manners"]
    return WordLists(
        function=frozenset(raw["function"].split()) | interjections,
        interjections=interjections,
        persons={w: person for person, ws in raw["persons"].items() for w in ws.split()},
        anywhere=re.compile(r"\b(?:" + "|".join(phrases(manners["anywhere"])) + r")\b"),
        opening=re.compile(r"^(?:" + "|".join(phrases(manners["opening"])) + r")(?= |$) ?"),
        requests=frozenset(manners["requests"].split()),
        phatic_whole=frozenset(phrases(phatic["whole"])),
        phatic_words=frozenset(phatic["words"].split()),
        stock=frozenset(concepts.get(stem(w), stem(w)) for w in phatic["stock"].split()),
        general=frozenset(concepts.get(stem(w), stem(w)) for w in raw["general"].split()),
        yes=frozenset(answers["yes"].split()),
        no=frozenset(answers["no"].split()),
        agreeing_no=tuple(phrases(answers["yes_all_the_same"])),
        negations=frozenset([*answers["negations"].split(), *answers["nearly"].split()]),
        inviting_verbs=frozenset(invitations["verbs"].split()),
        inviting_nouns=frozenset(invitations["nouns"].split()),
        should=frozenset(invitations["should"].split()),
        concepts=concepts,
        opposites=frozenset(opposites),
        written_negations=frozenset(
            [*answers["negations"].split(), *raw["written"]["negations"].split()]
        ),
        written_opposites=tuple(
            (left, right)
            for left, _, right in (p.partition("/") for p in raw["written"]["opposites"].split())
        ),
    )


def _open(tokens: list[str]) -> list[str]:
    """Contractions as the words they stand for, possessives without their mark."""
    found: list[str] = []
    for token in tokens:
        word = token.replace("’", "'")
        if word in _SPOKEN:
            found += _SPOKEN[word].split()
            continue
        head, mark, tail = word.rpartition("'")
        if not mark:
            found.append(word)
        elif word.endswith("n't"):
            found += [word[:-3], "not"]
        elif tail in ("re", "ve", "ll", "d", "m"):
            full = {"re": "are", "ve": "have", "ll": "will", "d": "would", "m": "am"}[tail]
            found += [head, full]
        elif tail == "s":
            found += [head, "is"] if head in _PRONOUN_IS else [head]
        else:
            found += [head, tail]
    return [word for word in found if word]
