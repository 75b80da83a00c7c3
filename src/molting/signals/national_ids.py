"""Identity numbers of many countries, told by their check digits or their layout.

A number whose layout is telling (letters, a birth date, dots in their places) stands on its own;
one that is mere digits counts only beside a word that names it (`labelled`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from molting.signals.check_digits import date_digits, digits_of, luhn, verhoeff, weighted

Check = Callable[[str], bool]

_NIF = "TRWAGMYFPDXBNJZSQVHLCKE"
_NRIC_WEIGHTS = (2, 7, 6, 5, 4, 3, 2)
_CF_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3,
         6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip


def _bare(text: str) -> str:
    return "".join(c for c in text if c.isalnum()).upper()


def ssn(text: str) -> bool:
    """US social security number or ITIN: no check digit, but areas that are never given."""
    digits = "".join(map(str, digits_of(text)))
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    if area in ("000", "666") or group == "00" or serial == "0000":
        return False
    return area < "900" or "50" <= group <= "99"


def _nino(text: str) -> bool:
    return _bare(text)[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _dni(text: str) -> bool:
    bare = _bare(text)
    number = bare[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _NIF[int(number) % 23] == bare[-1]


def _codice_fiscale(text: str) -> bool:
    bare = _bare(text)
    total = sum(
        int(c, 36) - (10 if c.isalpha() else 0) if i % 2 else _CF_ODD[c]
        for i, c in enumerate(bare[:15])
    )
    return chr(ord("A") + total % 26) == bare[15]


def _nir(text: str) -> bool:
    bare = _bare(text).replace("2A", "19").replace("2B", "18")
    return bare.isdigit() and len(bare) == 15 and 97 - int(bare[:13]) % 97 == int(bare[13:])


def _belgium(text: str) -> bool:
    bare = _bare(text)
    rest = int(bare[9:])
    return 97 - int(bare[:9]) % 97 == rest or 97 - int("2" + bare[:9]) % 97 == rest


def _personnummer(text: str) -> bool:
    digits = digits_of(text)[-10:]
    day = digits[4] * 10 + digits[5]
    written = "".join(map(str, digits))
    # A coordination number has 60 added to the day.
    return 1 <= day % 60 <= 31 and date_digits(written[:4] + "01") and luhn(written)


def _hetu(text: str) -> bool:
    bare = text.upper()
    number = int(bare[:6] + bare[7:10])
    return (
        date_digits(bare[:6], "dmy") and "0123456789ABCDEFHJKLMNPRSTUVWXY"[number % 31] == bare[10]
    )


def _norway(text: str) -> bool:
    digits = digits_of(text)
    first = weighted("".join(map(str, digits[:10])), (3, 7, 6, 1, 8, 9, 4, 5, 2, 1), 11)
    second = weighted("".join(map(str, digits)), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1), 11)
    return first == second == 0 and len(set(digits)) > 2


def _pesel(text: str) -> bool:
    digits = digits_of(text)
    # The century is added to the month.
    month = (digits[2] * 10 + digits[3]) % 20
    fits = 1 <= month <= 12 and 1 <= digits[4] * 10 + digits[5] <= 31
    return fits and weighted(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10) == 0


def _cpf(text: str) -> bool:
    digits = digits_of(text)
    if len(set(digits)) == 1:
        return False
    for n in (9, 10):
        total = sum(d * w for d, w in zip(digits, range(n + 1, 1, -1), strict=False))
        if total * 10 % 11 % 10 != digits[n]:
            return False
    return True


def _ric(text: str) -> bool:
    digits, last = text[:17], text[17].upper()
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return date_digits(text[8:14]) and "10X98765432"[weighted(digits, weights, 11)] == last


def _rut(text: str) -> bool:
    bare = _bare(text)
    total = sum(int(d) * (2 + i % 6) for i, d in enumerate(reversed(bare[:-1])))
    return "0123456789K0"[11 - total % 11] == bare[-1]


def _cuit(text: str) -> bool:
    digits = digits_of(text)
    written = "".join(map(str, digits[:10]))
    rest = weighted(written, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11)
    return int("012345678990"[11 - rest]) == digits[10]


def _turkey(text: str) -> bool:
    d = digits_of(text)
    tenth = (sum(d[0:9:2]) * 7 - sum(d[1:8:2])) % 10
    return tenth == d[9] and sum(d[:10]) % 10 == d[10]


def _rodne(text: str) -> bool:
    digits = _bare(text)
    month = int(digits[2:4]) % 50 % 20
    fits = 1 <= month <= 12 and 1 <= int(digits[4:6]) <= 31
    return fits and (len(digits) == 9 or int(digits[:9]) % 11 % 10 == int(digits[9]))


def _romania(text: str) -> bool:
    digits = digits_of(text)
    rest = weighted(text[:12], (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9), 11)
    return date_digits(text[1:7]) and (1 if rest == 10 else rest) == digits[12]


def _south_africa(text: str) -> bool:
    return date_digits(text[:6]) and text[10] in "012" and luhn(text)


def _pps(text: str) -> bool:
    bare = _bare(text)
    total = sum(int(d) * w for d, w in zip(bare[:7], range(8, 1, -1), strict=True))
    if len(bare) == 9:
        total += 9 * (ord(bare[8]) - 64)
    return "WABCDEFGHIJKLMNOPQRSTUV"[total % 23] == bare[7]


def _nric(text: str) -> bool:
    bare = _bare(text)
    total = weighted(bare[1:8], _NRIC_WEIGHTS, 11)
    total += {"T": 4, "G": 4, "M": 3}.get(bare[0], 0)
    letters = {"S": "JZIHGFEDCBA", "T": "JZIHGFEDCBA", "F": "XWUTRQPNMLK", "G": "XWUTRQPNMLK"}
    return letters.get(bare[0], "XWUTRQPNJLK")[total % 11] == bare[8]


def _taiwan(text: str) -> bool:
    code = 10 + "ABCDEFGHJKLMNPQRSTUVXYWZIO".index(text[0])
    digits = f"{code}{text[1:]}"
    return weighted(digits, (1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1), 10) == 0


def _hong_kong(text: str) -> bool:
    bare = _bare(text)
    body, last = bare[:-1].rjust(8), bare[-1]
    total = sum(
        (36 if c == " " else int(c, 36)) * w for c, w in zip(body, range(9, 1, -1), strict=True)
    )
    return (11 - total % 11) % 11 == (10 if last == "A" else int(last))


def _thailand(text: str) -> bool:
    digits = digits_of(text)
    total = sum(d * w for d, w in zip(digits, range(13, 1, -1), strict=False))
    return (11 - total % 11) % 10 == digits[12]


def _ahv(text: str) -> bool:
    return weighted(text, (1, 3) * 6 + (1,), 10) == 0


def _steuer_id(text: str) -> bool:
    digits, product = digits_of(text), 10
    for digit in digits[:10]:
        total = (digit + product) % 10 or 10
        product = total * 2 % 11
    return digits[0] != 0 and (11 - product) % 10 == digits[10]


def _jmbg(text: str) -> bool:
    rest = weighted(text[:12], (7, 6, 5, 4, 3, 2) * 2, 11)
    return rest != 1 and (11 - rest) % 11 == int(text[12])


def _birth(order: str) -> Check:
    return lambda text: date_digits(text[:6], order)


TELLING: list[tuple[str, Check | None]] = [
    (r"\d{3}[- ]\d{2}[- ]\d{4}", ssn),
    (
        r"(?-i:[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z])[ -]?\d{2}[ -]?\d{2}[ -]?\d{2}[ -]?[A-Da-d]",
        _nino,
    ),
    (r"\d{8}-?[A-HJ-NP-TV-Z]|[XYZ]-?\d{7}-?[A-HJ-NP-TV-Z]", _dni),
    (r"[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z]", _codice_fiscale),
    (r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}", _nir),
    (r"\d{2}\.\d{2}\.\d{2}[- ]\d{3}[.-]\d{2}", _belgium),
    (r"(?:19|20)?\d{6}[-+]\d{4}", _personnummer),
    (r"\d{6}[-+A-FU-Y]\d{3}[0-9A-FHJ-NPR-Y]", _hetu),
    (r"\d{6} ?\d{5}", _norway),
    (r"\d{11}", _pesel),
    (r"\d{11}", _turkey),
    (r"\d{3}\.\d{3}\.\d{3}-\d{2}|\d{11}", _cpf),
    # Danish numbers given since 2007 have no check digit.
    (r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])\d{2}-\d{4}", None),
    (r"[1-9]\d{5}(?:19|20)\d{9}[\dX]", _ric),
    (r"\d{6}-[1-8]\d{6}", _birth("ymd")),
    (r"\d{6}-(?:0[1-9]|[1-5]\d|[6-9]\d)-\d{4}", _birth("ymd")),
    (r"\d{1,2}\.\d{3}\.\d{3}-[\dK]", _rut),
    (r"(?:20|23|24|25|26|27|30|33|34)-\d{8}-\d", _cuit),
    (r"\d{6}/\d{3,4}", _rodne),
    (r"[1-8]\d{12}", _romania),
    (r"\d{13}", _south_africa),
    (r"\d{7}[A-W][A-I]?", _pps),
    (r"(?-i:[STFGM])\d{7}(?-i:[A-Z])", _nric),
    (r"(?-i:[A-Z])[12]\d{8}", _taiwan),
    (r"(?-i:[A-Z]{1,2})\d{6}\([\dA]\)", _hong_kong),
    (r"\d-\d{4}-\d{5}-\d{2}-\d", _thailand),
    (r"756\.\d{4}\.\d{4}\.\d{2}", _ahv),
    (r"[2-9]\d{3}[ -]\d{4}[ -]\d{4}", verhoeff),
    (r"\d{2} \d{3} \d{3} \d{3}", _steuer_id),
    (r"\d{3}-\d{3}-\d{3}|\d{3} \d{3} \d{3}", luhn),
    (r"(?:0[1-9]|[12]\d|3[01])(?:0[1-9]|1[0-2])[09]\d{8}", _jmbg),
    (r"(?-i:[A-Z]{3}[PCHFATBLJG][A-Z])\d{4}(?-i:[A-Z])", None),
    (r"(?-i:[A-Z]{4})\d{6}[HM](?-i:[A-Z]{5}[A-Z\d])\d", None),
]
"""Layout and check of numbers that need no label; letters in any case unless marked."""

_LABELS = (
    r"passport|(?:driver'?s?|driving) licen[cs]e|licen[cs]e plate|number plate|national id(?:entity)?"
    r"|identity (?:card|number)|id (?:card|number)|personal (?:id|identity|identification) number"
    r"|ssn|social (?:security|insurance)|(?:federal )?tax (?:id|payer)|itin|taxpayer|nino"
    r"|national insurance|nhs|tfn|tax file|medicare|medicaid|bsn|burgerservicenummer|pesel|cpf|cnpj"
    r"|aadh?aar|curp|dni|nie|nif|personnummer|f[øo]dselsnummer|cpr|hetu|henkil[öo]tunnus"
    r"|steuer-?(?:id|nummer)|sozialversicherungsnummer|codice fiscale|cnp|egn|amka|oib|my ?number"
    r"|voter(?:'s)? id|(?:health )?insurance (?:id|policy|member|number)|medical record|mrn"
    r"|(?:member|policy) number|ausweis(?:nummer)?|reisepass(?:nummer)?|passeport|pasaporte|sin"
)
_GROUP = r"(?:[A-Z]{0,3}\d[A-Z0-9]*)"
LABELLED = (
    rf"\b(?:{_LABELS})\b(?:\s+(?:card|number|num|no|nr|id|code)\b\.?|\s*#)?[\s:=#-]{{0,4}}"
    rf"(?:(?:is|was|number is|ist|est|es)\b[\s:]*)?[\"'(]?(?P<v>[A-Z]{{0,4}}[ -]?{_GROUP}(?:[ .\-/]{_GROUP}){{0,5}})"
)
"""Any number with at least five digits beside the name of a document; group `v` is the number."""


def labelled_number(match: re.Match[str]) -> bool:
    return len(digits_of(match["v"])) >= 5
