"""Which language a text is in, or that one cannot tell.

A script that only one language uses settles it. The rest is py3langid (a maintained fork of
langid.py: naive Bayes over byte n-grams, 139 languages, 5 MB, offline). Its probability is well
calibrated where the text is short too, so a text is `unknown` below 0.8 instead of by a length
alone; under 12 letters nothing is asked at all.
"""

from __future__ import annotations

import functools
import re
from importlib import import_module
from typing import Any, NamedTuple

UNKNOWN = "unknown"
MINIMUM_LETTERS = 12
CONFIDENT = 0.8

_ONE_LANGUAGE = {
    "ja": "\u3040-\u30ff", "ko": "\uac00-\ud7af\u1100-\u11ff", "th": "\u0e00-\u0e7f", "lo": "\u0e80-\u0eff",
    "km": "\u1780-\u17ff", "my": "\u1000-\u109f", "ka": "\u10a0-\u10ff", "hy": "\u0530-\u058f",
    "el": "\u0370-\u03ff\u1f00-\u1fff", "he": "\u0590-\u05ff", "ta": "\u0b80-\u0bff", "te": "\u0c00-\u0c7f",
    "kn": "\u0c80-\u0cff", "ml": "\u0d00-\u0d7f", "gu": "\u0a80-\u0aff", "pa": "\u0a00-\u0a7f",
    "si": "\u0d80-\u0dff", "or": "\u0b00-\u0b7f",
}  # fmt: skip
_SCRIPTS = {code: re.compile(f"[{letters}]") for code, letters in _ONE_LANGUAGE.items()}
_DIALECT = {"arz": "ar", "ary": "ar", "nb": "no", "nn": "no", "yue": "zh", "wuu": "zh", "uzs": "uz"}
_STANDARD = {"hr": "sh", "sr": "sh", "bs": "sh", "id": "ms"}
"""Near relatives, which short text does not tell apart: their probability counts together."""
_HAN = re.compile("[\u3400-\u9fff]")
_NOT_LANGUAGE = re.compile(
    r"https?://\S+|www\.\S+|\S+@\S+|`[^`]*`|<[^<>\n]{1,40}>|\[[a-z_]+(?: \d+)?\]"
)


class Language(NamedTuple):
    """An ISO 639-1 code (639-3 where there is none) or `unknown`, and the probability behind it."""

    code: str
    confidence: float | None


def detect_language(text: str) -> Language:
    """The language of a text. Mixed text gives the language of most of it, or unknown."""
    plain = _NOT_LANGUAGE.sub(" ", text)
    letters = sum(c.isalpha() for c in plain)
    if not letters:
        return Language(UNKNOWN, None)
    if not plain.isascii():
        for code, script in _SCRIPTS.items():
            found = len(script.findall(plain))
            # A Japanese sentence may be mostly Han; a Chinese one has no kana at all.
            enough = 0.1 * letters if code == "ja" else 0.5 * letters
            others = letters - found - (len(_HAN.findall(plain)) if code == "ja" else 0)
            if found >= 2 and found >= enough and others <= 0.5 * letters:
                return Language(code, 1.0)
    han = len(_HAN.findall(plain))
    if letters < (4 if han > letters / 2 else MINIMUM_LETTERS):
        return Language(UNKNOWN, None)
    ranked = [(_DIALECT.get(c, c), float(p)) for c, p in _identifier().rank(plain)[:6]]
    code = ranked[0][0]
    confidence = min(1.0, sum(p for other, p in ranked if same_language(code, other)))
    if code == "zxx":  # no linguistic content
        return Language(UNKNOWN, confidence)
    # Han without kana is Chinese but for names and signs.
    least = 0.5 if han > letters / 2 else CONFIDENT
    return Language(code if confidence >= least else UNKNOWN, confidence)


def same_language(left: str, right: str) -> bool:
    """Whether two codes are of one language, or of standards that text does not tell apart."""
    return _STANDARD.get(left, left) == _STANDARD.get(right, right)


@functools.cache
def _identifier() -> Any:
    # It has no types.
    module = import_module("py3langid.langid")
    return module.LanguageIdentifier.from_model_file(module.MODEL_FILE, norm_probs=True)
