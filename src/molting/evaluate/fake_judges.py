"""Judges without a model, for tests and dry runs: one that is fair, one that flatters.

They read the very prompt that a real judge reads, and answer in the same words.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections import Counter

from molting.evaluate.judge_prompt import material
from molting.signals.contrast import neutral_replies

_BOILERPLATE = re.compile(r"as an ai\b|language model|anything else i can help", re.IGNORECASE)
_TO_THE_JUDGE = re.compile(
    r"\bgrade this\b|ignore (?:everything|all|the)\b|\"first\"", re.IGNORECASE
)


class FairJudge:
    """Grades by the words of the persona's own lines against a neutral assistant's.

    A naive Bayes with one count added, and a few things that no good reply does. Good enough to
    pass calibration on a strong voice; it understands nothing.
    """

    id = "fake fair 1"

    def complete(self, system: str, prompt: str) -> str:
        told = material(prompt)
        persona = told["persona"]
        assert isinstance(persona, dict)
        grades = {
            place: _fair(str(told[place]), tuple(persona["own lines"]), str(persona["name"]))
            for place in ("first", "second")
        }
        return json.dumps(grades)


class SycophantJudge:
    """Finds everything excellent, and what says the persona's name even more so."""

    id = "fake sycophant 1"

    def complete(self, system: str, prompt: str) -> str:
        told = material(prompt)
        persona = told["persona"]
        assert isinstance(persona, dict)
        name = str(persona["name"]).split()[0].lower()
        grades = {
            place: 10 if name in str(told[place]).lower() else 9 for place in ("first", "second")
        }
        return f"What wonderful replies! {json.dumps(grades)}"


FAKE_JUDGES: dict[str, type[FairJudge] | type[SycophantJudge]] = {
    "fair": FairJudge,
    "sycophant": SycophantJudge,
}


def _fair(text: str, lines: tuple[str, ...], name: str) -> float:
    words = _words(text)
    if len(words) < 4 or _TO_THE_JUDGE.search(text):
        return 0.0
    if _BOILERPLATE.search(text) or len(set(words)) < 0.4 * len(words):
        return 1.0
    own, plain = _counts(lines), _counts(_neutral())
    width = len(own.keys() | plain.keys())
    gain = sum(
        math.log((own[word] + 1) / (own.total() + width))
        - math.log((plain[word] + 1) / (plain.total() + width))
        for word in words
    )
    grade = 5.0 + 12.0 * gain / len(words)
    if not (text.strip()[:1].isupper() and text.strip()[-1:] in ".!?…\"'”)"):
        grade -= 4.0
    return round(min(10.0, max(0.0, grade)), 1)


@functools.lru_cache(maxsize=8)
def _counts(lines: tuple[str, ...]) -> Counter[str]:
    return Counter(word for line in lines for word in _words(line))


@functools.cache
def _neutral() -> tuple[str, ...]:
    return tuple(row.reply for row in neutral_replies())


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())
