"""What would go wrong in training, found before it starts.

Each fault here cost the predecessor months of silent failure: replies beyond the length cut,
another family's template, a stop token that was never trained, a warm-up half the run long,
evaluation questions in the training set, error messages taken for replies.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from molting.core.config import Config
from molting.core.conversation import Conversation, Verdict
from molting.core.schedule import warmup_and_total
from molting.curate.filters import REASONS, filter_rows
from molting.curate.findings import Finding, Severity, new_finding, told_rows
from molting.curate.grouping import duplicate_pairs, leaks
from molting.curate.kinds import kind_faults
from molting.curate.preflight_tokens import (
    rendering_findings,
    room_findings,
    template_findings,
)
from molting.curate.selection import score_rows
from molting.models.render import Renderer
from molting.signals.secrets import find_secrets
from molting.signals.text import words

LONG_WARMUP_SHARE = 0.2
NO_PERSONA_VOICE = 0.05


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
        *(new_finding(*fault) for fault in kind_faults(rows, config)),
        *_held_out(rows, held_out, config),
        *_persona(rows, config),
        *_steps(rows, config),
    ]
    if renderer is not None:
        found += template_findings(renderer)
        found += rendering_findings(rows, config, renderer, context_tokens)
        if context_tokens:
            found += room_findings(held_out, config, renderer, context_tokens)
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda f: (order[f.severity], f.code))


def _noise(rows: Sequence[Conversation], config: Config) -> list[Finding]:
    by_reason: dict[str, list[Conversation]] = defaultdict(list)
    for row, verdict in zip(rows, _filtered(rows, config), strict=True):
        if verdict:
            by_reason[verdict.reason].append(row)
    found = [
        new_finding(reason, *_split_remedy(reason, len(concerned)), concerned)
        for reason, concerned in by_reason.items()
    ]
    kept = [
        row
        for row in (rows if config.curate.secrets == "keep" else ())
        if any(find_secrets(turn.text) for turn in row.turns)
    ]
    if kept:
        message = (
            f"{told_rows(len(kept))}: {REASONS['secret']}, kept because curate.secrets says so"
        )
        remedy = 'set curate.secrets to "redact": a model can repeat what it was trained on'
        found.append(new_finding("secret_kept", "warning", message, remedy, kept))
    return found


def _filtered(rows: Sequence[Conversation], config: Config) -> list[Verdict | None]:
    return filter_rows(rows, config.curate, config.persona)


def _split_remedy(reason: str, count: int) -> tuple[Severity, str, str]:
    severity, remedy = _ROW_REMEDIES[reason]
    return severity, f"{told_rows(count)}: {REASONS[reason]}", remedy


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
                new_finding(
                    code,
                    "warning",
                    f"{told_rows(len(concerned))}: says {word} an earlier row",
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
        message = f"{told_rows(len(exact))}: an evaluation prompt or reply stands in training"
        found.append(
            new_finding("eval_prompt_exact", "error", message, remedy, list(exact.values()))
        )
    if near:
        message = f"{told_rows(len(near))}: nearly an evaluation prompt or reply"
        found.append(new_finding("eval_prompt_near", "error", message, remedy, list(near.values())))
    return found


def _persona(rows: Sequence[Conversation], config: Config) -> list[Finding]:
    replied = [row for row in rows if row.reply.strip()]
    found = []
    name = [word for word in words(config.persona.name) if len(word) >= 3]
    said = any(part in words(reply) for row in replied for reply in row.replies for part in name)
    if name and replied and not said:
        found.append(
            new_finding(
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
            new_finding(
                "persona_not_shown",
                "warning",
                f"{told_rows(len(bland))}: the reply shows nothing of the persona's voice",
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
            new_finding(
                "warmup_too_long",
                "error",
                f"the learning rate still rises for {warmup} of {total} steps",
                "set train.warmup_share to 0.1 or less",
            )
        )
    if train.batch_rows > count:
        found.append(
            new_finding(
                "batch_larger_than_data",
                "error",
                f"a batch of {train.batch_rows} rows is larger than the {count} rows there are",
                f"set train.batch_rows to {max(1, min(8, count // 8))}",
            )
        )
    return found
