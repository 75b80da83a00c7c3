"""Check digits: what tells a card, an account or an identity number from any other digits.

Each function takes the number as it is written, separators and all, and says whether it is
consistent. A random number passes with the chance given, so the weaker ones need a label or a
telling layout beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BI": 27, "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27,
    "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28,
    "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28,
    "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22,
    "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24,
    "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25, "SV": 28,
    "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VERHOEFF_D = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_P = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip


def digits_of(text: str) -> list[int]:
    """The decimal digits of a text, in order."""
    return [int(c) for c in text if c.isdecimal()]


def luhn(text: str) -> bool:
    """Payment cards and several identity numbers; 1 in 10 random numbers pass."""
    total = 0
    for i, digit in enumerate(reversed(digits_of(text))):
        doubled = digit * 2 if i % 2 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def verhoeff(text: str) -> bool:
    """Aadhaar; 1 in 10."""
    state = 0
    for i, digit in enumerate(reversed(digits_of(text))):
        state = int(_VERHOEFF_D[state][int(_VERHOEFF_P[i % 8][digit])])
    return state == 0


def weighted(text: str, weights: Sequence[int], modulus: int) -> int:
    """Sum of digit × weight, modulo `modulus`; -1 when there are not as many digits."""
    digits = digits_of(text)
    if len(digits) != len(weights):
        return -1
    return sum(d * w for d, w in zip(digits, weights, strict=True)) % modulus


def iban(text: str) -> bool:
    """ISO 13616: the country's length, and 1 modulo 97; 1 in 97."""
    bare = "".join(c for c in text if c.isalnum()).upper()
    if _IBAN_LENGTHS.get(bare[:2]) != len(bare) or not bare.isascii():
        return False
    return int("".join(str(int(c, 36)) for c in bare[4:] + bare[:4])) % 97 == 1


def iban_length(text: str) -> int:
    """How many characters of `text` its country's account number takes, separators included; -1."""
    length, seen = _IBAN_LENGTHS.get(text[:2].upper(), -1), 0
    for at, c in enumerate(text, 1):
        seen += c.isalnum()
        if seen == length:
            return at
    return -1


def base58check(text: str) -> bool:
    """Bitcoin and its kin: the last four bytes are a double SHA-256; 1 in 4 billion."""
    number = 0
    for c in text:
        place = _BASE58.find(c)
        if place < 0:
            return False
        number = number * 58 + place
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    raw = b"\0" * (len(text) - len(text.lstrip("1"))) + raw
    if len(raw) != 25:
        return False
    return hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:]


def bech32(text: str) -> bool:
    """BIP 173 and BIP 350 addresses; 1 in a billion."""
    low = text.lower()
    prefix, _, data = low.rpartition("1")
    if text not in (low, text.upper()) or not prefix or any(c not in _BECH32 for c in data):
        return False
    values = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = 1
    for value in [*values, *(_BECH32.index(c) for c in data)]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> i & 1 else 0
    return check in (1, 0x2BC830A3)


def date_digits(text: str, order: str = "ymd") -> bool:
    """Whether six digits (two each, in `order`) can be a date."""
    digits = digits_of(text)
    parts = {o: digits[2 * i] * 10 + digits[2 * i + 1] for i, o in enumerate(order)}
    return 1 <= parts["m"] <= 12 and 1 <= parts["d"] <= 31
