"""Rules for credentials: keys of known services, private keys, tokens, passwords.

Formats are those that the services document, and that open scanners (gitleaks, detect-secrets)
look for as well; no check is made whether a key is live.
"""

from __future__ import annotations

import re

from molting.signals.rules import before, entropy, rule, turns, value

_I = re.IGNORECASE
_NOT_BEFORE = r"(?<![A-Za-z0-9])"

_KEYS = [
    # OpenAI, Anthropic, OpenRouter, DeepSeek, Langfuse, and what copies their form
    r"sk-(?:proj|svcacct|admin|none|lf|ant(?:-[a-z]+\d*)?|or(?:-v\d)?)-[\w-]{16,}",
    r"[spr]k-(?=[\w-]*\d)[\w-]{16,}",
    # Stripe, and others of the kind `sk_live_…`
    r"(?:[spr]k|whsec|key|api|pat|secret|token)_(?:live|test|prod)_\w{10,}", r"whsec_[A-Za-z0-9+/=]{20,}",
    r"[spr]k_(?=\w*\d)\w{16,}",
    # GitHub, GitLab
    r"gh[pousr]_[A-Za-z0-9]{20,}", r"github_pat_\w{20,}", r"gl(?:pat|ptt|dt|rt|oas|cbt|ft|imt|soat|agent)-[\w.-]{16,}",
    # Slack, Discord
    r"xox[abeoprs](?:\.xox[bp])?-[\w-]{10,}", r"xapp-\d-[\w-]{20,}",
    r"https://hooks\.slack\.com/(?:services|workflows|triggers)/[\w/+-]{20,}",
    r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/\d+/[\w-]{30,}",
    r"[MNO][A-Za-z\d_-]{23,27}\.[\w-]{6}\.[\w-]{27,40}", r"mfa\.[\w-]{60,}",
    # Google, Firebase
    r"AIza[\w-]{30,}", r"GOCSPX-[\w-]{20,}", r"ya29\.[\w-]{20,}", r"1//0[\w-]{30,}",
    r"\d{6,}-[a-z0-9]{32}\.apps\.googleusercontent\.com", r"AAAA[\w-]{7}:APA91b[\w-]{100,}",
    # Hugging Face, Replicate, Groq, xAI, Perplexity, Pinecone, Fireworks, LangSmith, ElevenLabs
    r"(?:hf|api_org)_[A-Za-z0-9]{20,}", r"r8_\w{30,}", r"gsk_\w{40,}", r"xai-\w{40,}", r"pplx-\w{30,}",
    r"pcsk_\w{40,}", r"fw_\w{20,}", r"lsv2_(?:pt|sk)_\w{20,}", r"sk_[0-9a-f]{40,}", r"jina_\w{40,}",
    # registries: npm, PyPI, RubyGems, crates.io, NuGet, Docker
    r"npm_[A-Za-z0-9]{30,}", r"pypi-AgE[\w-]{40,}", r"rubygems_[0-9a-f]{40,}", r"cio[A-Za-z0-9]{32}",
    r"oy2[a-z0-9]{43}", r"dckr_(?:pat|oat)_[\w-]{20,}",
    # messengers and mail: Telegram, SendGrid, Twilio, Mailgun, Mailchimp, Brevo, Resend, Postmark
    r"\d{8,10}:[\w-]{35}", r"SG\.[\w-]{16,24}\.[\w-]{30,}", r"(?:AC|SK|AP)[0-9a-f]{32}",
    r"key-[0-9a-f]{32}", r"[0-9a-f]{32}-us\d{1,2}", r"xkeysib-[0-9a-f]{60,}-\w{10,}", r"re_\w{8,}_\w{16,}",
    # Azure: storage keys, application secrets, Azure DevOps, newer API keys
    r"(?:AccountKey|SharedAccessKey|SharedAccessSignature)=[\w+/%=.-]{20,}", r"[A-Za-z0-9+/]{86}==",
    r"[\w~.-]{3}[78]Q~[\w~.-]{31,34}", r"[?&]sig=[\w%+/=-]{30,}", r"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{20,}",
    # clouds and platforms
    r"do[opr]_v1_[0-9a-f]{40,}", r"HRKU-[\w-]{30,}", r"fo1_[\w-]{40,}", r"nfp_\w{30,}", r"sbp_[0-9a-f]{30,}",
    r"vercel_\w{20,}", r"dapi[0-9a-f]{32}", r"dp\.(?:pt|st|ct|sa)\.[\w.]{30,}", r"pscale_(?:tkn|pw|oauth)_[\w.-]{20,}",
    r"(?:LTAI|AKID)[A-Za-z0-9]{16,}", r"AQVN[\w-]{30,}", r"tskey-[a-z]+-[\w-]{16,}", r"hv[sbr]\.[\w-]{24,}",
    r"\w{14}\.atlasv1\.[\w-]{40,}", r"ATATT3[\w=-]{60,}", r"ops_eyJ[\w=-]{60,}", r"CF(?:PAT|PAK)?-[\w-]{40,}",
    # the rest: Notion, Linear, Shopify, Square, Figma, Airtable, Postman, New Relic, Grafana, Sentry …
    r"ntn_\w{30,}", r"secret_[A-Za-z0-9]{32,}", r"lin_(?:api|oauth)_\w{30,}", r"shp(?:at|ca|pa|ss|tka)_[0-9a-fA-F]{32}",
    r"sq0[a-z]{3}-[\w-]{20,}", r"EAAA[\w-]{50,}", r"fig[duoh]_[\w-]{30,}", r"pat[A-Za-z0-9]{14}\.[0-9a-f]{40,}",
    r"PMAK-[0-9a-f-]{50,}", r"NRAK-[A-Z0-9]{20,}", r"gl(?:c|sa)_[\w+/=-]{30,}", r"sntry[su]_[\w+/=-]{30,}",
    r"[sp]k\.eyJ[\w-]{20,}\.[\w-]{10,}", r"sl\.[\w-]{60,}", r"EAA[A-Za-z0-9]{60,}", r"AAAA[\w%]{60,}",
    r"AGE-SECRET-KEY-1[0-9A-Z]{50,}", r"moltbook_[\w-]{12,}", r"(?:eg|bt|snyk|rnd|glhf|together|tvly|exa|brave)[_-](?=\w*\d)\w{24,}",
]  # fmt: skip
_KEY = "|".join(_KEYS)

_SEPARATOR = r"""["'`*]{0,3}\s{0,3}(?:\s(?:is|was|are|be|ist|lautet|est|es|é|è|är|jest)\b\s{0,2}:?|:=|=>|->|→|[:=]|['’]s\s)\s{0,3}["'`“*]{0,3}"""
_OF = r"(?:\s(?:for|to|of|on|at)\s(?:\w[\w'.-]*\s){0,3}?\w[\w'.-]*)?"
_TOKEN_LABEL = (
    r"(?:[\w.-]{0,40}?[_.-])?(?:(?:api|app|access|auth|secret|private|client|consumer|signing|encryption"
    r"|session|bearer|refresh|id|deploy|bot|webhook|service|account|licen[cs]e|master|admin|storage)[ _.-]?)"
    r"{1,2}(?:key|token|secret|cookie|credential)s?(?:[ _.-]?(?:key|id|base|hash|value))?"
    r"|(?:[\w.-]{0,40}?[_.-])?(?:api_?key|secret|token)(?:[_ ]?key)?|credentials?"
)
_PASSWORD_LABEL = (
    r"(?:[\w.-]{0,40}?[_.-])?(?:pass(?:word|wd|phrase|code)|passwort|kennwort|kennung|mot de passe"
    r"|contrase[ñn]a|senha|wachtwoord|parola d'ordine|parola|has[łl]o|l[öo]senord|пароль|密码|密碼|パスワード|pwd|pw)s?"
    r"|(?:wi-?fi|wlan|network) key|\bpass(?=\s?[:=])"
)


def _key(match: re.Match[str]) -> bool:
    # Many keys hold no letter run that could be a word; all that are random mix classes.
    text = match.group()
    return turns(text) >= 3 or entropy(text) >= 3.5


def _random(match: re.Match[str]) -> bool:
    """A value after `token:` that nobody says: letters and digits well mixed, or long."""
    text = value(match)
    letters, digits = any(c.isalpha() for c in text), any(c.isdigit() for c in text)
    if not (letters and digits):
        return len(text) >= 20 and turns(text) >= 6
    return turns(text) >= 3 or len(text) >= 16


def _made_up(match: re.Match[str]) -> bool:
    """A password, not a word: "The password is swordfish" gives nothing away in a play."""
    text = value(match).strip("*_")
    if len(text) < 4:
        return False
    quoted = match.string[match.start("v") - 1 : match.start("v")] in "\"'`“" and bool(match["v"])
    assigned = re.search(r"[:=>]\s*\W?$", match.string[match.start() : match.start("v")])
    if quoted and assigned and len(text) >= 6:
        return True
    if text.isdigit():
        return True
    inner = re.search(r"[!@#$%^&*_+=?~-][A-Za-z0-9]|[a-z][A-Z]", text)
    digit = any(c.isdigit() for c in text)
    if re.fullmatch(r"\d+-?(?:[a-z]+|[A-Z][a-z]+)", text) or re.fullmatch(r"\w+(?:-[a-z]+)+", text):
        # "3-hour", "8characters", "well-known"
        return digit and len(text) >= 10
    return len(text) >= 6 and bool(inner or digit)


def _mixed(match: re.Match[str]) -> bool:
    """A long run of base64 without a label; not a path, not a part of a link."""
    text = match.group().rstrip("=")
    start = match.string.rfind(" ", 0, match.start()) + 1
    if (
        "://" in match.string[start : match.start()]
        or "www." in match.string[start : match.start()]
    ):
        return False
    return entropy(text) >= 4.0 and turns(text) >= len(text) / 4


def _phrase(match: re.Match[str]) -> bool:
    return len(set(match["v"].split())) >= 10


def _not_prose(match: re.Match[str]) -> bool:
    return any(c.isdigit() for c in value(match)) and not before(match).endswith("://")


RULES = [
    rule(
        "private_key",
        r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        r"(?:(?:(?!-----(?:BEGIN|END))[\s\S]){0,20000}?-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----"
        # cut off before its end: the lines that are still the key's
        r"|(?:(?:\\[nr]|\s)+(?:[A-Za-z0-9+/]{16,}={0,2}|[A-Z][\w-]{2,20}: [^\n\\]{1,80}|[A-Za-z0-9+/]{1,15}={1,2}))*)"
        r"|PuTTY-User-Key-File-\d:[\s\S]{0,20000}?Private-MAC: \w+"
        r"|\bAGE-SECRET-KEY-1[0-9A-Z]{50,}",
        ("private key", "putty-user", "age-secret"),
    ),
    rule(
        "private_key",
        r"\b(?:seed|recovery|mnemonic|backup|secret)(?: recovery| seed)? (?:phrase|words)\b[^\n]{0,20}?[:=\s]\s*[\"'`]?"
        r"(?P<v>(?:\d{1,2}[.)] ?)?[a-z]{3,8}(?:[ ,]+(?:\d{1,2}[.)] ?)?[a-z]{3,8}){11,23})\b",
        ("seed", "recovery", "mnemonic", "backup", "secret"), 0, _phrase,
    ),
    rule("url_password", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]*:[^\s/]+@[^\s/\"'<>`,;)]+", ("://",), 0, None, _I),
    rule("jwt", r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,4}", ("eyj",)),
    rule("aws_key", r"\b(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ABIA|ACCA)[A-Z0-9]{12,16}\b", ("kia", "sia", "aroa", "aida", "agpa", "anpa", "abia", "acca")),
    rule("aws_key", r"\baws[\w .-]{0,24}(?:secret|key)[\w .-]{0,24}" + _SEPARATOR + r"(?P<v>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])", ("aws",), 0, None, _I),
    rule("api_key", rf"{_NOT_BEFORE}(?:{_KEY})", (), 0, _key, run=14),
    rule(
        "credential",
        rf"(?<![A-Za-z])(?:{_TOKEN_LABEL}){_OF}{_SEPARATOR}(?P<v>[\w+/=!@#$%^&*.~:-]{{7,}}[\w+/=!@#$%^&*~-])",
        ("key", "token", "secret", "cookie", "credential"), 0, _random, _I,
    ),
    rule("credential", r"\b(?:authorization|bearer|basic|x-api-key)\b[\s:=\"']{1,4}(?:(?:bearer|basic|token|bot)\s+)?(?P<v>[\w.~+/=-]{12,})", ("bearer", "basic", "authorization", "x-api-key"), 1, _random, _I),
    rule("credential", r"[?&](?:api_?key|key|token|access_token|auth|sig|signature|secret|password|pwd|pass|code|session)=(?P<v>[^&\s#\"'<>]{8,})", ("=",), 1, _not_prose, _I),
    rule("password", rf"(?<![A-Za-z])(?:{_PASSWORD_LABEL}){_OF}{_SEPARATOR}(?P<v>[^\s\"'`”“,;]{{4,}})(?<![.:)])", ("pass", "pw", "kenn", "contras", "senha", "wacht", "parol", "has", "sen", "парол", "密", "パス", "key"), 0, _made_up, _I),
    rule("password", r"\b(?:use|try|enter|type)\s+[\"'`]?(?P<v>[^\s\"'`]{6,})[\"'`]?\s+(?:as|for)\s+(?:the|my|your|a|our)\s+pass\w*", ("pass",), 0, _made_up, _I),
    rule("password", r"[\"'`]?(?P<v>[^\s\"'`]{6,})[\"'`]?\s+is\s+(?:the|my|your|our|his|her)\s+(?:\w+\s+)?pass(?:word|code|phrase)\b", ("pass",), 0, _made_up, _I),
    rule("password", r"(?:^|\s)--?p(?:ass(?:word|wd)?)?[= ][\"']?(?P<v>[^\s\"']{6,})", ("-p",), 0, _made_up, _I),
    rule("password", r"\bcurl\b[^\n]{0,200}?\s(?:-u|--user)\s+[\"']?(?P<v>[^\s\"':]+:[^\s\"']+)", ("curl",), 0, None, _I),
    rule("password", r"\b(?:creds?|credentials|log-?in(?: details| info)?|logged in|log in)\b\W{0,3}(?:(?:are|is|with|as|using)\W{1,3})?(?P<v>[A-Za-z][\w.@-]{1,40}\s?[:/|]\s?(?=\S*\d)[^\s\"'`,;]{5,})", ("cred", "log"), 1, None, _I),
    rule("password", r"\bpin(?:[ -]?(?:code|number|no\.?))?" + _OF + _SEPARATOR + r"(?P<v>\d{4,8})(?![\d.,:/-]*\d)", ("pin",), 4, None, _I),
    rule("password", r"\b(?:verification|security|one[- ]time|confirmation|2fa|otp|login|access|unlock|door|gate|alarm|entry|auth\w*)(?: pass)?[ -]?(?:code|otp|pin)" + _OF + _SEPARATOR + r"(?P<v>\d{3,4}[ -]?\d{0,4}#?)(?![\d.,:/-]*\d)", ("code", "otp", "pin"), 4, None, _I),
]  # fmt: skip

GENERIC = [
    rule("credential", r"(?<![\w/+=.:@#-])(?=[\w+/-]*[a-z])(?=[\w+/-]*[A-Z])(?=[\w+/-]*\d)[A-Za-z0-9_+/-]{32,}={0,2}(?![\w/+=-])", (), 2, _mixed, run=32),
]  # fmt: skip
"""Tried last: whatever else a find may be called is more telling than "looks random"."""
