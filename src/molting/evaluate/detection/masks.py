"""What gives a label away without any personality in it, and its replacement.

People on a typology forum write their type into their posts, and the writers of a series write
the name of the speaker before the line. A model that reads those detects names, not personality.
"""

from __future__ import annotations

import functools
import re

_TYPE = r"[IE][NS][TF][JP]"
_TYPE_WORDS = re.compile(
    "|".join(
        (
            # INFP, INFPs, infj-ish; xNTP and INxx too.
            rf"(?<![A-Za-z])(?:{_TYPE}|[IEx][NSx][TFx][JPx])(?:['’]?s)?(?![A-Za-z])",
            r"(?i:(?<![a-z])(?:" + "|".join(
                a + b + c + d for a in "ie" for b in "ns" for c in "tf" for d in "jp"
            ) + r")(?:['’]?s)?(?![a-z]))",
            # Temperaments and pairs of letters; functions (Fi, Te) as whole words, as they are written.
            r"(?<![A-Za-z])(?:NF|NT|SJ|SP|ST|SF|NJ|NP|IJ|IP|EJ|EP)(?:['’]?s)?(?![A-Za-z])",
            r"(?<![A-Za-z])(?:[FTNS][ie])(?:-?(?:dom|aux|user|users))?(?![A-Za-z])",
            r"(?<![A-Za-z])[IENSTFJP](?:/[IENSTFJP])+(?![A-Za-z])",
            r"(?i:\b(?:ambi|extra|extro|intro)ver[ts]\w*)",
            r"(?i:\b(?:thinkers?|feelers?|sensors?|intuitives?|judgers?|perceivers?)\b)",
            r"(?i:\b(?:mbti|myers[- ]?briggs|enneagrams?|socionics|keirsey)\b)",
            r"(?i:\b(?:dominant|auxiliary|inferior|tertiary) function\b)",
            # Enneagram types go with the sixteen.
            r"(?<!\w)[1-9]w[1-9](?!\w)",
        )
    )
)  # fmt: skip
MASK = "[…]"


def mask_types(text: str) -> str:
    """Names of the sixteen types and the words of the typology, replaced by `[…]`."""
    return _TYPE_WORDS.sub(MASK, text)


def mask_names(text: str, own: str, others: tuple[str, ...]) -> str:
    """Names of persons: the one judged becomes SELF, every other one OTHER."""
    mine = {own, *own.split()}
    text = _names((own, *others)).sub(
        lambda match: "SELF" if match.group() in mine else "OTHER", text
    )
    return re.sub(r"\b(SELF|OTHER)(?: \1)+\b", r"\1", text)


@functools.lru_cache(maxsize=1024)
def _names(names: tuple[str, ...]) -> re.Pattern[str]:
    parts = {part for name in names for part in (name, *name.split()) if len(part) > 2}
    # The whole name before its parts.
    choice = "|".join(re.escape(part) for part in sorted(parts, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{choice})(?!\w)")
