"""Rules for telephone numbers.

Chats are full of other numbers (years, prices, scores, counting, digits of π), so each layout has
to be telling: a country code that exists, a trunk zero, the groups of a national plan, or a word
such as "call me at" beside it. Country codes are those of ITU-T E.164.
"""

from __future__ import annotations

import itertools
import re

from molting.signals.check_digits import digits_of
from molting.signals.rules import rule, span

_I = re.IGNORECASE
_S = r"[ .\-–\u00a0\u202f]"
_EXT = r"(?:\s?(?:x|ext\.?|extension)\s?\d{1,5})?"
_START = r"(?<![\w.,+#$€£¥/:-])"
_END = r"(?![\w%€£$]|[.,:/-]\d)"

_TWO = {"20", "27", "28", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90", "91", "92", "93", "94", "95", "98"}  # fmt: skip
_THREE = re.compile(r"2(?:1[1-368]|[2346]\d|5[0-8]|9[01789])|3(?:5\d|7[0-8]|8[0-35-79])|42[0134]|5(?:0\d|9\d)"
                    r"|6[789]\d|8(?:0[08]|5[02356]|7[08]|8[0-368])|9(?:6\d|7[0-79]|9[2-68])")  # fmt: skip
_ZERO_AFTER_CODE = ("39", "225", "229", "241", "242", "378")
"""Plans in which the number itself begins with 0."""
_ID_WORDS = re.compile(
    r"\b(?:isbn|issn|order|ticket|tracking|invoice|serial|item|product|model|part|id|barcode|ref(?:erence)?|no\.|nr\.?|population)\W{0,3}(?:is|:)?\W{0,2}$"
)
_YEAR = re.compile(r"1[0-9]\d\d|20\d\d")
_COUNTED = re.compile(
    r"\W{0,2}(?:dollars?|euros?|pounds|pesos|people|points?|miles|years|km|kg|users|coins|bucks|views|votes|copies|words|times|steps|[+*/=^%$€£])",
    _I,
)


def _groups(text: str) -> list[str]:
    return re.findall(r"\d+", text)


def _round(text: str) -> bool:
    """Thousands, not a number that rings: 10 000 000, 5000000000."""
    rest = _groups(text)[1:]
    return text.rstrip(")").endswith("0000") or (bool(rest) and all(set(g) == {"0"} for g in rest))


def _plain(match: re.Match[str]) -> bool:
    return _rings(match.string, *span(match))


def _labelled(match: re.Match[str]) -> bool:
    """Beside "call me at" it is no count of things, whatever comes next ("… 242-5623 people")."""
    start, end = span(match)
    return _rings(match.string[:end], start, end)


def _unlabelled(match: re.Match[str]) -> bool:
    return _alone(match.string, *span(match))


def _rings(string: str, start: int, end: int) -> bool:
    """No date, no years, no counting, no binary, no thousands, no count of things."""
    text = string[start:end]
    groups = _groups(text)
    if len(set("".join(groups))) < 3 or _round(text):
        return False
    years = [bool(_YEAR.fullmatch(g)) for g in groups]
    if (
        len(groups) >= 2
        and any(years)
        and all(y or len(g) <= 2 for y, g in zip(years, groups, strict=True))
    ):
        return False
    numbers = [int(g) for g in groups]
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    if len(groups) >= 4 and len(steps) == 1:
        return False
    if re.search(r"[*=^√]\s?$", string[max(0, start - 3) : start]):
        return False
    # Nobody counts in numbers that begin with 0.
    return text.lstrip("( ").startswith("0") or not _COUNTED.match(string[end : end + 12])


def _alone(string: str, start: int, end: int) -> bool:
    words = string[max(0, start - 24) : start].lower()
    if string[start:end].isdecimal() and re.search(r"\bnumbers?\W{0,3}(?:is|:)?\W{0,2}$", words):
        return False
    return not _ID_WORDS.search(words) and _rings(string, start, end)


def _international(match: re.Match[str]) -> bool:
    text = re.sub(r"(?:x|ext\.?|extension)\s?\d+$", "", match.group(), flags=_I)
    digits = "".join(map(str, digits_of(text)))
    if text.startswith("011"):
        digits = digits[3:]
    elif text.startswith("00"):
        digits = digits[2:]
    if digits.startswith("1"):
        national = digits[1:]
        return len(national) == 10 and national[0] in "23456789" and not _round(text)
    if digits[0] == "7":
        return len(digits) == 11 and digits[1] != "0" and not _round(text)
    code = digits[:2] if digits[:2] in _TWO else digits[:3] if _THREE.match(digits) else ""
    if not code or not 8 <= len(digits) <= 15:
        return False
    national = digits[len(code) :]
    zero = national.startswith("0") and "(0)" not in text and code not in _ZERO_AFTER_CODE
    # "+44 020 …" is wrong and yet written; with a group of its own it is no thousands either.
    written = zero and len(_groups(text)) >= 3 and national[1] != "0"
    return (
        len(national) >= 5
        and (not zero or written)
        and len(set(national)) >= 3
        and not _round(text)
    )


def _trunk(match: re.Match[str]) -> int:
    """The end of a number that begins with a trunk zero; another number may stand right behind it."""
    string, start = match.string, match.start()
    ends = [start + m.end() for m in re.finditer(r"\d+\)?", match.group())]
    for end in reversed(ends):
        text = string[start:end]
        if text.count("(") == text.count(")") and _trunk_zero(text) and _alone(string, start, end):
            return end
        # "(0171 1234567)" is opened before the number.
        inner = text[1:] if text.startswith("(") and ")" not in text else ""
        if inner and _trunk_zero(inner) and _alone(string, start + 1, end):
            return end
    return -1


def _trunk_zero(text: str) -> bool:
    groups = _groups(text)
    digits = sum(map(len, groups))
    if len(groups) < 2 or not 8 <= digits <= 12 or (digits == 8 and len(groups) > 3):
        return False
    date = (
        len(groups) >= 3 and max(len(groups[0]), len(groups[1])) <= 2 and _YEAR.fullmatch(groups[2])
    )
    times = len(groups) == 4 and all(len(g) == 2 for g in groups)
    return len(groups[0]) + len(groups[1]) >= 4 and not date and not times


def _spelled(match: re.Match[str]) -> bool:
    order = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    said = [
        order.index(w)
        for w in re.findall(r"[a-z]+", match.group().lower().replace("oh", "zero"))
        if w in order
    ]
    steps = [b - a for a, b in itertools.pairwise(said)]
    return len(said) >= 7 and len(set(steps)) > 2


_DIGIT = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple)"
_NUMBER = r"(?P<v>[+(]?\d(?:[ .\-–/()\u00a0]{0,2}\d){6,14}" + _EXT + r")" + r"(?!\d|[.,:]\d)"
_NOUN = (
    r"(?:phone|telephone|tel|cell(?:phone)?|mobile|mob|whats ?app|fax|sms|viber|signal|landline|hotline|handy(?:nummer)?"
    r"|telefon(?:nummer|o)?|t[ée]l(?:[ée]phone|[ée]fono)?|m[óo]vil|celular|rufnummer|mobilnummer|telefoonnummer|puhelin)"
)
_PERSON = r"(?:me|us|him|her|them|mom|dad|my \w+|this|that|home|back)"

RULES = [
    rule("phone", r"(?<![\w+#])(?:\+\s?|00(?=[1-9])|011[ -](?=[1-9]))\(?[1-9]\d{0,3}\)?(?:(?:[ .\-–/\u00a0\u202f]{0,2}\(0?\d{1,5}\)[ .\-–/\u00a0\u202f]{0,2}|[ .\-–/\u00a0\u202f]{0,2})\d){6,13}" + _EXT + r"(?![\w%])(?!,\d{3})", ("+", "00", "011"), 8, _international),
    rule("phone", r"(?<![\w.+$€£#-])(?:1[ .-]?)?(?:\(\d{3}\)\s{0,2}|\d{3}[.\-–] ?)\d{3}[ .\-–]\d{4}" + _EXT + r"(?![\w-]|\.\d)", (), 10, _plain),
    rule("phone", r"(?<![\w.+$€£#-])(?:1 )?[2-9]\d{2}[ /][2-9]\d{2}[ .\-–]\d{4}" + _EXT + r"(?![\w%]|[.,-]\d)", (), 10, _unlabelled),
    rule("phone", r"(?<![\w.+$€£#-])\(\d{3}\)\s?\d{7}" + _END, ("(",), 10, _plain),
    rule("phone", r"(?<![\w.+$€£#,-])1?[2-9]\d{2}[2-9]\d{6}" + _END, (), 10, _unlabelled),
    rule("phone", r"(?<![\w.-])555[ .-]\d{4}(?![\w-]|\.\d)", ("555",), 7),
    rule("phone", _START + r"\(?0[1-9]\d{0,4}\)?(?:" + _S + r"{1,2}|/ ?| ?[/–-] ?|(?<=\)))\d{2,8}(?:(?:" + _S + r"|/)\d{1,8}){0,5}" + _END, ("0",), 8, fit=_trunk),
    rule("phone", _START + r"0[1-9]\d{8,9}" + _END, ("0",), 10, _unlabelled),
    rule("phone", _START + r"1[3-9]\d[ -]?\d{4}[ -]?\d{4}" + _END, ("1",), 11, _unlabelled),
    rule("phone", _START + r"8[ -]?\(?9\d{2}\)?[ -]?\d{3}[ -]?\d{2}[ -]?\d{2}" + _END, ("8",), 11, _unlabelled),
    rule("phone", _START + r"[6-9]\d{4}[ -]\d{5}" + _END, (), 10, _unlabelled),
    rule("phone", r"(?<![\w.,+#$€£-])\((?!(?:1[5-9]|20)\d\d\))\d{1,5}\)[ -]?\d{3,5}[ .\-–]?\d{2,5}(?:[ .\-–]\d{2,4})?" + _END, ("(",), 8, _unlabelled),
    rule("phone", _START + r"(?:[6-9]\d{2} \d{3} \d{3}|[6-9]\d{2}[ .-]\d{2}[ .-]\d{2}[ .-]\d{2}|[89]\d[ .-]\d{3}[ .-]\d{2}[ .-]\d{2}|\d{2}[ -]\d{4}[ -]\d{4}|[2-9]\d{2} \d{2} \d{3}|[3689]\d{3} \d{4}|3\d{2}[ -]\d{6,7}|\d{3}[ -]\d{4}[ -]\d{4}|9\d{3}[ -]\d{3}[ -]\d{3,4})" + _END, (" ", "-", "."), 8, _unlabelled),
    rule("phone", r"\b" + _NOUN + r"\b(?:[ -]?(?:number|num|no|nr|#)\b\.?)?[^\w(+]{0,4}(?:(?:is|was|at|me|on|ist|es|est|my|the|call|text)\b[^\w(+]{0,3}){0,3}" + _NUMBER, (), 7, _labelled, _I),
    rule("phone", r"\b(?:call|text|txt|ring|dial|reach|phone|sms|whats ?app|message|hit|contact|buzz)\s" + _PERSON + r"\b[^\w(+]{0,2}(?:(?:up|back|at|on|now|later|anytime|tonight|tomorrow|today|here|this|via|under|number|is|my|cell|phone|ext)\b[^\w(+]{0,3}){0,5}" + _NUMBER, (), 7, _labelled, _I),
    rule("phone", r"\b(?:my|her|his|our|their|the|ur|your)\s(?:\w+\s)?(?:number|num|digits|nummer|número|numéro|cell|phone)(?:['’]s\b|\W{0,2}\s?(?:is|are|was|ist|es|est)\b|\s?[:=])?[^\w(+]{0,4}(?:still\s|now\s)?" + _NUMBER, (), 7, _labelled, _I),
    rule("phone", r"\b(?:dial|ring)\s" + _NUMBER, ("dial", "ring"), 7, _labelled, _I),
    rule("phone", r"\b(?:" + _DIGIT + r"[ ,.-]{1,2}){6,}" + _DIGIT + r"\b", ("five", "six", "seven", "eight", "nine"), 0, _spelled, _I),
]  # fmt: skip
