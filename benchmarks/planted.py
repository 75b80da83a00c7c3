"""Made-up secrets and personal data in the layouts that people write them in.

Every format is a function of a random generator and gives a text with the secret between ⟦ and ⟧;
what stands outside (a label) is context. Check digits
are right (`planted_numbers`). Nothing is real: keys are drawn at random, and no string in these files
is one.
"""

from __future__ import annotations

import hashlib
import random
import string

from benchmarks.planted_keys import (
    DOMAIN,
    FIRST,
    HEX,
    KEYS,
    LAST,
    NOUN,
    Format,
    key,
)
from benchmarks.planted_numbers import (
    B58,
    base58,
    bech32,
    between,
    codice,
    cpf,
    digits,
    fours,
    hetu,
    iban,
    luhn,
    nir,
    nric,
    personnummer,
    pesel,
    ric,
    rrn,
    rut,
    take,
    verhoeff,
    ymd,
)

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")  # fmt: skip


def _person(r: random.Random) -> tuple[str, str]:
    return r.choice(FIRST), r.choice(LAST)


def _date(r: random.Random, form: str) -> str:
    y, m, d = ymd(r)
    return form.format(y=y, m=m, d=d, yy=y % 100, month=_MONTHS[m - 1], mon=_MONTHS[m - 1][:3])


def _us(r: random.Random) -> tuple[str, str, str]:
    return digits(r, 3, "23456789"), digits(r, 3, "23456789"), f"{between(r, 101, 9989):04d}"


def _v6(r: random.Random) -> list[str]:
    return ["2001", "db8", *[f"{between(r, 1, 65535):x}" for _ in range(6)]]


def _mail(r: random.Random) -> str:
    first, last = _person(r)
    return f"{first}.{last}@{r.choice(DOMAIN)}.{r.choice(['com', 'org', 'net', 'io'])}"


FORMATS: dict[str, dict[str, Format]] = {
    **KEYS,
    "email": {
        "plain": lambda r: f"⟦{_mail(r)}⟧",
        "plus": lambda r: f"⟦{r.choice(FIRST)}+{r.choice(NOUN)}@{r.choice(DOMAIN)}.co.uk⟧",
        "digits": lambda r: f"⟦{r.choice(FIRST)}{between(r, 10, 2005)}@gmail.com⟧",
        "capitals": lambda r: f"⟦{r.choice(FIRST).title()}_{r.choice(LAST).title()}@{r.choice(DOMAIN).title()}.COM⟧",
        "subdomains": lambda r: f"⟦{r.choice(FIRST)}@mail.cs.{r.choice(DOMAIN)}.edu⟧",
        "words": lambda r: f"⟦{r.choice(FIRST)} at {r.choice(DOMAIN)} dot com⟧",
        "words dotted": lambda r: f"⟦{r.choice(FIRST)} dot {r.choice(LAST)} at gmail dot com⟧",
        "brackets": lambda r: f"⟦{r.choice(FIRST)}[at]{r.choice(DOMAIN)}[dot]org⟧",
        "parentheses": lambda r: f"⟦{r.choice(FIRST)} (at) {r.choice(DOMAIN)} (dot) net⟧",
        "at provider": lambda r: f"my email is ⟦{r.choice(FIRST)}{between(r, 1, 99)} at gmail.com⟧",
        "spaced": lambda r: f"⟦{r.choice(FIRST)}.{r.choice(LAST)} @ yahoo.com⟧",
        "capital words": lambda r: f"⟦{r.choice(FIRST)} AT {r.choice(DOMAIN)} DOT com⟧",
        "mailto": lambda r: f"mailto:⟦{_mail(r)}⟧",
        "angle": lambda r: f"{r.choice(FIRST).title()} <⟦{_mail(r)}⟧>",
        "umlaut": lambda r: f"⟦jürgen.{r.choice(LAST)}@{r.choice(DOMAIN)}.de⟧",
    },
    "phone": {
        "us dashes": lambda r: "⟦{}-{}-{}⟧".format(*_us(r)),
        "us parentheses": lambda r: "⟦({}) {}-{}⟧".format(*_us(r)),
        "us dots": lambda r: "⟦{}.{}.{}⟧".format(*_us(r)),
        "us spaces": lambda r: "⟦{} {} {}⟧".format(*_us(r)),
        "us plus": lambda r: "⟦+1 {}-{}-{}⟧".format(*_us(r)),
        "us one": lambda r: "⟦1-{}-{}-{}⟧".format(*_us(r)),
        "us solid": lambda r: "⟦{}{}{}⟧".format(*_us(r)),
        "us e164": lambda r: "⟦+1{}{}{}⟧".format(*_us(r)),
        "us extension": lambda r: "⟦({}) {}-{} ext. {}⟧".format(*_us(r), between(r, 10, 999)),
        "us local label": lambda r: f"call me at ⟦{digits(r, 3, '2346789')}-{between(r, 1001, 9989)}⟧",
        "uk mobile": lambda r: f"⟦07{between(r, 700, 999)} {between(r, 100, 999)}{between(r, 101, 989)}⟧",
        "uk london": lambda r: f"⟦020 7{between(r, 100, 999)} {between(r, 1001, 9989)}⟧",
        "uk plus": lambda r: f"⟦+44 7{between(r, 700, 999)} {between(r, 100, 999)} {between(r, 101, 989)}⟧",
        "uk plus zero": lambda r: f"⟦+44 (0)20 7{between(r, 100, 999)} {between(r, 1001, 9989)}⟧",
        "uk solid": lambda r: f"⟦07{between(r, 700, 999)}{between(r, 100, 999)}{between(r, 101, 989)}⟧",
        "german slash": lambda r: f"⟦0{between(r, 151, 179)}/{digits(r, 8)}⟧",
        "german spaces": lambda r: f"⟦030 {digits(r, 8)}⟧",
        "german plus": lambda r: f"⟦+49 {between(r, 151, 179)} {digits(r, 8)}⟧",
        "double zero": lambda r: f"⟦0049 {between(r, 151, 179)} {digits(r, 7)}⟧",
        "french": lambda r: "⟦0{} {:02d} {:02d} {:02d} {:02d}⟧".format(between(r, 1, 7), *[between(r, 2, 98) for _ in range(4)]),
        "french dots": lambda r: "⟦0{}.{:02d}.{:02d}.{:02d}.{:02d}⟧".format(between(r, 1, 7), *[between(r, 32, 98) for _ in range(4)]),
        "spanish": lambda r: f"⟦6{between(r, 10, 99)} {between(r, 101, 989)} {between(r, 101, 989)}⟧",
        "italian mobile": lambda r: f"⟦3{between(r, 20, 99)} {between(r, 1000001, 9999989)}⟧",
        "indian": lambda r: f"⟦+91 9{between(r, 1001, 9989)} {between(r, 10001, 99989)}⟧",
        "indian national": lambda r: f"⟦9{between(r, 1001, 9989)} {between(r, 10001, 99989)}⟧",
        "japanese": lambda r: f"⟦090-{between(r, 1001, 9989)}-{between(r, 1001, 9989)}⟧",
        "chinese": lambda r: f"⟦13{between(r, 0, 9)} {between(r, 1001, 9989)} {between(r, 1001, 9989)}⟧",
        "australian": lambda r: f"⟦04{between(r, 10, 99)} {between(r, 101, 989)} {between(r, 101, 989)}⟧",
        "brazilian": lambda r: f"⟦({between(r, 11, 99)}) 9{between(r, 1001, 9989)}-{between(r, 1001, 9989)}⟧",
        "russian": lambda r: f"⟦8 (9{between(r, 10, 99)}) {between(r, 101, 989)}-{between(r, 10, 99)}-{between(r, 10, 99)}⟧",
        "dutch": lambda r: f"⟦06-{digits(r, 8)}⟧",
        "swedish": lambda r: f"⟦070-{between(r, 101, 989)} {between(r, 10, 99)} {between(r, 10, 99)}⟧",
        "norwegian label": lambda r: f"tlf / phone ⟦{between(r, 401, 989)} {between(r, 10, 99)} {between(r, 101, 989)}⟧",
        "danish label": lambda r: "mobile ⟦{} {} {} {}⟧".format(*[between(r, 21, 98) for _ in range(4)]),
        "label solid": lambda r: f"my number is ⟦{digits(r, 8)}⟧",
        "whatsapp": lambda r: f"whatsapp me on ⟦{digits(r, 9)}⟧",
    },
    "card_number": {
        "visa groups": lambda r: f"⟦{fours(luhn('4' + take(r, string.digits, 14)))}⟧",
        "visa solid": lambda r: f"⟦{luhn('4' + take(r, string.digits, 14))}⟧",
        "mastercard dashes": lambda r: f"⟦{fours(luhn('5' + str(between(r, 1, 5)) + take(r, string.digits, 13)), '-')}⟧",
        "mastercard 2": lambda r: f"⟦{luhn(str(between(r, 2221, 2720)) + take(r, string.digits, 11))}⟧",
        "amex groups": lambda r: (lambda c: f"⟦{c[:4]} {c[4:10]} {c[10:]}⟧")(luhn("37" + take(r, string.digits, 12))),
        "amex solid": lambda r: f"⟦{luhn('34' + take(r, string.digits, 12))}⟧",
        "discover": lambda r: f"⟦{fours(luhn('6011' + take(r, string.digits, 11)))}⟧",
        "jcb": lambda r: f"⟦{luhn(str(between(r, 3528, 3589)) + take(r, string.digits, 11))}⟧",
        "unionpay 19": lambda r: f"⟦{luhn('62' + take(r, string.digits, 16))}⟧",
        "diners": lambda r: (lambda c: f"⟦{c[:4]} {c[4:10]} {c[10:]}⟧")(luhn("36" + take(r, string.digits, 11))),
        "labelled wrong digit": lambda r: f"card number ⟦4{take(r, string.digits, 15)}⟧",
    },
    "iban": {
        "de groups": lambda r: f"⟦{fours(iban('DE', take(r, string.digits, 18)))}⟧",
        "de solid": lambda r: f"⟦{iban('DE', take(r, string.digits, 18))}⟧",
        "gb": lambda r: f"⟦{fours(iban('GB', take(r, string.ascii_uppercase, 4) + take(r, string.digits, 14)))}⟧",
        "nl lower": lambda r: f"⟦{iban('NL', 'ABNA' + take(r, string.digits, 10)).lower()}⟧",
        "fr": lambda r: f"⟦{fours(iban('FR', take(r, string.digits, 10) + take(r, string.digits, 13)))}⟧",
        "es dashes": lambda r: f"⟦{fours(iban('ES', take(r, string.digits, 20)), '-')}⟧",
        "ch in prose": lambda r: f"please pay to ⟦{fours(iban('CH', take(r, string.digits, 17)))}⟧ until friday",
    },
    "bank_account": {
        "us": lambda r: f"account number: ⟦{digits(r, 10)}⟧",
        "routing": lambda r: f"routing number ⟦{digits(r, 9)}⟧",
        "sort code": lambda r: f"sort code ⟦{between(r, 10, 99)}-{between(r, 10, 99)}-{between(r, 10, 99)}⟧",
        "acct is": lambda r: f"my acct is ⟦{digits(r, 8)}⟧",
    },
    "national_id": {
        "us ssn": lambda r: f"⟦{between(r, 1, 665):03d}-{between(r, 1, 99):02d}-{between(r, 1, 9999):04d}⟧",
        "us ssn label": lambda r: f"SSN ⟦{between(r, 100, 665)}{between(r, 10, 99)}{between(r, 1001, 9999)}⟧",
        "uk nino": lambda r: f"⟦{r.choice(['AB', 'CE', 'JM', 'PX'])} {between(r, 10, 99)} {between(r, 10, 99)} {between(r, 10, 99)} {r.choice('ABCD')}⟧",
        "uk nino solid": lambda r: f"⟦{r.choice(['AB', 'CE', 'JM', 'PX'])}{between(r, 100000, 999999)}{r.choice('ABCD')}⟧",
        "es dni": lambda r: (lambda n: f"⟦{n:08d}{'TRWAGMYFPDXBNJZSQVHLCKE'[n % 23]}⟧")(between(r, 10**6, 99999999)),
        "es nie": lambda r: (lambda n: f"⟦X{n:07d}{'TRWAGMYFPDXBNJZSQVHLCKE'[n % 23]}⟧")(between(r, 10**5, 9999999)),
        "it codice fiscale": lambda r: f"⟦{codice(r)}⟧",
        "fr nir": lambda r: (lambda n: f"⟦{n[0]} {n[1:3]} {n[3:5]} {n[5:7]} {n[7:10]} {n[10:13]} {n[13:]}⟧")(nir(r)),
        "br cpf": lambda r: (lambda n: f"⟦{n[:3]}.{n[3:6]}.{n[6:9]}-{n[9:]}⟧")(cpf(r)),
        "pl pesel": lambda r: f"⟦{pesel(r)}⟧",
        "se personnummer": lambda r: f"⟦{personnummer(r)}⟧",
        "fi hetu": lambda r: f"⟦{hetu(r)}⟧",
        "in aadhaar": lambda r: f"⟦{fours(verhoeff(digits(r, 11, '23456789')))}⟧",
        "in pan": lambda r: f"⟦{take(r, string.ascii_uppercase, 3)}P{r.choice(string.ascii_uppercase)}{between(r, 1000, 9999)}{r.choice(string.ascii_uppercase)}⟧",
        "cn ric": lambda r: f"⟦{ric(r)}⟧",
        "kr rrn": lambda r: f"⟦{rrn(r)}⟧",
        "cl rut": lambda r: f"⟦{rut(r)}⟧",
        "sg nric": lambda r: f"⟦{nric(r)}⟧",
        "passport label": lambda r: f"passport number ⟦{r.choice(string.ascii_uppercase)}{digits(r, 8)}⟧",
        "licence label": lambda r: f"driver's license: ⟦{r.choice(string.ascii_uppercase)}{digits(r, 7)}⟧",
        "nl bsn label": lambda r: f"mijn BSN is ⟦{digits(r, 9)}⟧",
        "nhs label": lambda r: f"NHS number ⟦{digits(r, 3)} {digits(r, 3)} {digits(r, 4)}⟧",
    },
    "ip_address": {
        "v4": lambda r: f"⟦{between(r, 11, 223)}.{between(r, 0, 255)}.{between(r, 0, 255)}.{between(r, 1, 254)}⟧",
        "v4 private": lambda r: f"⟦192.168.{between(r, 0, 255)}.{between(r, 1, 254)}⟧",
        "v4 port": lambda r: f"⟦{between(r, 11, 126)}.{between(r, 0, 255)}.{between(r, 0, 255)}.{between(r, 1, 254)}⟧:{between(r, 80, 65000)}",
        "v4 url": lambda r: f"http://⟦{between(r, 128, 223)}.{between(r, 0, 255)}.{between(r, 0, 255)}.{between(r, 1, 254)}⟧/admin",
        "v6 full": lambda r: f"⟦{':'.join(_v6(r))}⟧",
        "v6 short": lambda r: f"⟦{':'.join(_v6(r)[:4])}::{between(r, 1, 9999):x}⟧",
        "v6 link": lambda r: f"⟦fe80::{':'.join(_v6(r)[2:6])}⟧",
        "v6 bracket": lambda r: f"[⟦{':'.join(_v6(r))}⟧]:{between(r, 80, 65000)}",
    },
    "mac_address": {
        "colons": lambda r: "⟦" + ":".join(take(r, HEX, 2) for _ in range(6)) + "⟧",
        "dashes": lambda r: "⟦" + "-".join(take(r, HEX, 2) for _ in range(5)).upper() + "-A" + str(between(r, 1, 9)) + "⟧",
        "cisco": lambda r: f"⟦{take(r, HEX, 4)}.{take(r, HEX, 3)}a.{take(r, HEX, 4)}⟧",
    },
    "home_path": {
        "linux": lambda r: f"⟦/home/{r.choice(FIRST)}/{r.choice(NOUN)}/notes.txt⟧",
        "mac": lambda r: f"⟦/Users/{r.choice(FIRST)}/Documents/{r.choice(NOUN)}.pdf⟧",
        "windows": lambda r: f"⟦C:\\Users\\{r.choice(FIRST).title()}\\Desktop\\{r.choice(NOUN)}.docx⟧",
        "windows space": lambda r: f"⟦C:\\Users\\{r.choice(FIRST).title()} {r.choice(LAST).title()}\\{r.choice(NOUN)}.txt⟧",
        "windows escaped": lambda r: f"⟦C:\\\\Users\\\\{r.choice(FIRST)}\\\\{r.choice(NOUN)}⟧",
        "windows slashes": lambda r: f"⟦D:/Users/{r.choice(FIRST)}/{r.choice(NOUN)}.csv⟧",
        "wsl": lambda r: f"⟦/mnt/c/Users/{r.choice(FIRST)}/{r.choice(NOUN)}⟧",
        "root": lambda r: f"⟦/root/.ssh/{r.choice(NOUN)}⟧",
        "file url": lambda r: f"⟦file:///home/{r.choice(FIRST)}/{r.choice(NOUN)}.html⟧",
        "bare": lambda r: f"⟦/home/{r.choice(FIRST)}⟧",
    },
    "street_address": {
        "us": lambda r: f"⟦{between(r, 10, 9999)} {r.choice(NOUN).title()} Street⟧",
        "us full": lambda r: f"⟦{between(r, 10, 9999)} {r.choice(LAST).title()} Ave, Springfield, IL {between(r, 60001, 62999)}⟧",
        "us apartment": lambda r: f"⟦{between(r, 10, 999)} N {r.choice(NOUN).title()} Blvd, Apt {between(r, 1, 99)}{r.choice('ABCD')}⟧",
        "us ordinal": lambda r: f"⟦{between(r, 10, 999)} {r.choice(['42nd', '5th', '83rd'])} Street⟧",
        "lower label": lambda r: f"i live at ⟦{between(r, 10, 9999)} {r.choice(NOUN)} lane⟧",
        "uk": lambda r: f"⟦{between(r, 1, 299)} {r.choice(LAST).title()} Road, London SE{between(r, 1, 28)} {between(r, 1, 9)}{r.choice('AB')}{r.choice('DEF')}⟧",
        "uk postcode": lambda r: f"⟦M{between(r, 1, 60)} {between(r, 1, 9)}{r.choice('ABD')}{r.choice('EFG')}⟧",
        "po box": lambda r: f"⟦P.O. Box {between(r, 10, 9999)}⟧",
        "german": lambda r: f"⟦{r.choice(['Garten', 'Linden', 'Bahnhof'])}straße {between(r, 1, 199)}⟧",
        "german full": lambda r: f"⟦Mühlweg {between(r, 1, 99)}, {between(r, 10115, 99999)} Berlin⟧",
        "french": lambda r: f"⟦{between(r, 1, 199)} rue de la République⟧",
        "spanish": lambda r: f"⟦Calle {r.choice(['Mayor', 'Alcalá', 'Goya'])} {between(r, 1, 199)}⟧",
    },
    "gps": {
        "pair": lambda r: f"⟦{between(r, 10, 60)}.{between(r, 10000, 99999)}, -{between(r, 10, 120)}.{between(r, 10000, 99999)}⟧",
        "letters": lambda r: f"⟦{between(r, 10, 60)}.{between(r, 1000, 9999)}° N, {between(r, 10, 120)}.{between(r, 1000, 9999)}° W⟧",
        "dms": lambda r: f"⟦{between(r, 10, 60)}°{between(r, 10, 59)}'{between(r, 10, 59)}\"N {between(r, 10, 120)}°{between(r, 10, 59)}'{between(r, 10, 59)}\"W⟧",
        "labels": lambda r: f"⟦lat: {between(r, 10, 60)}.{between(r, 100, 999)}, lon: -{between(r, 10, 120)}.{between(r, 100, 999)}⟧",
        "geo": lambda r: f"⟦geo:{between(r, 10, 60)}.{between(r, 1000, 9999)},{between(r, 10, 120)}.{between(r, 1000, 9999)}⟧",
    },
    "wallet": {
        "btc legacy": lambda r: f"⟦{base58(0, r)}⟧",
        "btc script": lambda r: f"⟦{base58(5, r)}⟧",
        "btc segwit": lambda r: f"⟦{bech32('bc', 0, 20, r)}⟧",
        "btc taproot": lambda r: f"⟦{bech32('bc', 1, 32, r)}⟧",
        "ethereum": key("0x", HEX, 40),
        "litecoin": lambda r: f"⟦{base58(48, r)}⟧",
        "tron": lambda r: f"⟦{base58(65, r)}⟧",
        "monero": lambda r: f"⟦4A{take(r, B58, 93)}⟧",
        "solana label": lambda r: f"my solana wallet: ⟦{take(r, B58, 44)}⟧",
    },
    "birth_date": {
        "dob slashes": lambda r: _date(r, "DOB: ⟦{m:02d}/{d:02d}/{y}⟧"),
        "dob iso": lambda r: _date(r, "date of birth ⟦{y}-{m:02d}-{d:02d}⟧"),
        "born on": lambda r: _date(r, "i was born on ⟦{d} {month} {y}⟧"),
        "birthday": lambda r: _date(r, "my birthday is ⟦{month} {d}, {y}⟧"),
        "dotted label": lambda r: _date(r, "d.o.b. ⟦{d:02d}.{m:02d}.{yy:02d}⟧"),
        "born short": lambda r: _date(r, "I was born ⟦{mon} {d} {y}⟧"),
        "german": lambda r: _date(r, "geboren am ⟦{d}.{m}.{y}⟧"),
    },
    "handle": {
        "insta": lambda r: f"follow me on insta ⟦@{r.choice(FIRST)}.{r.choice(LAST)}⟧",
        "snap": lambda r: f"my snap is ⟦{r.choice(FIRST)}_{between(r, 10, 99)}⟧",
        "discord": lambda r: f"discord: ⟦{r.choice(NOUN)}{r.choice(LAST)}#{between(r, 1000, 9999)}⟧",
    },
}  # fmt: skip


def half(kind: str, name: str) -> str:
    """`tuned` or `held`: which half of the formats this one is in, drawn by a hash."""
    return "held" if hashlib.sha256(f"{kind}/{name}/2".encode()).digest()[0] % 2 else "tuned"


def plant(marked: str) -> tuple[str, int, int]:
    """The text without the marks, and where the secret stands in it."""
    start = marked.index("⟦")
    end = marked.index("⟧") - 1
    return marked.replace("⟦", "").replace("⟧", ""), start, end
