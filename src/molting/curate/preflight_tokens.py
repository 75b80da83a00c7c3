"""What only the tokens show: templates that do not fit, replies beyond the limit, prompts without room."""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from molting.core.config import Config
from molting.core.conversation import Conversation, Source, Turn
from molting.core.errors import InputError
from molting.curate.findings import Finding, Severity, new_finding, told_rows
from molting.models.render import Rendered, Renderer
from molting.signals.noise import find_noise

LOW_TRAINED_SHARE = 0.2
_MARKER = re.compile(r"<\|[^|<>\s]{1,40}\|>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]")


def template_findings(renderer: Renderer) -> list[Finding]:
    """Markers that the template writes must be single tokens of this tokenizer."""
    sample = Conversation((Turn("user", "a"), Turn("assistant", "b")), Source("sample", 1))
    try:
        text = renderer.row(sample, 1 << 20).text
    except InputError as error:
        return [new_finding("template_refuses", "error", str(error), "use another base model")]
    split = sorted(
        {
            marker
            for marker in _MARKER.findall(text)
            if len(renderer.tokenizer(marker, add_special_tokens=False)["input_ids"]) > 1
        }
    )
    found = []
    if split:
        found.append(
            new_finding(
                "foreign_template",
                "error",
                f"the chat template writes {', '.join(split)}, which this tokenizer splits into "
                "plain tokens: it belongs to another model family",
                "use the model's own chat template",
            )
        )
    if renderer.end_of_turn is None:
        found.append(
            new_finding(
                "no_end_of_turn",
                "warning",
                "the chat template writes no end-of-turn token; the tokenizer's own is added",
                "check with `molting check --preview` that the last trained token ends the turn",
            )
        )
    return found


def rendering_findings(
    rows: Sequence[Conversation], config: Config, renderer: Renderer, context_tokens: int | None
) -> list[Finding]:
    limit = min(config.train.max_tokens, context_tokens or config.train.max_tokens)
    concerned: dict[str, list[Conversation]] = defaultdict(list)
    counts: Counter[str] = Counter()
    refusals: list[str] = []
    trained = tokens = 0
    specials = set(map(str, renderer.tokenizer.all_special_tokens))
    for row in rows:
        if not row.reply.strip():
            continue
        try:
            rendered = renderer.row(row, limit)
        except InputError as error:
            concerned["template_refuses"].append(row)
            refusals.append(str(error))
            continue
        trained, tokens = trained + rendered.trained_tokens, tokens + len(rendered.ids)
        for code in _faults(rendered):
            concerned[code].append(row)
        counts["cut_wholly"] += rendered.replies_cut_wholly
        counts["cut_partly"] += rendered.replies_cut_partly
        markers = {
            turn.text[hit.start : hit.end]
            for turn in row.turns
            for hit in find_noise(turn.text, ("template_token",))
        }
        if markers - specials:
            concerned["foreign_template_tokens"].append(row)
    raise_limit = f"raise train.max_tokens (now {limit}), or shorten the rows"
    messages: dict[str, tuple[Severity, str, str]] = {
        "reply_cut_wholly": (
            "error",
            f"{counts['cut_wholly']} replies lie wholly beyond the limit of {limit} tokens: "
            "nothing of them is trained",
            raise_limit,
        ),
        "reply_cut_partly": (
            "error",
            f"{counts['cut_partly']} replies are cut by the limit of {limit} tokens",
            raise_limit,
        ),
        "turns_dropped": ("note", f"oldest turns dropped to fit in {limit} tokens", raise_limit),
        "stop_not_trained": (
            "error",
            "the end-of-turn token is not trained, so the model would not learn to stop",
            raise_limit,
        ),
        "foreign_template_tokens": (
            "error",
            "control tokens of another model's template stand in the text",
            "strip them; this model reads them as plain characters",
        ),
        "template_refuses": (
            "error",
            refusals[0] if refusals else "",
            "repair the order of the turns",
        ),
    }
    found = [
        new_finding(
            code, severity, f"{told_rows(len(concerned[code]))}: {message}", remedy, concerned[code]
        )
        for code, (severity, message, remedy) in messages.items()
        if concerned[code]
    ]
    if tokens and trained / tokens < LOW_TRAINED_SHARE:
        found.append(
            new_finding(
                "low_trained_share",
                "warning",
                f"only {trained / tokens:.1%} of {tokens:,} tokens are replies; the rest is read, "
                "not learned",
                "shorten prompts and system turns, or merge what repeats",
            )
        )
    return found


def room_findings(
    held_out: Sequence[Conversation], config: Config, renderer: Renderer, context_tokens: int
) -> list[Finding]:
    """Held-out prompts that no system could answer: known now, not after an hour of training."""
    most = context_tokens - config.evaluate.max_new_tokens
    system = config.persona.system_prompt()
    concerned = []
    for row in held_out:
        # What the template refuses is a finding of its own.
        with contextlib.suppress(InputError):
            if row.context and len(renderer.prompt(row.context, system)) > most:
                concerned.append(row)
    if not concerned:
        return []
    return [
        new_finding(
            "held_out_prompt_too_long",
            "error",
            f"{told_rows(len(concerned))}: with the persona, the held-out prompt leaves no room for a "
            f"reply of {config.evaluate.max_new_tokens} tokens in the model's context of "
            f"{context_tokens}",
            "shorten the rows or the persona, or lower evaluate.max_new_tokens",
            concerned,
        )
    ]


def _faults(rendered: Rendered) -> list[str]:
    faults = []
    if rendered.replies_cut_wholly:
        faults.append("reply_cut_wholly")
    if rendered.replies_cut_partly:
        faults.append("reply_cut_partly")
    if rendered.turns_dropped:
        faults.append("turns_dropped")
    if not rendered.stop_trained:
        faults.append("stop_not_trained")
    return faults
