"""`molting signals`: what can be said of every row, in numbers and in marked words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from molting.cli.console import Terminal, out, print_json
from molting.cli.inputs import rows_of
from molting.cli.settings import apply_settings
from molting.core.config import Config
from molting.core.conversation import Conversation
from molting.core.progress import Progress
from molting.core.project import Project
from molting.curate.describe import RowSignals, describe_all, summarise

_SHOWN = 3
_STYLES = {"secret": "red", "toxicity": "red", "noise": "yellow", "loop": "yellow"}


def run_signals(
    paths: Sequence[Path],
    settings: Sequence[str],
    perplexity: bool,
    every_row: bool,
    model: str,
    as_json: bool,
) -> None:
    from molting.cli.inputs import project_of
    from molting.curate.selection import score_rows

    project = project_of(paths)
    with Terminal() as terminal:
        rows, found_config = rows_of(paths, terminal)
        config = apply_settings(found_config or Config(), settings)
        if model:
            config = apply_settings(config, [f'base.model="{model}"'])
        voice = [score.voice for score in score_rows(rows, config.curate.seed)]
        tokens = difficulty = None
        if perplexity:
            tokens, difficulty = _model(config, project, terminal)
        signals = describe_all(
            rows,
            config.persona,
            tokens=tokens,
            voice=voice,
            difficulty=difficulty,
            report=lambda done, total: terminal.step("looking", done, total),
        )
    # Without a persona nobody has said which language the rows should have.
    language = config.persona.language if found_config else None
    summary = summarise(signals, language)
    if as_json:
        listed = [msgspec.to_builtins(one) | {"flags": one.flags(language)} for one in signals]
        print_json(summary | {"signals": listed})
        return
    if every_row:
        for one in signals:
            out().print(_line(one, language), soft_wrap=True)
    _print(summary, signals, rows, language)


def _model(config: Config, project: Project | None, terminal: Progress) -> tuple[Any, Any]:
    """A token counter and a function that measures difficulty, remembered in the project."""
    from molting.memory.store import project_memory
    from molting.models.base import load_model
    from molting.models.machine import choose_dtype
    from molting.models.render import Renderer
    from molting.models.sources import find_model
    from molting.signals.difficulty import Difficulty, difficulties

    source = find_model(config.base.model, config.base.revision, terminal)
    base = load_model(source, choose_dtype(config.base.dtype))
    renderer = Renderer(base.tokenizer)

    def tokens(text: str) -> int:
        return len(base.tokenizer(text, add_special_tokens=False)["input_ids"])

    def difficulty(rows: Sequence[Conversation]) -> list[Difficulty]:
        memory = project_memory(project) if project else None
        try:
            return difficulties(
                rows, base, renderer, config.train.max_tokens, memory,
                lambda done, total: terminal.step("losses under the base model", done, total),
            )  # fmt: skip
        finally:
            if memory:
                memory.close()

    return tokens, difficulty


def _line(one: RowSignals, language: str | None) -> Text:
    """One row: place, the numbers that were measured, flags."""
    numbers = {
        "words": f"{one.reply_words}",
        "share": _number(one.reply_share),
        "lang": one.language,
        "novelty": _number(one.novelty),
        "voice": _number(one.voice),
        "ppl": _number(one.perplexity, 1),
        "ifd": _number(one.ifd),
    }
    line = Text(f"{one.source}  ")
    line.append("  ".join(f"{key} {value}" for key, value in numbers.items() if value), style="dim")
    flags = one.flags(language)
    for flag in flags:
        line.append(f"  {flag}", style=_STYLES.get(flag.partition(":")[0], "cyan"))
    return line


def _print(
    summary: dict[str, Any],
    signals: Sequence[RowSignals],
    rows: Sequence[Conversation],
    language: str | None,
) -> None:
    table = Table("signal", "n", "5 %", "25 %", "median", "75 %", "95 %", title="numbers")
    for name, values in summary["numbers"].items():
        shown = [
            _number(values[p], 2) or "not measured" for p in ("p5", "p25", "p50", "p75", "p95")
        ]
        table.add_row(
            name, str(values["n"]), *(shown if values["n"] else ["not measured", *[""] * 4])
        )
    out().print(table)
    flagged = Table("flag", "rows", "for example", title="flagged")
    for flag, count in summary["flagged"].items():
        examples = [
            (one, row)
            for one, row in zip(signals, rows, strict=True)
            if flag in one.flags(language)
        ][:_SHOWN]
        flagged.add_row(
            flag, str(count), Text("\n").join(_example(one, row, flag) for one, row in examples)
        )
    out().print(flagged)
    languages = ", ".join(f"{code} {count}" for code, count in summary["languages"].items())
    grades = ", ".join(f"{name} {count}" for name, count in summary["toxicity"].items())
    out().print(f"{summary['rows']} rows · languages: {languages} · toxic words: {grades}")


def _example(one: RowSignals, row: Conversation, flag: str) -> Text:
    """Where it is and the words themselves, but never a secret's."""
    line = Text(f"{one.source} ", style="dim")
    mark = next((m for m in one.marks if m.flag == flag), None)
    if mark is None:
        return line
    if mark.signal == "secret":
        line.append(f"turn {mark.turn}, {mark.start}–{mark.end}")
        return line
    words = row.turns[mark.turn].text[mark.start : mark.end]
    # Marked words may lie beside a secret, never over one.
    from molting.signals.secrets import redact

    shown = " ".join(redact(words).text.split())
    line.append(shown if len(shown) <= 50 else shown[:49] + "…")
    return line


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"
