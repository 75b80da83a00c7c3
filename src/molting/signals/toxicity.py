"""Toxic words, of the lexicon kind: what stands in a list, in the disguises that people use.

Three grades, because a persona may swear: 1 mild (oaths and rough words), 2 strong (profanity,
insults, threats), 3 severe (slurs, hatred, sexual violence, telling someone to die). Only the third
is toxic whoever says it. A list knows neither irony nor quotation, and hatred in polite words
passes; it is a reason to look at a row, not a judgement of it.
"""

from __future__ import annotations

import functools
import re
from importlib import resources

import msgspec

from molting.signals.noise import Hit

SEVERE = 3
_LEET = {"a": "a@4", "b": "b8", "e": "e3", "g": "g9", "i": "i1!|", "l": "l1|", "o": "o0", "s": "s5$z", "t": "t7+", "u": "uv"}  # fmt: skip
_MASK = "*#%"
_ENDINGS = r"(?:e?s|e?d|e?rs?|in[g'’]?|ings?|y|ier|iest|head|heads)?"
_GROUPS = (
    r"(?:jews?|muslims?|blacks?|black people|whites?|white people|gays?|lesbians?|homos?|immigrants?|migrants?|refugees"
    r"|foreigners?|asians?|mexicans?|arabs?|africans?|indians?|christians?|women|trans(?:gender)?s?(?: people)?|gypsies|disabled people)"
)
_HATE = re.compile(
    rf"\b(?:all|those|these|the|every) {_GROUPS} (?:should|must|need to|deserve to|ought to|have to) (?:all )?(?:die|burn|be (?:killed|shot|gassed|hanged|deported|exterminated|eliminated))\b"
    rf"|\b(?:death to|kill|exterminate|gas|lynch) (?:all |the |all the )?{_GROUPS}\b"
    rf"|\b{_GROUPS} (?:are|r) (?:all )?(?:subhuman|vermin|animals|parasites|a plague|a disease|filth|trash|garbage|scum|rats|monkeys|inferior|not (?:really )?human)\b"
    rf"|\bi (?:fucking |really )?hate (?:all |the |those )?{_GROUPS}\b",
    re.IGNORECASE,
)
_NOT_MEANT = re.compile(
    # armour, stages of cooking, names of places and people, technical words
    r"\bchinks? in\b|\bspic(?:k)? and span\b|\bscunthorpe\b|\bfire retardants?\b|\bretard(?:ation|ing|ed|s)? (?:growth|progress|the|its|by|time|motion)\b"
    r"|\bprick(?:s|ed|ing)? (?:up|my (?:ears|finger|thumb|conscience)|his|her|your (?:ears|finger)|the|with|of)\b|\bby the pricking\b"
    r"|\b(?:apple|lemon|jam|cherry|custard|pop) tarts?\b|\btart(?:ar|an)\b|\bdeaf and dumb\b|\bdumb(?:bell|waiter|founded|struck)s?\b",
    re.IGNORECASE,
)


class Term(msgspec.Struct, frozen=True):
    grade: int
    kind: str
    term: str


class Toxic(Hit, frozen=True):
    """A hit with its grade: 1 mild, 2 strong, 3 severe."""

    grade: int


def find_toxic(text: str) -> list[Toxic]:
    """Every listed word or phrase, leftmost first, without overlaps; the worst reading wins."""
    if not text:
        return []
    straight = text.replace("’", "'")
    if not _suspect(straight):
        return []
    spared = [match.span() for match in _NOT_MEANT.finditer(straight)]
    found = [Toxic("hate", m.start(), m.end(), SEVERE) for m in _HATE.finditer(straight)]
    for grade, kind, pattern in _compiled():
        for match in pattern.finditer(straight):
            start, end = match.span()
            if not any(a < end and start < b for a, b in spared) and _written(match.group()):
                found.append(Toxic(kind, start, end, grade))
    kept: list[Toxic] = []
    for hit in sorted(found, key=lambda hit: (-hit.grade, hit.start - hit.end, hit.start)):
        if all(hit.end <= other.start or other.end <= hit.start for other in kept):
            kept.append(hit)
    return sorted(kept, key=lambda hit: hit.start)


def grade(text: str) -> int:
    """The worst grade in a text, 0 for none."""
    return max((hit.grade for hit in find_toxic(text)), default=0)


@functools.cache
def lexicon() -> tuple[Term, ...]:
    """The shipped list."""
    raw = resources.files("molting.data").joinpath("toxicity.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in raw.splitlines() if line and not line.startswith("#")]
    return tuple(Term(int(grade), kind, term) for grade, kind, term in rows)


@functools.cache
def _compiled() -> tuple[tuple[int, str, re.Pattern[str]], ...]:
    """One pattern for each grade and kind: a handful of alternations instead of a hundred searches."""
    grouped: dict[tuple[int, str], list[str]] = {}
    for term in lexicon():
        grouped.setdefault((term.grade, term.kind), []).append(_disguised(term.term))
    return tuple(
        (
            grade,
            kind,
            re.compile(rf"(?<![\w{_MASK}])(?:{'|'.join(forms)})(?![\w{_MASK}])", re.IGNORECASE),
        )
        for (grade, kind), forms in grouped.items()
    )


_PLAIN_LETTERS = str.maketrans("013457@$!|+", "oieastasiit")
_SPACED = re.compile(r"\b\w[\s._-]\w[\s._-]\w[\s._-]\w\b")
_REPEATED = re.compile(r"(.)\1+")


def _suspect(text: str) -> bool:
    """Whether the patterns need to be tried at all: most text holds nothing like any term."""
    if any(c in _MASK for c in text) or _SPACED.search(text) or _HATE.search(text):
        return True
    spelled = text.lower().translate(_PLAIN_LETTERS)
    folded = _REPEATED.sub(r"\1", spelled)
    return any(
        all(word in folded for word in words) and all(twice in spelled for twice in doubled)
        for words, doubled in _stems()
    )


@functools.cache
def _stems() -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """For each term its words with repeated letters as one, and the letters it has twice."""
    terms = [term.term.removesuffix("*") for term in lexicon() if "**" not in term.term]
    return tuple(
        (
            tuple(_REPEATED.sub(r"\1", word) for word in term.split(" ")),
            tuple(match.group() for match in _REPEATED.finditer(term)),
        )
        for term in terms
        if "*" not in term
    )


def _disguised(term: str) -> str:
    """A term as a pattern: letters as digits and signs, letters masked inside, letters drawn out."""
    inflected = term.endswith("*") and not term.endswith("**")
    body = term[:-1] if inflected else term
    forms = [r"\s+".join(_word(word) for word in body.split(" "))]
    if " " not in body and len(body) >= 4 and body.isalpha():
        # "f u c k", "s.h.i.t"
        forms.append(r"[\s._-]".join(re.escape(c) for c in body))
    # The last consonant may double before an ending: "shitting".
    twice = f"{body[-1]}?" if inflected and body[-1] not in "aeiou" else ""
    return f"(?:{'|'.join(forms)}){twice + _ENDINGS if inflected else ''}"


def _word(word: str) -> str:
    runs = [(m.group()[0], len(m.group())) for m in re.finditer(r"(.)\1*", word)]
    pieces = []
    for place, (c, count) in enumerate(runs):
        if not c.isalpha():
            pieces.append(re.escape(c * count))
            continue
        inside = 0 < place < len(runs) - 1 and len(word) >= 4
        letters = re.escape(_LEET.get(c, c)) + (re.escape(_MASK) if inside else "")
        # As it is spelled, or drawn out: "fuuuck", but not "assess" for "asses".
        pieces.append(f"(?:[{letters}]{{{count + 2},{count + 8}}}|[{letters}]{{{count}}})")
    return "".join(pieces)


def _written(said: str) -> bool:
    """Whether enough of it is letters: "455" is a number, "a$$" is not."""
    letters = sum(c.isalpha() for c in said)
    masked = sum(c in _MASK for c in said)
    return letters + masked >= 0.5 * len(said.replace(" ", "")) and letters > 0
