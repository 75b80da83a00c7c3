"""What a chat message says, manners and grammar aside: the ground for comparing chats.

Word lists (data/english.toml) and light stemming, no model: enough to tell "please tell me your
favourite colour" from "what colour is your hair", and "we open at nine" from "we open at ten". In
a language other than English every word counts as content, so what is left is plain overlap.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from molting.signals.english import (
    AUXILIARY,
    concept,
    is_mark,
    is_number,
    numbers,
    spelled_alike,
    tokens,
    without_manners,
    word_lists,
)

_POINTING = {"that", "this", "it", "these", "those", "them", "he", "she", "they", "so", "then"}
_ANY = {"a", "an", "any", "some", "one", "at", "another"}
_QUANTITIES = {"many", "much", "long", "far", "often", "old", "tall", "big", "deep", "high", "late"}
_BRIEF = 15
"""In replies of more content than this, a "not" or a "cold" is seldom the answer, and two that
share little may still agree."""
_SHORT_PROMPT = 5


@dataclass(frozen=True)
class Gist:
    """One message, reduced. `content` and `negated` hold stems, a group of synonyms its first."""

    key: str
    """All words but manners, contractions opened: equal keys are the same message."""
    content: tuple[str, ...]
    negated: frozenset[str]
    """Content that follows "not", "never" and their like within three words."""
    numbers: frozenset[str]
    persons: tuple[str, ...]
    asks: str
    """`what`, `why`, …, `many` and other quantities, `which` of two, `yes_no`; empty: nothing."""
    polarity: str
    """`yes`, `no` or empty: how an answer begins."""
    invites: bool
    """A prompt with many right answers: a joke, a poem, a suggestion."""
    points_back: bool
    """Speaks of "that" or "it" and hardly of anything else."""
    phatic: bool
    """Small talk and nothing else."""


@functools.lru_cache(maxsize=65536)
def gist(text: str) -> Gist:
    """Reduce a message; pure, remembered for texts seen lately."""
    lists = word_lists()
    said = tokens(text)
    plain = without_manners([token for token in said if not is_mark(token)])
    spoken = set(plain)
    content: list[str] = []
    persons: list[str] = []
    for word in plain:
        if word in lists.persons:
            persons.append(lists.persons[word])
        elif word not in lists.function and word not in lists.negations and not is_number(word):
            content.append(concept(word))
    asks = _asks(plain)
    if "age" in content and asks in ("what", "how"):
        asks = "old"
    return Gist(
        key=" ".join(plain),
        content=tuple(content),
        negated=_negated(said),
        numbers=numbers(said),
        persons=tuple(persons),
        asks=asks,
        polarity=_polarity(said),
        invites=_invites(plain),
        points_back=len(content) <= 1 and not _POINTING.isdisjoint(spoken),
        phatic=_phatic(said, plain),
    )


def same_prompt(left: Gist, right: Gist) -> bool:
    """Whether two prompts ask the same: equal but for manners, spelling and word forms."""
    if left.key == right.key:
        return True
    if left.phatic or right.phatic or left.numbers != right.numbers:
        return False
    if left.asks != right.asks and left.asks and right.asks:
        return False
    if not _same_persons(left, right) or bool(left.negated) != bool(right.negated):
        return False
    if not left.content or len(left.content) != len(right.content):
        return False
    return any(
        all(spelled_alike(a, b) for a, b in zip(left.content, turned, strict=True))
        for turned in _rotations(right.content)
    )


def stands_alone(prompt: Gist) -> bool:
    """Whether a prompt can be understood without what was said before it."""
    return bool(prompt.content) and not prompt.points_back


def likeness(left: Gist, right: Gist) -> float:
    """Shared content of two prompts over all of theirs, 0 to 1; 1 for two pieces of small talk."""
    if left.key == right.key or (left.phatic and right.phatic):
        return 1.0
    if left.phatic or right.phatic:
        return 0.0
    ours, theirs = set(left.content), set(right.content)
    same_question = left.asks == right.asks or not left.asks or not right.asks
    if not ours and not theirs:
        return 1.0 if same_question else 0.0
    shared = _shared(ours, theirs)
    fewest = min(len(ours), len(theirs))
    if fewest >= 2 and shared == fewest:
        # One asks what the other asks, and more.
        return 1.0
    return shared / (len(ours) + len(theirs) - shared)


def one_subject(left: Gist, right: Gist) -> bool:
    """Whether two prompts ask the same kind of question about the same thing, in whatever words."""
    kinds = {left.asks, right.asks}
    if len(kinds) > 1 and not kinds <= {"how", "what", ""}:
        return False
    lists = word_lists()
    return any(
        word not in lists.general and word not in lists.phatic_words
        for word in set(left.content) & set(right.content)
    )


def nearly_same(left: Gist, right: Gist) -> bool:
    """Whether two messages of nearly the same letters also say the same: a slip, not a change."""
    if left.key == right.key:
        return True
    if left.numbers != right.numbers or left.persons[:4] != right.persons[:4]:
        return False
    if len(left.negated) != len(right.negated):
        return False
    ours, theirs = set(left.content), set(right.content)
    shared = _shared(ours, theirs)
    fewer, more = sorted((len(ours) - shared, len(theirs) - shared))
    size = max(len(ours), len(theirs))
    # An added word is a slip in a sentence, a replaced one only in a paragraph.
    return fewer <= size // 12 and more <= max(size // 6, size // 12)


def says_something(reply: Gist) -> bool:
    """Whether a reply holds enough to be out of place under another prompt."""
    if reply.phatic:
        return False
    lists = word_lists()
    carrying = [word for word in reply.content if word not in lists.phatic_words | lists.stock]
    return len(carrying) >= 3 or (len(carrying) >= 2 and len(reply.key.split()) >= 7)


def contradiction(prompt: Gist, left: Gist, right: Gist) -> str | None:
    """Why two replies to one prompt do not say the same, or None where they may.

    `yes_no`, `choice`, `negation`, `opposite` and `numbers` are contradictions; `little_in_common` is two
    answers that share nothing, where the prompt asks for a fact.
    """
    if prompt.phatic or prompt.invites or left.key == right.key:
        return None
    if left.phatic and right.phatic:
        return None
    # A long prompt holds its answer ("which of these words …"); a short one is only echoed.
    echo = set(prompt.content) if len(prompt.content) <= _SHORT_PROMPT else set()
    if prompt.asks == "which":
        echo = set()
    ours, theirs = set(left.content) - echo, set(right.content) - echo
    fewest = min(len(ours), len(theirs))
    overlap = _shared(ours, theirs) / fewest if fewest else None
    alike = overlap is not None and overlap >= 0.5
    asked = set(prompt.content)
    sizes = len(left.content), len(right.content)
    short = len(prompt.content) <= 2 * _SHORT_PROMPT
    plain = bool(prompt.asks) and short
    brief = plain and max(sizes) <= _BRIEF
    if prompt.asks == "which":
        mine, other = (_first(reply.content, prompt.content) for reply in (left, right))
        if mine and other:
            return "choice" if mine != other else None
    turned = (left.negated & set(right.content) - right.negated) | (
        right.negated & set(left.content) - left.negated
    )
    closed = prompt.asks == "yes_no"
    if closed and left.polarity and right.polarity:
        return "yes_no" if left.polarity != right.polarity else None
    if brief and turned and (closed or alike or turned & asked):
        return "negation"
    if closed:
        mine, other = _stance(prompt, left), _stance(prompt, right)
        if mine and other:
            return "yes_no" if mine != other else None
    if brief and _opposed(set(left.content) - left.negated, set(right.content) - right.negated):
        return "opposite"
    if left.numbers and right.numbers:
        apart = left.numbers.isdisjoint(right.numbers)
        if apart and short and (alike or prompt.asks in _QUANTITIES or prompt.asks == "when"):
            return "numbers"
        if not apart:
            return None
    if not plain or overlap is None or min(sizes) > _BRIEF:
        return None
    return "little_in_common" if overlap < 0.2 else None


def _asks(words: Sequence[str]) -> str:
    for i, word in enumerate(words):
        if word == "how":
            after = words[i + 1] if i + 1 < len(words) else ""
            return after if after in _QUANTITIES and after != "old" else "how"
        if word in ("what", "which") and words[i + 1 : i + 2] == ["time"]:
            return "when"
        if word in ("what", "which", "who", "whose", "where", "when", "why"):
            return {"which": "what", "whose": "who"}.get(word, word)
        if i == 0 and word in AUXILIARY:
            # "Sun or shade?" is answered by a choice, not by yes.
            return "which" if "or" in words else "yes_no"
    if "or" in words and len(words) <= 5:
        return "which"
    # What was a "tell me …" before its manners went asks too.
    return "what" if words and words[0] in ("your", "name") else ""


def _polarity(said: Sequence[str]) -> str:
    lists = word_lists()
    start = " ".join(token for token in said[:6] if not is_mark(token))
    if start.startswith(lists.agreeing_no):
        return "yes"
    first = []
    for token in said[:5]:
        if is_mark(token):
            break
        first.append(token)
    if first[:2] == ["of", "course"]:
        return "no" if "not" in first[:3] else "yes"
    if set(first[:4]) & lists.no:
        return "no"
    # "I do." agrees; "I do the dishes" does not.
    echoed = len(first) == 2 and first[0] in lists.persons.keys() | {"it"} and first[1] in AUXILIARY
    return "yes" if echoed or (first and first[0] in lists.yes) else ""


def _first(said: Sequence[str], options: Sequence[str]) -> str:
    return next((word for word in said if word in options), "")


def _stance(prompt: Gist, reply: Gist) -> str:
    """Yes or no, said outright or by repeating what was asked."""
    if reply.polarity:
        return reply.polarity
    asked = set(prompt.content)
    if asked & reply.negated:
        return "no"
    return "yes" if asked & set(reply.content) and not reply.negated else ""


def _negated(said: Sequence[str]) -> frozenset[str]:
    lists = word_lists()
    found: set[str] = set()
    reach = 0
    for token in said:
        if is_mark(token):
            reach = 0
        elif token in lists.negations:
            reach = 3
        elif reach:
            reach -= 1
            if token not in lists.function and token not in lists.persons:
                found.add(concept(token))
    return frozenset(found)


def _invites(words: Sequence[str]) -> bool:
    lists = word_lists()
    spoken = set(words[:8])
    if words and words[0] in lists.inviting_verbs:
        return True
    if words[:1] == ["name"] and words[1:2] and (words[1] in _ANY or is_number(words[1])):
        return True
    if spoken & lists.inviting_nouns and not {"why", "who", "where", "when"} & spoken:
        return True
    return "should" in spoken and "what" in spoken and bool(spoken & lists.should)


def _phatic(said: Sequence[str], plain: Sequence[str]) -> bool:
    lists = word_lists()
    words = [token for token in said if not is_mark(token)]
    if not words:
        return True
    if words[0] in ("thanks", "thank", "cheers") and len(words) <= 8 and "but" not in words:
        return True
    if " ".join(plain) in lists.phatic_whole or " ".join(words) in lists.phatic_whole:
        return True
    quiet = lists.phatic_words | lists.function | lists.persons.keys()
    # "Tell me about yourself" is a question, for all its empty words.
    asking = {"about", "who", "what", "where", "when", "why", "which"} & set(words)
    return not asking and all(word in quiet for word in words)


def _same_persons(left: Gist, right: Gist) -> bool:
    if left.persons == right.persons or not left.persons or not right.persons:
        return True
    # "How do I" and "how do you" ask the same of anybody.
    general = {"i", "you"}
    return left.asks == "how" and {*left.persons, *right.persons} <= general


def _rotations(items: tuple[str, ...]) -> Collection[tuple[str, ...]]:
    """ "How long do I boil beans?" and "the beans, how long do I boil them?"."""
    return [items[i:] + items[:i] for i in range(len(items))] if len(items) <= 8 else [items]


def _shared(ours: set[str], theirs: set[str]) -> int:
    same = ours & theirs
    rest = theirs - same
    return len(same) + sum(any(spelled_alike(a, b) for b in rest) for a in ours - same)


def _opposed(ours: set[str], theirs: set[str]) -> bool:
    opposites = word_lists().opposites
    return any(
        (a, b) in opposites and a not in theirs and b not in ours for a in ours for b in theirs
    )
