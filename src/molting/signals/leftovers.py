"""What a template, a tool or another model left in a text, and what only a stock assistant says.

`template_token`, `boilerplate` and the like stand in `noise`, where filters and the score use them;
here is what a report marks besides.
"""

from __future__ import annotations

import re

from molting.signals.noise import Hit
from molting.signals.secrets import KINDS as SECRET_KINDS

_I = re.IGNORECASE
_M = re.IGNORECASE | re.MULTILINE
_NAMES = (
    r"name|names|user|user ?name|char|character|bot|input|output|question|answer|context|prompt|response"
    r"|date|time|topic|title|company|city|country|address|phone|email|product|subject|message|text|price|link|url"
)
_PATTERNS: dict[str, re.Pattern[str]] = {
    "placeholder": re.compile(
        r"\{\{[^{}\n]{1,60}\}\}|\{%[^%\n]{1,80}%\}|\$\{[\w.]{1,40}\}|<(?:user|bot|char|name|start|persona)>"
        rf"|(?<![\w{{$])\{{(?:{_NAMES})\}}|<<?(?:insert|your|enter)[^<>\n]{{1,40}}>>?"
        rf"|\[(?:(?:your|insert|enter|recipient(?:'s)?|company(?:'s)?|customer(?:'s)?|user(?:'s)?|client(?:'s)?|first|last|full|product)\b[^\]\n]{{0,40}}|{_NAMES})\](?!\()"
        r"|\blorem ipsum\b|\[object object\]|\b(?:TODO|FIXME):", _I),
    "role_label": re.compile(r"^\s{0,3}(?:user|human|assistant|ai|bot|system|chatbot|gpt-?\d?|instruction|response|prompt|input|output)\s?:(?=\s)", _M),
    "instruction_marker": re.compile(r"^#{2,4} ?(?:instruction|response|human|assistant|input|output|system|user|end)s?\b:?|\[/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL_CALLS)\]|<START>|^<\|?(?:im_start|im_end|user|assistant|system)\|?>", _M),
    "reasoning_tag": re.compile(r"</?(?:think|thinking|thought|reasoning|scratchpad|reflection|tool_call|tool_response|tool_result|function_calls?|invoke|answer|output|result|search)>", _I),
    "citation": re.compile(r"【\d+[†:][^】]{0,40}】|:?contentReference\[oaicite[^\]]*\](?:\{[^}]*\})?|\[oaicite:\d+\]|\bturn\d+search\d+\b|\[citation needed\]|\[\^\d+\^\]", _I),
    "out_of_character": re.compile(r"[\[({]{1,2}\s?(?:ooc|out of character|end of role-?play|end scene)\b[^\])}]{0,120}[\])}]{0,2}|(?<![\w/])/?ooc:", _I),
}  # fmt: skip
KINDS = tuple(_PATTERNS)
_OURS = re.compile(rf"\[(?:{'|'.join(SECRET_KINDS)})\]", _I)
_NOT_A_NAME = {"[link]", "[text]", "[time]", "[title]", "[message]", "[price]"}

REFUSALS = re.compile(
    r"\bi(?:'m| am) (?:so |very |really |truly )?sorry,? (?:but )?(?:i|that|this|as an)\b[^.!?\n]{0,40}?\b(?:can(?:'t|not)|unable|not able|won't|not (?:allowed|permitted|comfortable|appropriate|something))"
    r"|\bi(?:'m| am) (?:sorry,? (?:but )?i(?:'m| am) )?(?:unable|not able|not allowed|not permitted|not programmed|not designed) to (?:\w+ )?(?:help|assist|provide|answer|discuss|comply|fulfill|generate|create|write|engage|continue|respond|offer|share)\b"
    r"|\bi (?:can(?:'t|not)|won't|will not|must not|am unable to) (?:help|assist)(?: you)? with (?:that|this|your|such|creating|writing)\b"
    r"|\bi (?:can(?:'t|not)|won't|will not) (?:provide|generate|create|write|produce|engage in|participate in|comply with|fulfill|support|promote|condone|discuss) (?:\w+ ){0,3}?(?:that|this|such|content|information|advice|request|instructions|details|material|illegal|harmful|explicit)\b"
    r"|\bi (?:must|have to) (?:respectfully |politely )?(?:decline|refuse)\b|\bi(?:'d| would) prefer not to (?:answer|discuss|continue|engage)\b"
    r"|\b(?:goes )?against my (?:programming|guidelines|policies|policy|ethical (?:guidelines|code)|content polic(?:y|ies)|terms)\b|\bmy (?:guidelines|programming) (?:do(?:es)? not|don't|prevents?|prohibits?) \b"
    r"|\bas an? (?:ai|artificial intelligence|language model|large language model)\b[^.!?\n]{0,60}\b(?:can(?:'t|not)|unable|don't|do not|am not)\b"
    r"|\bit (?:would be|is|'s) (?:not (?:appropriate|ethical)|inappropriate|unethical) (?:for me )?to (?:provide|answer|discuss|assist|help|generate|engage|comment|share|give)\b",
    _I,
)  # fmt: skip


def find_leftovers(text: str) -> list[Hit]:
    """Every leftover, leftmost first; kinds may overlap."""
    found = []
    for kind, pattern in _PATTERNS.items():
        for match in pattern.finditer(text):
            said = match.group().lower()
            # `[email]` is what redaction of this package leaves, and `[text](link)` is Markdown.
            if _OURS.fullmatch(said) or said in _NOT_A_NAME:
                continue
            start = match.end() - len(match.group().lstrip())
            found.append(Hit(kind, start, match.end()))
    return sorted(found, key=lambda hit: (hit.start, hit.end))


def find_refusals(text: str) -> list[Hit]:
    """Where a reply declines in the words of a stock assistant."""
    straight = text.replace("’", "'")
    return [Hit("refusal", m.start(), m.end()) for m in REFUSALS.finditer(straight)]
