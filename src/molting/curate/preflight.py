"""What would go wrong in training, found before it starts.

Each fault here cost the predecessor months of silent failure: replies beyond the length cut,
another family's template, a stop token that was never trained, a warm-up half the run long,
evaluation questions in the training set, error messages taken for replies.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from molting.core.config import Config
from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.errors import InputError
from molting.core.schedule import warmup_and_total
from molting.curate.filters import REASONS, filter_rows
from molting.curate.grouping import duplicate_pairs, leaks
from molting.curate.kinds import kind_faults
from molting.curate.selection import score_rows
from molting.models.render import Rendered, Renderer
from molting.signals.noise import find_noise
from molting.signals.secrets import find_secrets
from molting.signals.text import words

Severity = Literal["error", "warning", "note"]

LOW_TRAINED_SHARE = 0.2
LONG_WARMUP_SHARE = 0.2
NO_PERSONA_VOICE = 0.05
_MARKER = re.compile(r"<\|[^|<>\s]{1,40}\|>|</?s>|<(?:start|end)_of_turn>|\[/?INST\]")


class Finding(msgspec.Struct, frozen=True):
    """One kind of fault: how bad, which rows, what to do."""

    code: str
    severity: Severity
    message: str
    remedy: str
    rows: tuple[str, ...] = ()
    """`file:line` of every row concerned; empty for a fault of the configuration."""
    remaining: int = 0
    """Rows still concerned after curation; 1 for a fault of the configuration."""

    @property
    def open(self) -> bool:
        return self.remaining > 0


_ROW_REMEDIES: dict[str, tuple[Severity, str]] = {
    "no_assistant_turn": ("error", "remove the row, or check its roles"),
    "no_user_turn": ("error", "give the reply something to answer"),
    "empty_reply": ("error", "remove the row or write the reply"),
    "too_short": ("warning", "remove the row, or lower curate.minimum_reply_words"),
    "template_token": ("error", "strip the tokens; the model's own template writes them"),
    "placeholder": ("error", "fill it in or remove the row: the model would say it as it stands"),
    "error": ("error", "remove the row: the model would learn to fail"),
    "boilerplate": ("error", "remove or rewrite the row: it teaches the stock assistant"),
    "agent_chatter": ("error", "remove the row: nobody talks to the persona there"),
    "tool_output": ("error", "remove the row: a tool speaks, not the persona"),
    "cut_off": ("warning", "complete the reply or remove the row"),
    "secret": (
        "error",
        'remove the secret, or set curate.secrets to "redact": a model can repeat what it was trained on',
    ),
}


def inspect(
    rows: Sequence[Conversation],
    held_out: Sequence[Conversation],
    config: Config,
    renderer: Renderer | None,
    context_tokens: int | None = None,
) -> list[Finding]:
    """Every finding in `rows`, as if they were trained on now; most severe first."""
    found = [
        *_noise(rows, config),
        *_duplicates(rows, config),
        *(_finding(*fault) for fault in kind_faults(rows, config)),
        *_held_out(rows, held_out, config),
        *_persona(rows, config),
        *_steps(rows, config),
    ]
    if renderer is not None:
        found += _template(renderer)
        found += _rendering(rows, config, renderer, context_tokens)
        if context_tokens:
            found += _no_room(held_out, config, renderer, context_tokens)
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda f: (order[f.severity], f.code))


def merge(files: Sequence[Finding], training: Sequence[Finding]) -> list[Finding]:
    """Findings of the files as they came, each with what is left of it after curation."""
    after = {finding.code: finding for finding in training}
    merged = []
    for finding in files:
        later = after.pop(finding.code, None)
        if finding.rows or later is None:
            left = 0 if later is None else (len(later.rows) or 1)
        else:
            left = 1
        chosen = later if later is not None and not later.rows else finding
        if later is not None:
            chosen = msgspec.structs.replace(chosen, severity=later.severity)
        merged.append(msgspec.structs.replace(chosen, rows=finding.rows, remaining=left))
    merged += [msgspec.structs.replace(f, remaining=len(f.rows) or 1) for f in after.values()]
    return merged


def soften(found: Sequence[Finding], kept_by_person: Collection[str]) -> list[Finding]:
    """Noise and duplicates become notes where a person has kept every row concerned (`file:line`)."""
    theirs = {*REASONS, "foreign_template_tokens"}
    return [
        msgspec.structs.replace(
            finding, severity="note", message=f"{finding.message} (kept by a reviewer)"
        )
        if finding.code in theirs and finding.rows and {*finding.rows} <= {*kept_by_person}
        else finding
        for finding in found
    ]


def _finding(
    code: str, severity: Severity, message: str, remedy: str, rows: Sequence[Conversation] = ()
) -> Finding:
    places = tuple(str(row.source) for row in rows)
    return Finding(code, severity, message, remedy, places, len(places) or 1)


def _noise(rows: Sequence[Conversation], config: Config) -> list[Finding]:
    by_reason: dict[str, list[Conversation]] = defaultdict(list)
    for row, verdict in zip(rows, _filtered(rows, config), strict=True):
        if verdict:
            by_reason[verdict.reason].append(row)
    found = [
        _finding(reason, *_split_remedy(reason, len(concerned)), concerned)
        for reason, concerned in by_reason.items()
    ]
    kept = [
        row
        for row in (rows if config.curate.secrets == "keep" else ())
        if any(find_secrets(turn.text) for turn in row.turns)
    ]
    if kept:
        message = f"{_rows(len(kept))}: {REASONS['secret']}, kept because curate.secrets says so"
        remedy = 'set curate.secrets to "redact": a model can repeat what it was trained on'
        found.append(_finding("secret_kept", "warning", message, remedy, kept))
    return found


def _filtered(rows: Sequence[Conversation], config: Config) -> list[Verdict | None]:
    return filter_rows(rows, config.curate, config.persona)


def _split_remedy(reason: str, count: int) -> tuple[Severity, str, str]:
    severity, remedy = _ROW_REMEDIES[reason]
    return severity, f"{_rows(count)}: {REASONS[reason]}", remedy


def _duplicates(rows: Sequence[Conversation], config: Config) -> list[Finding]:
    exact, near = duplicate_pairs(rows, config.curate.near_threshold)
    found = []
    for code, pairs, word in (
        ("exact_duplicate", exact, "the same as"),
        ("near_duplicate", near, "nearly the same as"),
    ):
        concerned = [rows[i] for i in sorted({pair.right for pair in pairs})]
        if concerned:
            found.append(
                _finding(
                    code,
                    "warning",
                    f"{_rows(len(concerned))}: says {word} an earlier row",
                    "let curation keep the best of each group (`molting curate`)",
                    concerned,
                )
            )
    return found


def _held_out(
    rows: Sequence[Conversation], held_out: Sequence[Conversation], config: Config
) -> list[Finding]:
    exact: dict[int, Conversation] = {}
    near: dict[int, Conversation] = {}
    for leak in leaks(rows, held_out, config.curate.near_threshold):
        (exact if leak.exact else near)[leak.left] = rows[leak.left]
    for i in exact:
        near.pop(i, None)
    remedy = "keep evaluation prompts out of training, or the score measures memory"
    found = []
    if exact:
        message = f"{_rows(len(exact))}: an evaluation prompt or reply stands in training"
        found.append(_finding("eval_prompt_exact", "error", message, remedy, list(exact.values())))
    if near:
        message = f"{_rows(len(near))}: nearly an evaluation prompt or reply"
        found.append(_finding("eval_prompt_near", "error", message, remedy, list(near.values())))
    return found


def _persona(rows: Sequence[Conversation], config: Config) -> list[Finding]:
    replied = [row for row in rows if row.reply.strip()]
    found = []
    name = [word for word in words(config.persona.name) if len(word) >= 3]
    said = any(part in words(reply) for row in replied for reply in row.replies for part in name)
    if name and replied and not said:
        found.append(
            _finding(
                "persona_name_absent",
                "warning",
                f"no reply says the persona's name ({config.persona.name})",
                "add a few rows that ask who it is, or it will not know",
            )
        )
    clean = [
        row for row, verdict in zip(replied, _filtered(replied, config), strict=True)
        if verdict is None
    ]  # fmt: skip
    scores = score_rows(clean, config.curate.seed)
    bland = [
        row
        for row, score in zip(clean, scores, strict=True)
        if score.voice is not None and score.voice < NO_PERSONA_VOICE
    ]
    if bland:
        found.append(
            _finding(
                "persona_not_shown",
                "warning",
                f"{_rows(len(bland))}: the reply shows nothing of the persona's voice",
                "rewrite in the persona's voice, or set curate.target so that the best are kept",
                bland,
            )
        )
    return found


def _steps(rows: Sequence[Conversation], config: Config) -> list[Finding]:
    train = config.train
    count = sum(bool(row.reply.strip()) for row in rows)
    if not count:
        return []
    found = []
    warmup, total = warmup_and_total(count, train)
    # Rounded up to a step, as the schedule rounds.
    if warmup > math.ceil(LONG_WARMUP_SHARE * total):
        found.append(
            _finding(
                "warmup_too_long",
                "error",
                f"the learning rate still rises for {warmup} of {total} steps",
                "set train.warmup_share to 0.1 or less",
            )
        )
    if train.batch_rows > count:
        found.append(
            _finding(
                "batch_larger_than_data",
                "error",
                f"a batch of {train.batch_rows} rows is larger than the {count} rows there are",
                f"set train.batch_rows to {max(1, min(8, count // 8))}",
            )
        )
    return found


def _template(renderer: Renderer) -> list[Finding]:
    """Markers that the template writes must be single tokens of this tokenizer."""
    sample = Conversation((Turn("user", "a"), Turn("assistant", "b")), Source("sample", 1))
    try:
        text = renderer.row(sample, 1 << 20).text
    except InputError as error:
        return [_finding("template_refuses", "error", str(error), "use another base model")]
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
            _finding(
                "foreign_template",
                "error",
                f"the chat template writes {', '.join(split)}, which this tokenizer splits into "
                "plain tokens: it belongs to another model family",
                "use the model's own chat template",
            )
        )
    if renderer.end_of_turn is None:
        found.append(
            _finding(
                "no_end_of_turn",
                "warning",
                "the chat template writes no end-of-turn token; the tokenizer's own is added",
                "check with `molting check --preview` that the last trained token ends the turn",
            )
        )
    return found


def _rendering(
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
        _finding(
            code, severity, f"{_rows(len(concerned[code]))}: {message}", remedy, concerned[code]
        )
        for code, (severity, message, remedy) in messages.items()
        if concerned[code]
    ]
    if tokens and trained / tokens < LOW_TRAINED_SHARE:
        found.append(
            _finding(
                "low_trained_share",
                "warning",
                f"only {trained / tokens:.1%} of {tokens:,} tokens are replies; the rest is read, "
                "not learned",
                "shorten prompts and system turns, or merge what repeats",
            )
        )
    return found


def _no_room(
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
        _finding(
            "held_out_prompt_too_long",
            "error",
            f"{_rows(len(concerned))}: with the persona, the held-out prompt leaves no room for a "
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


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
