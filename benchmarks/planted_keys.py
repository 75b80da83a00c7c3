"""Made-up credentials in the layouts of the services; see `benchmarks.planted`."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable

from benchmarks.planted_numbers import between, digits, take

Format = Callable[[random.Random], str]

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
URL = ALNUM + "-_"
FIRST = ("anna", "bob", "carla", "dmitri", "elena", "femi", "george", "hana", "ivan", "julia", "kofi", "lena", "mateo", "nora", "omar", "priya")  # fmt: skip
LAST = ("adams", "becker", "costa", "dubois", "evans", "fischer", "garcia", "hughes", "ito", "jensen", "kowalski", "lopez", "mason", "novak")  # fmt: skip
DOMAIN = ("harbour", "tidewater", "northgate", "fernhill", "bluebird", "stonebridge", "willowlane", "riverbend")  # fmt: skip
NOUN = ("tiger", "lantern", "velvet", "pepper", "comet", "walnut", "harbor", "pickle", "thunder", "maple")  # fmt: skip


def key(prefix: str, alphabet: str, count: int, end: str = "") -> Format:
    return lambda r: f"⟦{prefix}{take(r, alphabet, count)}{end}⟧"


def _secret(r: random.Random, count: int) -> str:
    # A random value that has every class, as real generators give it.
    return take(r, ALNUM, count - 3) + "a7K"


def _password(r: random.Random) -> str:
    word = r.choice(NOUN)
    return r.choice(
        [
            f"{word}{between(r, 10, 9999)}",
            f"{word.title()}{between(r, 1, 99)}!",
            f"{word.title()}#{between(r, 10, 99)}{r.choice(NOUN).title()}",
            take(r, ALNUM, 6) + "$x9",
            f"{word}{r.choice(NOUN).title()}{between(r, 10, 99)}",
            word.replace("e", "3").replace("a", "4").replace("i", "1") + str(between(r, 10, 99)),
        ]
    )


def _pem(r: random.Random, name: str, join: str = "\n", lines: int = 5, end: bool = True) -> str:
    body = [take(r, ALNUM + "+/", 64) for _ in range(lines)]
    head = f"-----BEGIN {name}-----"
    return "⟦" + join.join([head, *body, *([f"-----END {name}-----"] if end else [])]) + "⟧"


def _jwt(r: random.Random) -> str:
    def part(text: str) -> str:
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    body = f'{{"sub":"{between(r, 10**6, 10**9)}"}}'
    return ".".join([part('{"alg":"HS256"}'), part(body), take(r, URL, 43)])


def _in(text: str, fill: Callable[[random.Random], str]) -> Format:
    return lambda r: text.replace("{}", f"⟦{fill(r)}⟧")


KEYS: dict[str, dict[str, Format]] = {
    "api_key": {
        "openai classic": key("sk" + "-", ALNUM, 48),
        "openai project": key("sk" + "-proj-", URL, 80),
        "anthropic": key("sk" + "-ant-api03-", URL, 90, "AA"),
        "openrouter": key("sk" + "-or-v1-", HEX, 64),
        "github classic": key("gh" + "p_", ALNUM, 36),
        "github oauth": key("gh" + "o_", ALNUM, 36),
        "github fine-grained": lambda r: f"⟦{'github' + '_pat_'}{take(r, ALNUM, 22)}_{take(r, ALNUM, 59)}⟧",
        "gitlab": key("gl" + "pat-", URL, 20),
        "slack bot": lambda r: f"⟦{'xox' + 'b-'}{digits(r, 12)}-{digits(r, 12)}-{take(r, ALNUM, 24)}⟧",
        "slack app": lambda r: f"⟦{'xa' + 'pp-1-'}A{take(r, string.ascii_uppercase + string.digits, 10)}-{digits(r, 13)}-{take(r, HEX, 64)}⟧",
        "slack webhook": lambda r: f"⟦https://hooks.slack.com/{'serv' + 'ices'}/T{take(r, string.ascii_uppercase + string.digits, 8)}/B{take(r, string.ascii_uppercase + string.digits, 8)}/{take(r, ALNUM, 24)}⟧",
        "google": key("AI" + "za", URL, 35),
        "google oauth": key("GOC" + "SPX-", URL, 28),
        "hugging face": key("h" + "f_", string.ascii_letters, 34),
        "stripe live": key("sk" + "_live_", ALNUM, 24),
        "stripe restricted": key("rk" + "_live_", ALNUM, 24),
        "stripe webhook": key("wh" + "sec_", ALNUM, 32),
        "azure storage": lambda r: f"⟦{'Account' + 'Key'}={take(r, ALNUM + '+/', 86)}==⟧",
        "azure app": lambda r: f"⟦{take(r, ALNUM, 3)}8Q~{take(r, ALNUM + '-_.~', 34)}⟧",
        "npm": key("np" + "m_", ALNUM, 36),
        "pypi": key("py" + "pi-AgEIcHlwaS5vcmc", URL, 90),
        "telegram": lambda r: f"⟦{digits(r, 10)}:AA{take(r, URL, 33)}⟧",
        "discord": lambda r: f"⟦M{take(r, ALNUM, 23)}.{take(r, URL, 6)}.{take(r, URL, 27)}⟧",
        "discord webhook": lambda r: f"⟦https://discord.com/api/{'web' + 'hooks'}/{digits(r, 18)}/{take(r, URL, 68)}⟧",
        "sendgrid": lambda r: f"⟦{'S' + 'G.'}{take(r, URL, 22)}.{take(r, URL, 43)}⟧",
        "twilio": key("S" + "K", HEX, 32),
        "moltbook": key("molt" + "book_", ALNUM, 32),
        "mailgun": key("ke" + "y-", HEX, 32),
        "mailchimp": lambda r: f"⟦{take(r, HEX, 32)}-us{between(r, 1, 21)}⟧",
        "shopify": key("shp" + "at_", HEX, 32),
        "digitalocean": key("do" + "p_v1_", HEX, 64),
        "groq": key("gs" + "k_", ALNUM, 52),
        "xai": key("xa" + "i-", ALNUM, 80),
        "replicate": key("r" + "8_", ALNUM, 37),
        "notion": key("nt" + "n_", ALNUM, 46),
        "linear": key("lin" + "_api_", ALNUM, 40),
        "databricks": key("dap" + "i", HEX, 32),
        "vault": key("hv" + "s.", URL, 90),
        "docker": key("dckr" + "_pat_", URL, 27),
        "figma": key("fig" + "d_", URL, 40),
    },
    "aws_key": {
        "access key": key("AK" + "IA", string.ascii_uppercase + "234567", 16),
        "session key": key("AS" + "IA", string.ascii_uppercase + "234567", 16),
        "secret in env": lambda r: f"aws_secret_access_key = ⟦{_secret(r, 40)}⟧",
        "secret in prose": lambda r: f"my AWS secret key is ⟦{_secret(r, 40)}⟧",
    },
    "credential": {
        "env": lambda r: f"{r.choice(['SHOP', 'MAPS', 'BOT'])}_API_KEY=⟦{_secret(r, 32)}⟧",
        "json": lambda r: f'"client_secret": "⟦{_secret(r, 40)}⟧"',
        "bearer": lambda r: f"Authorization: Bearer ⟦{_secret(r, 40)}⟧",
        "token colon": lambda r: f"token: ⟦{_secret(r, 24)}⟧",
        "prose": lambda r: f"the api key is ⟦{_secret(r, 28)}⟧",
        "yaml base": lambda r: f"secret_key_base: ⟦{take(r, HEX, 64)}⟧",
        "header": lambda r: f"x-api-key: ⟦{_secret(r, 36)}⟧",
        "query": lambda r: f"https://api.{r.choice(DOMAIN)}.com/v1?api_key=⟦{_secret(r, 32)}⟧",
        "arrow": lambda r: f"access token -> ⟦{_secret(r, 40)}⟧",
        "possessive": lambda r: f"here's the auth token for staging: ⟦{_secret(r, 30)}⟧",
        "bare base64": lambda r: f"⟦{_secret(r, 44)}⟧",
    },
    "private_key": {
        "rsa": lambda r: _pem(r, "RSA PRIVATE" + " KEY"),
        "pkcs8": lambda r: _pem(r, "PRIVATE" + " KEY"),
        "openssh": lambda r: _pem(r, "OPENSSH PRIVATE" + " KEY", lines=7),
        "escaped": lambda r: _pem(r, "PRIVATE" + " KEY", "\\n"),
        "no end": lambda r: _pem(r, "EC PRIVATE" + " KEY", end=False),
        "pgp": lambda r: _pem(r, "PGP PRIVATE" + " KEY BLOCK"),
    },
    "jwt": {
        "bare": lambda r: f"⟦{_jwt(r)}⟧",
        "bearer": lambda r: f"Bearer ⟦{_jwt(r)}⟧",
        "cookie": lambda r: f"session=⟦{_jwt(r)}⟧;",
    },
    "url_password": {
        "postgres": lambda r: f"⟦postgres://{r.choice(FIRST)}:{_secret(r, 12)}@db.{r.choice(DOMAIN)}.com⟧:5432/app",
        "https": lambda r: f"⟦https://{r.choice(FIRST)}:{_secret(r, 10)}@git.{r.choice(DOMAIN)}.org⟧/repo.git",
        "mongo": lambda r: f"⟦mongodb+srv://{r.choice(FIRST)}:{_secret(r, 14)}@cluster0.{take(r, HEX, 5)}.mongodb.net⟧/x",
        "redis no user": lambda r: f"⟦redis://:{_secret(r, 16)}@cache.{r.choice(DOMAIN)}.net⟧:6379",
        "ftp symbols": lambda r: f"⟦ftp://{r.choice(FIRST)}:{r.choice(NOUN)}!{between(r, 10, 99)}$@files.{r.choice(DOMAIN)}.com⟧",
    },
    "password": {
        "my password is": _in("my password is {}", _password),
        "pw colon": _in("pw: {}", _password),
        "quoted": _in('password="{}"', _password),
        "wifi": _in("the wifi password is {} btw", _password),
        "for the": _in("the password for my email is {}", _password),
        "apostrophe": _in("the password's {}", _password),
        "as the": _in("just use {} as the password", _password),
        "is my": _in("{} is my password", _password),
        "passphrase": lambda r: f"passphrase = ⟦{r.choice(NOUN)}-{r.choice(NOUN)}-{r.choice(NOUN)}-{between(r, 10, 99)}⟧",
        "pin": lambda r: f"my PIN is ⟦{digits(r, 4)}⟧",
        "pin code": lambda r: f"pin code: ⟦{digits(r, 6)}⟧",
        "login pair": lambda r: f"login: ⟦{r.choice(FIRST)} / {r.choice(NOUN)}{between(r, 10, 999)}⟧",
        "german": _in("das Passwort ist {}", _password),
        "verification": lambda r: f"your verification code is ⟦{digits(r, 6)}⟧",
        "pass equals": _in("user=admin pass={}", _password),
    },
}  # fmt: skip
