"""Patterns of text that is not a person's or a persona's words, each with its span."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence

import msgspec

from molting.core.persona import Persona
from molting.signals.text import fold


class Hit(msgspec.Struct, frozen=True):
    """A matched pattern: its kind and where in the text."""

    kind: str
    start: int
    end: int


_READS = r"\b(?:let me|i'll|i will|i'm going to|now i'll)(?: now| first| quickly)?"
_LOOKS = (
    r"(?:check|read|look at|search|open|inspect|update|scan|start by (?:reading|checking|looking))"
)
_PATTERNS: dict[str, list[str]] = {
    "template_token": [
        r"<\|[\w .-]{1,40}\|>", r"\[/?INST\]", r"<</?SYS>>", r"</?s>", r"<(?:start|end)_of_turn>",
        r"<(?:bos|eos|pad|unk)>", r"^### (?:Instruction|Response|Human|Assistant|Input):",
        r"<\|?endoftext\|?>", r"<｜[^｜]{1,40}｜>",
    ],
    # A persona says "error", "quota" and "500" too: a number counts only beside an error's own
    # words, and "terror: …" is no exception class (those are written with a capital E).
    "error": [
        r"\bTraceback \(most recent call last\)", r"^\s*(?:\w+\.)*(?-i:[A-Z]\w*(?:Error|Exception)): ",
        r"\bHTTP(?:/\d(?:\.\d)?)?[ :]{1,3}(?:status|error|code|response)?[ :]{0,3}(?:code[ :]{1,3})?[45]\d\d\b",
        r"\b(?:status|error)(?:[ _]code)?(?: is| was)?[ :=]{1,3}[45]\d\d\b(?!,?\d| (?:\w+ )?(?:bc|ad|years|miles)\b)",
        r"^\W{0,3}[45]\d\d\b[ :-]{1,3}(?:bad request|unauthorized|payment required|forbidden|not found|method not|request time|conflict|gone\b|too many|internal server|not implemented|bad gateway|service (?:temporarily )?un|gateway time)",
        r"\brate[ _-]?limit(?:s|ed|ing)?\b.{0,40}\b(?:exceeded|reached|hit|retry|try again|error)",
        r"\b(?:exceeded|reached|hit)\b.{0,40}\brate limit\b|\bexceeded your current quota\b|\bquota (?:has been )?exceeded\b",
        r"[\"']error[\"']\s*:\s*[\"'{]", r"\b(?:connection|request) (?:timed out|reset by peer|aborted)|\bconnection refused\b",
        r"\b(?:internal server error|service unavailable|bad gateway|gateway time-?out|upstream connect error)\b|^\W{0,3}too many requests\b",
        r"\b(?:ECONNRESET|ETIMEDOUT|ECONNREFUSED|ENOTFOUND|EAI_AGAIN)\b",
        r"\b(?:maximum context length|context_length_exceeded|insufficient_quota|overloaded_error)\b",
        r"\b(?:invalid|incorrect) api key\b|\bout of memory\. tried to allocate\b",
        r"^\W{0,3}(?:fatal |api )?error\]? ?:", r"^\W{0,3}\[error\] ",
        r"\bsomething went wrong\b.{0,80}\b(?:help center|please (?:try again|refresh)|try again (?:later|in a)|refresh the page)",
        r"^\W{0,3}(?:there was )?(?:an? )?network error\b",
        r"\bthe (?:model|server) is (?:currently |temporarily )?(?:overloaded|unavailable)|\bthe (?:engine|service) is (?:currently|temporarily) (?:overloaded|unavailable)",
    ],
    # Each needs the stock assistant's own ending: "let me know if you need any rum" is a persona's.
    "boilerplate": [
        r"\bas an? (?:ai|artificial intelligence|large language|language model|llm)\b",
        r"\bi(?:'m| am) (?:just |only )?an? (?:ai|artificial intelligence|large language model|language model|virtual assistant)\b",
        r"\bi(?:'m| am) sorry,? but i (?:can(?:'t|not)|am (?:not able|unable))\b",
        r"\bi can(?:'t|not) (?:(?:assist|help)(?: you)? with (?:that|this)(?: request)?(?=\s*[.,!;]|\s*$)|(?:fulfill|comply with) (?:this|that|your) request)\b",
        r"\bi (?:don't|do not) have (?:personal (?:opinions|experiences|feelings|preferences)|access to real-time)",
        r"\bi hope this (?:message|email) finds you well\b",
        r"\bfeel free to (?:ask|reach out)(?=\s*[.!]|\s*$| (?:me )?(?:if|any|for|more|further|questions|away)\b)",
        r"\blet me know if you (?:have any (?:\w+ )?questions|need any (?:(?:more|other|further|additional) )?(?:help|assistance|information|clarification))\b",
        r"\bis there anything else i can (?:help|assist|do)\b",
        r"\bmy (?:training data|knowledge cutoff)\b|\bi was trained (?:by (?:openai|google|anthropic|meta|microsoft|mistral)|on (?:a |large |vast |massive |data|text))",
        r"\bi(?:'m| am) here to (?:help|assist)(?: you)?\b|\bhow (?:can|may) i (?:assist|help) you today\b",
    ],
    # A captain checks the log and a detective opens a file; an agent names code, or says nothing else.
    "agent_chatter": [
        _READS + r" (?:(?:run|execute|grep)\b.{0,40}\b(?:tests|test suite|commands?|scripts?|build|linter|tool)|call\b.{0,40}\b(?:tool|function|api))\b(?! ?(?:shed|box|chest|kit|belt))",
        _READS + " " + _LOOKS + r"\b.{0,60}(?:\b(?:codebase|repo(?:sitory)?|config(?:uration)?|source (?:code|files?)|(?:config|log|source|test|json|csv|yaml) files?|(?:file|folder|directory|project) structure|existing (?:code|files?|tests?|functions?)|test (?:suite|director(?:y|ies))|the (?:code|function|files? first))\b|\b[\w/-]+\.(?:py|js|jsx|ts|tsx|json|ya?ml|toml|md|txt|sh|rs|go|java|cpp|html|css|csv|log|ini|sql)\b|`[^`\n]{2,60}`)",
        r"\A\W*(?:(?:ok(?:ay)?|sure|great|perfect|now)[,.!:]? )?" + _READS + " (?:" + _LOOKS + r"|run)\b[^.!?\n]{0,60}\b(?:files?|logs?|code|script|folder|directory|tests?)\b[^.!?\n]{0,60}[.!:…]*\s*\Z",
        r"\bthis session is being continued from a previous conversation\b",
        r"\b(?:conversation|context|session) summary\b\W",
        r"\bsummary of (?:the|our) (?:conversation|session|context)\b|\bprevious (?:context|conversation) (?:was|has been|is) (?:summari[sz]ed|compacted)",
        r"^\s*(?:Action Input|Final Answer):|^\s*Thought:[^\n]*\n+\s*(?:Action|Observation):|^\s*Action:[^\n]*\n+\s*Observation:",
    ],
    "tool_output": [
        r"^(?:total \d+\n)?(?-i:[dl-]r[w-][xsS-][r-][w-][xsS-][r-][w-][xtT-])[@+.]? ", r"^@@ -\d+(?:,\d+)? \+\d+(?:,\d+)? @@", r"^diff --git ",
        r"^\s*[\[{]\s*(?:\"[^\"]{1,60}\"\s*:|\{\s*\")", r"^\s*<(?:!doctype html|html|div|head|body|table|\?xml)\b",
        r"(?:^\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\n]*(?:\n|$)){2,}", r"^\$ [a-z]", r"^(?:root|\w+)@[\w-]+:[~/]",
        r"^(?-i:PASSED|FAILED|ERROR) \S*(?:::|/)\S+", r"^(?-i:ok)\s+\S+\s+\d+\.\d+s$", r"^```(?:json|bash|sh|console|diff|html|xml|log)\b",
        r"^={5,} .{0,40}(?:test session starts|short test summary|passed|failed)",
    ],
    "heading": [r"^#{1,6} \S", r"^\*\*[^*\n]{2,60}\*\*:?\s*$"],
}  # fmt: skip
_COMPILED = {
    kind: [re.compile(p, re.IGNORECASE | re.MULTILINE) for p in patterns]
    for kind, patterns in _PATTERNS.items()
}
_CLAIMS = [
    (re.compile(r"\b(?:language model|llm)\b"), re.compile(r"\b(?:language model|llm)s?\b")),
    (re.compile(r"\bvirtual assistant\b"), re.compile(r"\b(?:virtual |ai )assistant\b")),
    (
        re.compile(r"\b(?:an? ai|artificial intelligence)\b"),
        re.compile(r"\b(?:ai|a\.i\.|artificial intelligence|robot|android|chatbot|cyborg|computer|machine intelligence|language model|llm)\b"),
    ),
]  # fmt: skip
"""What a reply may claim to be, and what the persona must be for that to be true."""
_MACHINE = re.compile("|".join(owned.pattern for _, owned in _CLAIMS))
_STOCK = re.compile("|".join(f"(?:{p})" for p in _PATTERNS["boilerplate"]), re.IGNORECASE)
_ENDS = re.compile(r"""[.!?…。！？~*)\]}"'”’»:;\-—–]\W*$|[^\w\s,]\s*$""")

REJECTED_KINDS = ("template_token", "error", "boilerplate", "agent_chatter", "tool_output")
"""Kinds that make a row noise; a heading alone is only counted."""


def find_noise(
    text: str, kinds: Sequence[str] | None = None, persona: Persona | None = None
) -> list[Hit]:
    """The first hit of each kind in `text`.

    A robot may say that it is an AI: what the persona's own description, facts or samples say is
    no boilerplate in its replies, unless `voice_never` forbids it.
    """
    hits = []
    for kind in kinds or _COMPILED:
        found = list(_matches(text, kind, persona))
        if found:
            hits.append(min(found, key=lambda hit: hit.start))
    return hits


def all_noise(text: str, persona: Persona | None = None) -> list[Hit]:
    """Every hit of every kind, leftmost first; those of one kind do not overlap."""
    hits: list[Hit] = []
    for kind in _COMPILED:
        last = 0
        for hit in sorted(_matches(text, kind, persona), key=lambda hit: (hit.start, -hit.end)):
            if hit.start >= last:
                hits.append(hit)
                last = hit.end
    return sorted(hits, key=lambda hit: (hit.start, hit.end))


def _matches(text: str, kind: str, persona: Persona | None) -> Iterator[Hit]:
    # One character for one, so that the spans hold: exports often write "I’m".
    straight = text.replace("’", "'")
    own = own_words(persona) if persona is not None and kind == "boilerplate" else ""
    for pattern in _COMPILED[kind]:
        for match in pattern.finditer(straight):
            if not (own and _says_itself(match, own)):
                yield Hit(kind, match.start(), match.end())


@functools.cache
def own_words(persona: Persona) -> str:
    """What the persona says of itself, folded; empty where `boilerplate` needs no exception."""
    said = [persona.description, *persona.samples, *persona.voice_does]
    said += [part for fact in persona.facts for part in (fact.answer, *fact.accept)]
    own = fold(" \n ".join(said))
    never = " \n ".join(fold(phrase) for phrase in persona.voice_never)
    return f"{own}\0{never}" if _MACHINE.search(own) or _STOCK.search(own) else ""


def _says_itself(match: re.Match[str], own: str) -> bool:
    own, _, never = own.partition("\0")
    said = fold(match.group())
    if any(phrase in said or said in phrase for phrase in never.split(" \n ") if phrase):
        return False
    if said in own:
        return True
    # "As an AI language model" claims more than "as an AI" does.
    claim = fold(match.string[match.start() : match.end() + 16])
    for noun, owned in _CLAIMS:
        if noun.search(claim):
            return owned.search(own) is not None
    return False


def looks_cut(text: str, minimum_words: int = 8) -> bool:
    """Whether a reply of some length stops without any closing mark."""
    stripped = text.rstrip()
    return len(stripped.split()) >= minimum_words and not _ENDS.search(stripped[-3:])


def cut_replies(replies: Sequence[str]) -> list[bool]:
    """Which replies look cut off; none, when leaving out the full stop is this voice's habit."""
    cut = [looks_cut(reply) for reply in replies]
    long_enough = sum(len(reply.split()) >= 8 for reply in replies)
    habit = long_enough > 0 and sum(cut) > 0.25 * long_enough
    return [False] * len(cut) if habit else cut
