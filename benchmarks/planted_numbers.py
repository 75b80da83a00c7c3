"""Numbers with right check digits, computed here and not by the code under test."""

from __future__ import annotations

import hashlib
import random
import string
from collections.abc import Sequence

B58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def take(r: random.Random, alphabet: str, count: int) -> str:
    return "".join(r.choice(alphabet) for _ in range(count))


def digits(r: random.Random, count: int, first: str = "123456789") -> str:
    return r.choice(first) + take(r, string.digits, count - 1)


def between(r: random.Random, low: int, high: int) -> int:
    return r.randint(low, high)


def luhn(body: str) -> str:
    total = 0
    for i, c in enumerate(reversed(body)):
        n = int(c) * (1 if i % 2 else 2)
        total += n - 9 if n > 9 else n
    return body + str(-total % 10)


def iban(country: str, bban: str) -> str:
    number = "".join(str(int(c, 36)) for c in bban + country + "00")
    return f"{country}{98 - int(number) % 97:02d}{bban}"


def fours(text: str, separator: str = " ") -> str:
    return separator.join(text[i : i + 4] for i in range(0, len(text), 4))


def base58(version: int, r: random.Random) -> str:
    raw = bytes([version]) + r.randbytes(20)
    raw += hashlib.sha256(hashlib.sha256(raw).digest()).digest()[:4]
    number, out = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        out = B58[rest] + out
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + out


def bech32(hrp: str, version: int, size: int, r: random.Random) -> str:
    alphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    bits = "".join(f"{b:08b}" for b in r.randbytes(size))
    bits += "0" * (-len(bits) % 5)
    data = [version] + [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]

    def polymod(values: Sequence[int]) -> int:
        check = 1
        for v in values:
            top, check = check >> 25, (check & 0x1FFFFFF) << 5 ^ v
            for i in range(5):
                check ^= (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)[i] * (
                    top >> i & 1
                )
        return check

    expanded = [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]
    target = polymod([*expanded, *data, *[0] * 6]) ^ (0x2BC830A3 if version else 1)
    return (
        hrp
        + "1"
        + "".join(alphabet[d] for d in data + [target >> 5 * (5 - i) & 31 for i in range(6)])
    )


def mod11(body: str, weights: Sequence[int]) -> int:
    return sum(int(c) * w for c, w in zip(body, weights, strict=True)) % 11


def cpf(r: random.Random) -> str:
    body = digits(r, 9)
    for _ in range(2):
        rest = 11 - mod11(body, range(len(body) + 1, 1, -1))
        body += str(0 if rest > 9 else rest)
    return body


def verhoeff(body: str) -> str:
    def d(a: int, b: int) -> int:
        # The dihedral group of the pentagon.
        if a < 5:
            return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
        return 5 + (a - b) % 5 if b < 5 else (a - b) % 5

    swap, rows = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), [list(range(10))]
    for _ in range(7):
        rows.append([rows[-1][swap[i]] for i in range(10)])
    state = 0
    for i, c in enumerate(reversed(body), 1):
        state = d(state, rows[i % 8][int(c)])
    return body + str(next(j for j in range(10) if d(j, 0) == j and d(state, j) == 0))


def ymd(r: random.Random) -> tuple[int, int, int]:
    return between(r, 1950, 2004), between(r, 1, 12), between(r, 1, 28)


def nir(r: random.Random) -> str:
    y, m, _ = ymd(r)
    body = f"{between(r, 1, 2)}{y % 100:02d}{m:02d}{between(r, 10, 95)}{between(r, 1, 989):03d}{between(r, 1, 999):03d}"
    return f"{body}{97 - int(body) % 97:02d}"


def codice(r: random.Random) -> str:
    odd = (
        1,
        0,
        5,
        7,
        9,
        13,
        15,
        17,
        19,
        21,
        2,
        4,
        18,
        20,
        11,
        3,
        6,
        8,
        12,
        14,
        16,
        10,
        22,
        25,
        24,
        23,
    )
    consonants = "BCDFGLMNPRSTV"
    y, _, d = ymd(r)
    body = f"{take(r, consonants, 6)}{y % 100:02d}{r.choice('ABCDEHLMPRST')}{d:02d}{r.choice('AFHL')}{between(r, 100, 999)}"
    total = 0
    for i, c in enumerate(body):
        n = int(c) if c.isdigit() else ord(c) - 65
        total += n if i % 2 else odd[n]
    return body + chr(65 + total % 26)


def pesel(r: random.Random) -> str:
    y, m, d = ymd(r)
    body = f"{y % 100:02d}{m + (20 if y >= 2000 else 0):02d}{d:02d}{between(r, 0, 9999):04d}"
    total = sum(int(c) * w for c, w in zip(body, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=True))
    return body + str(-total % 10)


def ric(r: random.Random) -> str:
    y, m, d = ymd(r)
    body = f"{between(r, 110101, 659999)}{y}{m:02d}{d:02d}{between(r, 1, 999):03d}"
    return body + "10X98765432"[mod11(body, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))]


def rut(r: random.Random) -> str:
    body = digits(r, 8, "12")
    rest = 11 - sum(int(c) * (2 + i % 6) for i, c in enumerate(reversed(body))) % 11
    return f"{body[:2]}.{body[2:5]}.{body[5:]}-{'0' if rest == 11 else 'K' if rest == 10 else rest}"


def nric(r: random.Random) -> str:
    body = take(r, string.digits, 7)
    return f"S{body}{'JZIHGFEDCBA'[mod11(body, (2, 7, 6, 5, 4, 3, 2))]}"


def hetu(r: random.Random) -> str:
    y, m, d = ymd(r)
    head, tail = f"{d:02d}{m:02d}{y % 100:02d}", f"{between(r, 2, 899):03d}"
    return f"{head}{'-' if y < 2000 else 'A'}{tail}{'0123456789ABCDEFHJKLMNPRSTUVWXY'[int(head + tail) % 31]}"


def personnummer(r: random.Random) -> str:
    year, month, day = ymd(r)
    number = luhn(f"{year % 100:02d}{month:02d}{day:02d}{between(r, 1, 999):03d}")
    return f"{number[:6]}-{number[6:]}"


def rrn(r: random.Random) -> str:
    year, month, day = ymd(r)
    return f"{year % 100:02d}{month:02d}{day:02d}-{digits(r, 7, '12')}"
