"""A set of chat turns with planted copies, whose truth is known; used by `benchmarks.duplicates`.

Real turns: the messages of ../shared/data/personas, the prompts and replies of
../shared/data/retention/prompts_252.jsonl, and the messages of the package `chitchat-dataset`
(optional; without it made turns fill up, and the report says how many). Texts that fold alike are
taken once, so that every exact copy is a planted one. Where more turns are asked for than there
are, a made turn is a real one with every third word taken from other turns.

Of N turns:

    8 %   exact     a real turn in other letters: case, white space, or Unicode forms (full-width
                    letters, no-break spaces, ligatures) that NFKC folds away
    10 %  near      a real turn with one to three edits, each a slip of the pen (two letters
                    swapped, one dropped, one doubled), a word dropped, a word replaced, a word put
                    in, or a clause of a few words before or after it. Its true similarity is
                    computed and kept; below the threshold (or equal when folded) it is no near
                    copy, and another is drawn
    both sides of 1,238 pairs of the Twitter-URL test set that five or six of six raters said mean
                    the same (as many of them as make at most 2 % of the turns)

The order is shuffled. The generator's seed fixes everything.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from molting.signals.text import fold

VOTES = re.compile(r"\(([0-6]),6\)")
EXACT, NEAR, SEMANTIC = 0.08, 0.10, 0.02
_CLAUSES = (
    "you know", "if you ask me", "i think", "to be honest", "haha", "that's what i heard", "anyway",
    "well", "at least for now", "as i said", "believe me", "or so they say", "by the way",
)  # fmt: skip
_LIGATURES = (("ffi", "ﬃ"), ("fi", "ﬁ"), ("fl", "ﬂ"), ("...", "…"))


@dataclass
class Planted:
    """Turns, and the truth about them as pairs of places."""

    texts: list[str] = field(default_factory=list)
    exact: list[tuple[int, int]] = field(default_factory=list)
    near: list[tuple[int, int, float]] = field(default_factory=list)
    """The original, its copy and their true similarity."""
    semantic: list[tuple[int, int]] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    """How many turns came from where."""
    refused: int = 0
    """Edited turns that were drawn and are not near copies at the threshold."""


def similarity(left: str, right: str) -> float:
    """The definition of docs/duplicates.md, written out again: the finder is not its own judge."""
    one, other = sorted((fold(left), fold(right)), key=len)
    if not one or (len(one) < 12 and len(other) > 32):
        return 0.0
    a, b = (grams4(one), grams4(other)) if len(one) >= 12 else (grams3(one), grams3(other))
    return len(a & b) / len(a | b)


def grams4(folded: str) -> set[str]:
    return {folded[i : i + 4] for i in range(len(folded) - 3)}


def grams3(folded: str) -> set[str]:
    said = " ".join(re.findall(r"\w+(?:['’]\w+)*", folded)) or folded
    return {f" {said} "[i : i + 3] for i in range(len(said))}


def planted(data: Path, count: int, threshold: float, seed: int = 0) -> Planted:
    chance = random.Random(seed)
    found = Planted()
    pairs = _paraphrases(data)
    chance.shuffle(pairs)
    pairs = pairs[: int(count * SEMANTIC / 2)]
    exact, near = int(count * EXACT), int(count * NEAR)
    base = _base(data, count - exact - near - 2 * len(pairs), chance, found)
    texts = [*base, *(text for pair in pairs for text in pair)]
    semantic = [(len(base) + 2 * i, len(base) + 2 * i + 1) for i in range(len(pairs))]
    known = {fold(text) for text in texts}
    words = [word for text in chance.sample(base, min(len(base), 5000)) for word in text.split()]
    same: list[tuple[int, int]] = []
    for place in (chance.randrange(len(base)) for _ in range(exact)):
        same.append((place, len(texts)))
        texts.append(_rewritten(base[place], chance))
    alike: list[tuple[int, int, float]] = []
    while len(alike) < near:
        place = chance.randrange(len(base))
        text = _edited(base[place], words, chance)
        value = similarity(base[place], text)
        if value < threshold or fold(text) in known:
            found.refused += 1
            continue
        known.add(fold(text))
        alike.append((place, len(texts), value))
        texts.append(text)
    order = list(range(len(texts)))
    chance.shuffle(order)
    place_of = {old: new for new, old in enumerate(order)}
    found.texts = [texts[old] for old in order]
    found.exact = [(place_of[a], place_of[b]) for a, b in same]
    found.near = [(place_of[a], place_of[b], value) for a, b, value in alike]
    found.semantic = [(place_of[a], place_of[b]) for a, b in semantic]
    found.sources |= {"exact copies": exact, "near copies": near, "paraphrases": 2 * len(pairs)}
    return found


def _base(data: Path, count: int, chance: random.Random, found: Planted) -> list[str]:
    seen: set[str] = set()
    base: list[str] = []
    for name, read in (("personas", _personas), ("retention", _retention), ("chitchat", _chitchat)):
        own = []
        for text in read(data):
            folded = fold(text)
            if folded and folded not in seen:
                seen.add(folded)
                own.append(text)
        chance.shuffle(own)
        own = own[: count - len(base)]
        found.sources[name] = len(own)
        base += own
    words = [word for text in chance.sample(base, min(len(base), 5000)) for word in text.split()]
    real = len(base)
    while len(base) < count:
        parts = base[chance.randrange(real)].split()
        for i in range(chance.randrange(3), len(parts), 3):
            parts[i] = chance.choice(words)
        text = " ".join(parts)
        if fold(text) not in seen:
            seen.add(fold(text))
            base.append(text)
    found.sources["made"] = len(base) - real
    return base


def _personas(data: Path) -> Iterator[str]:
    for file in sorted((data / "personas").glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            yield from (message["content"] for message in json.loads(line)["messages"])


def _retention(data: Path) -> Iterator[str]:
    for line in (data / "retention" / "prompts_252.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        yield row["prompt"]
        yield row["reply"]


def _chitchat(data: Path) -> Iterator[str]:
    try:
        from chitchat_dataset import MessageDataset
    except ImportError:
        return
    yield from MessageDataset()


def _paraphrases(data: Path) -> list[tuple[str, str]]:
    found = []
    file = data / "duplicates" / "twitter_url_test.tsv"
    for line in file.read_text("utf-8").split("\n"):
        cells = line.split("\t")
        for i, cell in enumerate(cells):
            votes = VOTES.fullmatch(cell)
            if votes and votes[1] in "56":
                found.append((cells[0].strip(), " ".join(cells[1:i]).strip()))
                break
    return found


def _rewritten(text: str, chance: random.Random) -> str:
    """Other letters, the same when folded. Characters whose forms do not fold back stay."""
    ways: list[Callable[[str], str]] = [
        str.upper,
        str.lower,
        str.swapcase,
        lambda t: f"  {t.replace(' ', '  ', 3)}\n",
        lambda t: t.replace(" ", "\t", 1) + " ",
        lambda t: t.replace(" ", "\u00a0"),
        lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
        lambda t: _ligatured(t),
    ]
    chance.shuffle(ways)
    for way in ways:
        made = way(text)
        if made != text and fold(made) == fold(text):
            return made
    return text


def _ligatured(text: str) -> str:
    for plain, joined in _LIGATURES:
        text = text.replace(plain, joined)
    return text


def _edited(text: str, words: list[str], chance: random.Random) -> str:
    for _ in range(chance.choice((1, 1, 2, 3))):
        parts = text.split()
        i = chance.randrange(len(parts))
        what = chance.choice(("slip", "slip", "drop", "replace", "put in", "clause"))
        if what == "slip":
            parts[i] = _slip(parts[i], chance)
        elif what == "drop":
            if len(parts) > 1:
                del parts[i]
        elif what == "replace":
            parts[i] = chance.choice(words)
        elif what == "put in":
            parts.insert(i, chance.choice(words))
        else:
            clause = chance.choice(_CLAUSES)
            parts = [f"{clause},", *parts] if chance.random() < 0.5 else [*parts, clause]
        text = " ".join(parts)
    return text


def _slip(word: str, chance: random.Random) -> str:
    if len(word) < 3:
        return word + word[-1]
    i = chance.randrange(len(word) - 1)
    return chance.choice(
        (
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            word[:i] + word[i + 1 :],
            word[:i] + word[i] + word[i:],
        )
    )
