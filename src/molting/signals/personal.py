"""Rules for personal data: addresses of all kinds, accounts, identity numbers, places, dates."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable

from molting.signals.check_digits import base58check, bech32, digits_of, iban, iban_length, luhn
from molting.signals.national_ids import LABELLED, TELLING, labelled_number
from molting.signals.rules import Rule, before, rule, value

_I = re.IGNORECASE

# --- e-mail -------------------------------------------------------------------------------------
_FILES = r"(?:png|jpe?g|gif|svg|webp|js|ts|py|css|json|md|txt|pdf|mp[34])"
_TLD = r"(?:com|org|net|edu|gov|io|co|uk|de|fr|es|it|nl|eu|ca|au|in|ru|ch|at|se|no|br|me|info|us|dev|app|ai|jp|cn|pl|mail|email|example|test|xyz)"
_PROVIDER = r"(?:g(?:oogle)?mail|yahoo|hotmail|outlook|icloud|proton(?:mail)?|aol|gmx|live|msn|yandex|zoho|fastmail|me|mail|web|qq|163|hey|ymail|t-online|orange|free|libero|tutanota)"
_AT = r"(?:\s?[\[({<]\s?(?:at|@)\s?[\])}>]\s?|\s+(?:at|AT|At)\s+|\s?@\s?)"
_DOT = r"(?:\s?[\[({<]\s?(?:dot|punkt|\.)\s?[\])}>]\s?|\s+(?:dot|DOT|Dot|punkt)\s+|\s?\.\s?)"
_VERBS = frozenset(
    [
        "look",
        "looks",
        "looking",
        "looked",
        "work",
        "works",
        "working",
        "worked",
        "shop",
        "shopping",
        "shopped",
        "buy",
        "bought",
        "is",
        "am",
        "are",
        "was",
        "were",
        "me",
        "us",
        "it",
        "found",
        "find",
        "available",
        "more",
        "here",
        "there",
        "order",
        "stay",
        "be",
        "it's",
        "signed",
        "sign",
        "up",
        "out",
        "arrived",
        "get",
        "got",
        "see",
        "seen",
        "them",
        "him",
        "her",
        "you",
        "all",
        "account",
        "accounts",
        "book",
        "booked",
        "one",
        "team",
        "people",
        "everyone",
        "job",
        "week",
        "day",
        "years",
        "off",
        "back",
        "over",
        "down",
        "only",
        "just",
        "best",
        "start",
        "starts",
        "started",
        "and",
        "or",
        "but",
        "the",
        "a",
        "an",
        "not",
        "how",
        "what",
        "that",
        "this",
        "free",
        "live",
    ]
)


def _spelled_email(match: re.Match[str]) -> bool:
    local = re.split(r"[\s\[({<@]", match.group())[0].lower()
    return local not in _VERBS


# --- cards and accounts -------------------------------------------------------------------------
_ISSUER = re.compile(
    r"4|5[0-8]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|3(?:0[0-5]|[689])|6(?:011|4[4-9]|5|2|0|[3-9])|35(?:2[89]|[3-8])|9792|220[0-4]"
)
_CARD = (
    r"\d{12,19}|\d{4}(?P<s>[ .\u00a0–-])\d{4}(?P=s)\d{4}(?:(?P=s)\d{4}|(?P=s)\d{1,3})?"
    r"|\d{4}[ -]\d{6}[ -]\d{4,5}|\d{6}[ -]\d{6,13}|\d{8}[ -]\d{8}|\d{5}[ -]\d{5}[ -]\d{5,6}"
)


def _card(match: re.Match[str]) -> bool:
    text = value(match)
    digits = "".join(map(str, digits_of(text)))
    if not 12 <= len(digits) <= 19 or len(set(digits)) < 2 or not _ISSUER.match(digits):
        return False
    if len(digits) < 13 and not digits.startswith(("50", "5", "6")):
        return False
    return luhn(text) and not set(digits) <= {"0", "1"}


def _iban(match: re.Match[str]) -> int:
    length = iban_length(match.group())
    fits = length > 0 and iban(match.group()[:length])
    behind = match.string[match.start() + length : match.start() + length + 1]
    return match.start() + length if fits and not behind.isalnum() else -1


def _number(check: Callable[[str], bool] | None) -> Callable[[re.Match[str]], bool]:
    def holds(match: re.Match[str]) -> bool:
        text = match.group()
        # Binary numbers and repeated digits pass a check digit too often.
        varied = not text.isdecimal() or len(set(text)) >= 3
        return varied and (check is None or check(text))

    return holds


def _account(match: re.Match[str]) -> bool:
    return len(digits_of(value(match))) >= 5


# --- network ------------------------------------------------------------------------------------
_VERSION_WORDS = re.compile(
    r"(?:\bv|\bver|version|release|build|section|chapter|clause|article|paragraph|firmware|driver|patch|update|upgrade\w*"
    r"|kernel|chrome|firefox|safari|python|java|ios|android|windows|step|§)[ /:=.-]{0,2}$"
)


def _ipv4(match: re.Match[str]) -> bool:
    octets = [int(part) for part in value(match).split("/")[0].split(".")]
    netmask = octets[0] == 255
    # "1.2.3.4 nobody remembers": counting, or beside other versions.
    counting = all(b - a == 1 for a, b in itertools.pairwise(octets))
    versions = max(octets) < 32 and re.search(
        r"\bversion|\brelease|\d\.\d+\.\d+\b(?!\.)", match.string[: match.start()].lower()
    )
    return (
        not netmask
        and octets[0] != 0
        and not counting
        and not versions
        and not _VERSION_WORDS.search(before(match))
    )


def _ipv6(match: re.Match[str]) -> bool:
    text = value(match).split("%")[0]
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    # `std::max` and `dead::beef` parse as well; real ones are long or begin like one.
    known = (
        address.is_link_local
        or address.is_private
        or address.is_multicast
        or 0x20 <= int(address) >> 120 <= 0x3F
    )
    return text.count(":") == 7 or (known and len(text) >= 6 and any(c.isdigit() for c in text))


def _mac(match: re.Match[str]) -> bool:
    digits = {c for c in value(match).lower() if c.isalnum()}
    return len(digits) > 2 and (any(c.isalpha() for c in digits) or ":" in value(match))


# --- places -------------------------------------------------------------------------------------
_LONG = (
    r"Street|Avenue|Road|Boulevard|Lane|Drive|Court|Place|Square|Terrace|Close|Crescent|Highway|Parkway|Circle|Trail"
    r"|Mews|Gardens|Grove|Alley|Turnpike|Esplanade|Promenade|Way|Row|Walk|Hill|Green|Loop|Plaza|Quay|Rise|Vale|View"
)
_SHORT = r"St|Ave|Av|Rd|Blvd|Ln|Dr|Ct|Pl|Sq|Ter|Cres|Hwy|Pkwy|Cir|Trl|Aly"
_STATES = "AL|AK|AZ|AR|CA|CO|CT|DE|DC|FL|GA|HI|ID|IL|IN|IA|KS|KY|LA|ME|MD|MA|MI|MN|MS|MO|MT|NE|NV|NH|NJ|NM|NY|NC|ND|OH|OK|OR|PA|PR|RI|SC|SD|TN|TX|UT|VT|VA|WA|WV|WI|WY"
_POSTCODE = r"(?:[A-PR-UWYZ][A-HK-Y]?\d{1,2}|[ENW]1[A-HJKPSTUW]|(?:EC|SE|SW|WC|NW)[1-4][A-HJKMNPRVWXY])\s\d[ABD-HJLNP-UW-Z]{2}"
_CITY = r"[A-Z][\w'’.-]*(?: [A-Z][\w'’.-]*){0,2}"
_ZIP = rf"(?:(?:{_STATES})\.?,?\s+\d{{5}}(?:-\d{{4}})?|{_POSTCODE}|\d{{4,5}}(?: [A-Z]{{2}})?(?! ?[a-z]))"
_UNIT = r"(?:,?\s+(?:Apt|Apartment|Unit|Suite|Ste|Flat|Floor|Fl|Room|Rm|No)\.?\s*#?\s?[\w-]{1,5}|,?\s+#\s?\w{1,5})?"
_TAIL = rf"{_UNIT}(?:,?\s+{_CITY}(?:,\s+{_CITY})?,?\s+{_ZIP}|,\s+{_ZIP})?"
_NAME = r"(?:(?:of|the|de|la|St\.?|[A-Z][\w'’-]*|\d{1,3}(?:st|nd|rd|th))\.?\s+)"
_LABEL = (
    r"(?:live|lives|living|stay|staying|reside|resides|located|based|grew up|home is|house is|place is)\s(?:over\s|right\s)?(?:at|on|@)"
    r"|address(?:\s(?:is|was)|\s?[:=-])|(?:ship|send|deliver|mail|come|come over|moved?|drive|get|over|back) (?:it |this |them |me )?to|meet (?:me )?at|home[:=]"
)


def _address(match: re.Match[str]) -> bool:
    text = match.group()
    number = re.match(r"\d+", text)
    after = match.string[match.end() : match.end() + 2]
    # "the 1970 Plymouth Road Runner", "5 Big Dr Pepper"
    named_on = re.match(r"\s[A-Z]", after) is not None
    year = number is not None and re.fullmatch(r"(?:1[89]|20)\d\d", number.group()) is not None
    # A doctor's title stands before a name, a sentence may begin behind "St."
    short = re.search(rf"\b(?:{_SHORT}|Dr\.)$", text) is not None
    if re.search(r"\b(?:District|Supreme|Circuit|County|High|Federal|Superior) Court$", text):
        return False
    return not (named_on and (year or short))


def _pair(match: re.Match[str]) -> bool:
    """A latitude and a longitude; a list of three or more numbers is data."""
    latitude, longitude = (abs(float(match[name].replace("−", "-"))) for name in ("lat", "lon"))
    text = match.string
    list_before = re.search(r"\d[,;]\s*$", text[max(0, match.start() - 6) : match.start()])
    list_after = re.match(r"\s*[,;]\s*-?\d+\.\d", text[match.end() : match.end() + 8])
    return latitude <= 90 and longitude <= 180 and not list_before and not list_after


# --- wallets ------------------------------------------------------------------------------------
def _base58(match: re.Match[str]) -> bool:
    return base58check(value(match))


def _bech32(match: re.Match[str]) -> bool:
    return bech32(value(match))


def _varied(match: re.Match[str]) -> bool:
    return len(set(value(match).lower())) > 8


# --- dates of birth -----------------------------------------------------------------------------
_MONTH = (
    r"(?:jan(?:uary|vier|uar)?|feb(?:ruary|ruar)?|f[ée]vrier|m[aä]r(?:ch|z|s)?|apr(?:il)?|avril|ma[iy]|mai|june?|juni|juin|jul[yi]?|juillet"
    r"|aug(?:ust)?|ao[uû]t|sep(?:t(?:ember)?)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?|enero|febrero|marzo|abril|mayo|junio|julio|agosto"
    r"|se[pt]+iembre|octubre|noviembre|diciembre)\.?"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th|\.)?"
_DATE = rf"(?:\d{{1,4}}[./-]\d{{1,2}}[./-]\d{{2,4}}|{_DAY}(?:\s(?:of|de))?[\s/-]{_MONTH}(?:(?:,|\sde)?[\s/-]'?\d{{2,4}})?|{_MONTH}[\s/-]{_DAY}(?:,?[\s/-]'?\d{{2,4}})?|\d{{1,2}}/\d{{1,2}}(?![\d/])|(?:19|20)\d{{2}}(?:0[1-9]|1[0-2])[0-3]\d)(?![\w/-])"
_BORN = (
    r"\bd\.?\s?o\.?\s?b\.?(?:\s+is\b)?|\b(?:date of birth|birth ?date|date de naissance|geburtsdatum|fecha de nacimiento|birthday|b-?day|bday)\b(?:['’]s\b|\s+(?:is|was)\b)?(?:\s+on\b)?(?:\s+the\b)?"
    r"|\b(?:i was|i[' ]?a?m|we were|i got)\s+born\b(?:\s+on)?(?:\s+the)?|\bborn\s?:|\bn[ée]e? le\b|\bgeb(?:oren)?(?:\.| am)|\bnacid[oa] el\b"
)

# --- social handles -----------------------------------------------------------------------------
_SITE = r"(?:insta(?:gram)?|ig|snap(?:chat)?|twitter|tik ?tok|discord|telegram|skype|kik|venmo|cash ?app|facebook|fb|messenger|twitch|steam|psn|xbox|gamertag|wechat|threads|mastodon|bluesky)"
_SITES = (
    "insta",
    "ig",
    "snap",
    "twitter",
    "tik",
    "discord",
    "telegram",
    "skype",
    "kik",
    "venmo",
    "cash",
    "facebook",
    "fb",
    "messenger",
    "twitch",
    "steam",
    "psn",
    "xbox",
    "gamertag",
    "wechat",
    "threads",
    "mastodon",
    "bluesky",
)
_HANDLE = r"(?:@[A-Za-z_][\w.]{1,29}|(?=[\w.]*[\d_])[A-Za-z][\w.]{2,29}|[A-Za-z][\w.]{2,29}#\d{4})(?<![.])"

RULES: list[Rule] = [
    rule("email", r"(?<![\w.%+'-])(?!git@)[\w%+'-][\w.%+'-]{0,63}@(?:[\w-]{1,63}\.){1,4}(?!" + _FILES + r"\b)[^\W\d_]{2,24}\b", ("@",)),
    rule("email", r"(?<![\w.%+-])[\w%+-][\w.%+-]{0,63}(?:(?:\s+dot\s+|\s?[\[(]dot[\])]\s?)[\w%+-]{1,63}){0,2}" + _AT + r"(?:[\w-]{2,63}" + _DOT + r"){1,3}?" + _TLD + r"\b(?!\s?[.@]\w)", ("[at", "(at", "{at", "<at", "( at", "[ at", "(@", "[@", "[dot", "(dot", "{dot", "[.", "(.", " dot ", " punkt "), 0, _spelled_email, _I),
    rule("email", r"(?<![\w.%+-])[\w%+-][\w.%+-]{1,63}" + _AT + _PROVIDER + r"\s?\.\s?(?:com|net|de|org|fr|co\.uk|ch|it|ru|me|cn)\b", ("@",), 0, None, _I),
    rule("email", r"(?:(?:mail|email|e-mail|contact|reach|write|address)\b[^\n]{0,30}?\s|\b(?=\w*[\d_.]))(?P<v>[\w.%+-]{2,64}\s+at\s+" + _PROVIDER + r"(?:\s?\.\s?|\s+dot\s+)(?:com|net|de|org|fr|co\.uk|ch|it|ru|me|cn))\b", (" at ",), 0, lambda m: m["v"].split()[0].lower() not in _VERBS, _I),
    rule("card_number", rf"(?<![\w.+-])(?:{_CARD})(?!\w|[.,-]\d)", (), 12, _card),
    rule("card_number", r"(?<![\w.+-])\d{4}(?P<s>[ -])(?:\d{4}(?P=s)){3}\d{2,3}(?!\w|[.,-]\d)", (), 18, _card),
    rule("card_number", r"\b(?:(?:credit|debit|bank|visa|master|amex)[ -]?card|card (?:number|no|num)|visa|mastercard|amex|cc)\b[^\d\n]{0,24}(?P<v>\d(?:[ -]?\d){12,18})(?![\d]|[.,]\d)", ("card", "visa", "amex", "cc"), 13, None, _I),
    rule("card_number", r"\b(?:cvv2?|cvc2?|csc|card (?:verification|security) (?:code|number|value))\b\W{0,3}(?:(?:is|code|number)\W{1,2}){0,2}(?P<v>\d{3,4})(?!\d)", ("cv", "csc", "card"), 3, None, _I),
    rule("iban", r"(?<![\w])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}", (), 6, None, _I, _iban),
    rule("bank_account", r"\b(?:account|acct|a/c|konto|kontonummer|routing|aba|sort ?code|bsb|transit|blz|ifsc|clabe|iban|clearing)\b\.?(?:\s*(?:number|num|no|nr|#)\b\.?)?\W{0,4}(?:(?:is|was)\W{1,2})?(?P<v>[A-Z]{0,4}\d(?:[ .-]?[0-9A-Z]){4,33})(?![\w]|[.,]\d)", (), 5, _account, _I),
    *(rule("national_id", rf"(?<![\w.,+#/$€£-])(?:{pattern})(?![\w]|[.,/-]\d)", (), 4, _number(check), _I) for pattern, check in TELLING),
    rule("national_id", LABELLED, (), 5, labelled_number, _I),
    rule("mac_address", r"(?<![\w:.-])(?:[0-9A-Fa-f]{2}(?P<s>[:-]))(?:[0-9A-Fa-f]{2}(?P=s)){4}[0-9A-Fa-f]{2}(?![\w]|[:-]\w)|(?<![\w.])(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}(?!\w|\.\w)", (), 1, _mac),
    rule("ip_address", r"(?<![\w.])(?!127\.)(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:/\d{1,2})?(?!\w|\.\d)", (".",), 4, _ipv4),
    rule("ip_address", r"(?<![\w:.])(?P<v>(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?(?:%\w+)?)(?![\w:])", (":",), 1, _ipv6),
    rule("home_path", r"(?<![\w/])(?:file://|sftp://[\w.-]+|/mnt/[a-z]|/(?:var|export|usr|data|System/Volumes/Data))?(?:/home/|/Users/|/u/home/)[^\s\"'`<>|:;,*?()\[\]{}/]{1,64}(?:/(?:[^\s\"'`<>|:;,*?()\[\]{}]|\\ )*)?|(?<![\w/])/root/[^\s\"'`<>|;,()]+", ("/home/", "/users/", "/root/")),
    rule("home_path", r"(?<![A-Za-z])(?:file:///)?(?:[A-Za-z]:|\\\\[\w.$-]+\\[\w$-]+|\\\\wsl\$\\\w+|%systemdrive%)(?:\\{1,2}|/)(?:(?:users|documents and settings|home|benutzer|utilisateurs)(?:\\{1,2}|/))(?:[^\\/:*?\"<>|\r\n\s,;]+(?: [^\\/:*?\"<>|\r\n\s,;]+){0,3}(?=\\|/)|[^\\/:*?\"<>|\r\n\s,;]+)(?:(?:\\{1,2}|/)(?:[^\\/:*?\"<>|\r\n\s,;]+(?: [^\\/:*?\"<>|\r\n\s,;]+){0,3}(?=\\|/|\.\w{1,5}\b)(?:\.\w{1,5}\b)?|[^\\/:*?\"<>|\r\n\s,;]*))*", ("\\users", "/users", "settings", "\\home", "benutzer", "utilisateurs"), 0, None, _I),
    rule("home_path", r"(?<![\w~/])~[a-z][\w-]{1,31}/[\w./-]+", ("~",)),
    rule("street_address", rf"(?<![\w$€£#.,:/-])\d{{1,5}}(?:[-/]\d{{1,4}})?[A-Za-z]?\s+(?:(?:[NSEW]{{1,2}}|North|South|East|West)\.?\s+)?{_NAME}{{1,4}}?(?:{_LONG}|(?:{_SHORT})\b)(?:\s+(?:[NSEW]{{1,2}}|North|South|East|West)\b)?(?![\w'’])\.?{_TAIL}", (), 1, _address),
    rule("street_address", r"(?<![\w$€£#.,:/-])\d{1,4}(?:\s?(?:bis|ter|[a-d]))?,?\s+(?:[Rr]ue|[Aa]venue|[Aa]v\.|[Bb]oulevard|[Bb]d\.?|[Pp]lace|[Qq]uai|[Cc]hemin|[Aa]llée|[Ii]mpasse|[Rr]oute|[Cc]ours|[Ss]quare)\s+(?:(?:de la|de l['’]|du|des|de|d['’]|la|le|les|l['’])\s?)?[A-ZÀ-Þ][\w'’-]*(?:[ -](?:(?:de|du|des|la|le)\s)?[A-ZÀ-Þ][\w'’-]*){0,4}(?:,?\s+\d{4,5}\s+[A-ZÀ-Þ][\w'’-]+)?", (), 1),
    rule("street_address", r"\b(?:Calle|Avenida|Avda\.|Av\.|Paseo|Plaza|Carrera|C/|Via|Viale|Piazza|Corso|Rua|Travessa|Largo|[Uu]l\.|Ulica|ulica)\s?(?:(?:de|del|della|dei|degli|di|da|do|dos|das|la|las|los|el)\s+){0,2}[A-ZÀ-Þ][\w'’.-]*(?:\s+(?:de\s+)?[A-ZÀ-Þ][\w'’.-]*){0,4},?\s+(?:n[º°o.]{1,2}\s*|#\s?)?\d{1,5}(?!\w|[.,:]\d)(?:,?\s+\d{4,5}(?:-\d{3})?\s+[A-ZÀ-Þ][\w'’-]+)?", (), 1),
    rule("street_address", r"(?<!\w)(?:[A-ZÄÖÜ][\wäöüßéè-]*[ -])?(?:[A-ZÄÖÜ][\wäöüß-]*(?:stra(?:ß|ss)e|str\.|weg|gasse|allee|platz|damm|straat|laan|gracht|plein|vej|gatan|vägen)|(?:Straße|Strasse|Str\.|Weg|Allee|Platz))\s+\d{1,4}\s?[a-zA-Z]?(?!\w|[.,:]\d)(?:,?\s+(?:[A-Z]{1,2}-)?\d{4,5}(?:\s?[A-Z]{2})?\s+[A-ZÄÖÜ][\wäöüß-]+(?: [A-ZÄÖÜ][\wäöüß-]+)?)?", (), 1),
    rule("street_address", r"\bP\.?\s?O\.?\s?Box\s+\d{1,6}(?:,?\s+" + _CITY + r",?\s+" + _ZIP + r")?|\bPostfach\s+\d[\d ]{2,8}\d", ("box", "postfach"), 1, None, _I),
    rule("street_address", rf"(?<![\w-]){_POSTCODE}(?![\w-])", (), 2),
    rule("street_address", rf"(?<!\w){_CITY},?\s+(?:{_STATES})\s+\d{{5}}(?:-\d{{4}})?(?!\w)", (), 5),
    rule("street_address", rf"\b(?:{_LABEL})\s+(?P<v>\d{{1,5}}[a-z]?\s+(?:[\w'’.-]+\s+){{1,4}}?(?:{_LONG}|{_SHORT})\b\.?(?:,?\s+(?:apt|apartment|unit|suite|ste|flat|floor|#)\.?\s*#?\s?[\w-]{{1,5}})?(?:,?\s+[a-z]+(?:\s[a-z]+)?,?\s+(?:{_STATES})\b\.?(?:,?\s+\d{{5}}(?:-\d{{4}})?)?)?)", (), 1, None, _I),
    rule("street_address", r"\b(?:zip|zip ?code|post ?code|postal code|plz)\b\W{0,3}(?:(?:is|:)\W{0,2})?(?P<v>\d{4,5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}|[A-Z]\d[A-Z]\s?\d[A-Z]\d)(?!\w)", ("zip", "post", "plz"), 2, None, _I),
    rule("gps", r"(?<![\w.,])(?P<lat>[+−-]?\d{1,2}\.\d{4,})°?\s?(?:[NS]\b)?\s*[,;/ ]\s*(?P<lon>[+−-]?\d{1,3}\.\d{4,})(?:°?\s?[EWO]\b|°)?(?![\w.]\d)", (".",), 8, _pair, _I),
    rule("gps", r"(?<![\w.])(?P<lat>\d{1,2}(?:\.\d+)?)\s?°\s?[NS]\b[,;/ ]*\s*(?P<lon>\d{1,3}(?:\.\d+)?)\s?°\s?[EWO]\b", ("°",), 2, None, _I),
    rule("gps", r"(?<![\w.])\d{1,2}\s?°\s?\d{1,2}(?:\.\d+)?\s?['′’](?:\s?\d{1,2}(?:\.\d+)?\s?(?:[\"″”]|''))?\s?[NS]\b[,;/ ]*\s*\d{1,3}\s?°\s?\d{1,2}(?:\.\d+)?\s?['′’](?:\s?\d{1,2}(?:\.\d+)?\s?(?:[\"″”]|''))?\s?[EWO]\b", ("°",), 4, None, _I),
    rule("gps", r"\b(?P<v>lat(?:itude)?\b[\s\"':=]{1,5}(?:is\s)?(?P<lat>[+−-]?\d{1,2}\.\d{2,})[\"']?[\s,;]{1,4}(?:and\s)?[\"']?(?:lon|lng|long|longitude)\b[\s\"':=]{1,5}(?:is\s)?(?P<lon>[+−-]?\d{1,3}\.\d{2,}))", ("lat",), 4, _pair, _I),
    rule("gps", r"\bgeo:(?P<lat>-?\d{1,2}\.\d+),(?P<lon>-?\d{1,3}\.\d+)(?![.\d]*\d)|(?<=/@)(?P<v>-?\d{1,2}\.\d{3,},-?\d{1,3}\.\d{3,})|\b[23456789CFGHJMPQRVWX]{4,8}\+[23456789CFGHJMPQRVWX]{2,3}\b", ("geo:", "/@", "+"), 1),
    rule("wallet", r"(?<!\w)(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|[LMDTtXZAGR][1-9A-HJ-NP-Za-km-z]{32,34}|[mn2][1-9A-HJ-NP-Za-km-z]{32,34})(?!\w)", (), 1, _base58),
    rule("wallet", r"(?<!\w)(?:bc|tb|ltc|addr|cosmos|osmo|stake|addr_test|bnb|terra|inj)1[02-9ac-hj-np-z]{11,110}(?!\w)", ("1",), 1, _bech32, _I),
    rule("wallet", r"(?<!\w)0x[0-9a-fA-F]{40}(?![0-9a-zA-Z])", ("0x",), 1, _varied),
    rule("wallet", r"(?<!\w)[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}(?:[1-9A-HJ-NP-Za-km-z]{11})?(?!\w)|(?<!\w)r[1-9A-HJ-NP-Za-km-z]{27,34}(?!\w)(?=[\s\S]*)", (), 4, lambda m: sum(c.isdigit() for c in m.group()) >= 3 and any(c.isupper() for c in m.group())),
    rule("wallet", r"\b(?:sol(?:ana)?|wallet|crypto|eth|btc|bitcoin|phantom|trust ?wallet|dot|polkadot|near|xlm|stellar|algo)\b(?:\s(?:wallet|address|addr|account))?\W{0,3}(?:(?:is|to|address|:)\W{1,2}){0,2}(?P<v>[1-9A-HJ-NP-Za-km-z]{32,58})(?!\w)", (), 1, _varied, _I),
    rule("birth_date", rf"(?:{_BORN})\W{{0,4}}(?P<v>{_DATE})", (), 1, None, _I),
    rule("handle", rf"\b{_SITE}\b(?:['’]s)?(?:[^\w@,]{{1,3}}|(?=@))(?:(?:is|handle|user ?name|name|tag|id|at|me|my|account|:)[^\w@]{{1,2}}){{0,3}}(?P<v>{_HANDLE})", _SITES, 0, None, _I),
    rule("handle", r"\b[A-Za-z][\w.]{1,31}#\d{4}\b(?=[^\n]{0,30}\bdiscord\b)|(?<=discord )[A-Za-z][\w.]{1,31}#\d{4}\b", ("discord",), 4, None, _I),
]  # fmt: skip
