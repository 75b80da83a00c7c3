"""`molting evaluate`: a molt against base and prompted base, or replies made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from molting.cli.console import Terminal, out, print_json
from molting.cli.settings import open_with
from molting.core.artifacts import write_bytes
from molting.core.errors import UsageError
from molting.core.project import project_lock


def run_evaluate(
    folder: Path,
    number: int | None,
    replies: Path | None,
    base_replies: Path | None,
    prompts: Path | None,
    settings: Sequence[str],
    as_json: bool,
) -> None:
    if base_replies is not None and replies is None:
        raise UsageError("--base-replies: goes with --replies FILE")
    if (replies or prompts) and number is not None:
        raise UsageError("--molt: replies made elsewhere are no molt's; leave one of the two out")
    if replies is not None and prompts is not None:
        raise UsageError("--write-prompts: writes what to answer; use --replies afterwards")
    if replies is not None:
        _outside(folder, replies, base_replies, settings, as_json)
    elif prompts is not None:
        _write_prompts(folder, prompts, settings, as_json)
    else:
        from molting.cli.stages import evaluate_molt

        evaluate_molt(folder, number, settings, as_json)


def _outside(
    folder: Path, replies: Path, base: Path | None, settings: Sequence[str], as_json: bool
) -> None:
    from molting.flow import scored_replies

    project = open_with(folder, settings)
    with Terminal() as terminal, project_lock(project):
        found = scored_replies(project, replies, base, terminal)
    found = {
        "persona": project.config.persona.name,
        "replies": replies.name,
        "base": base.name if base else project.config.base.model,
    } | found
    if as_json:
        print_json(found)
        return
    _print(found)


def _write_prompts(folder: Path, target: Path, settings: Sequence[str], as_json: bool) -> None:
    from molting.evaluate.outside import prompts_to_answer
    from molting.flow import curated, read_inputs

    project = open_with(folder, settings)
    with Terminal() as terminal, project_lock(project):
        corpus = curated(project, read_inputs(project, terminal), terminal)
    prompts = prompts_to_answer(corpus, project.config)
    lines = [msgspec.json.encode({"prompt": prompt, "reply": ""}) + b"\n" for prompt in prompts]
    write_bytes(target, b"".join(lines))
    if as_json:
        print_json({"file": str(target), "prompts": len(prompts)})
        return
    out().print(
        f"{len(prompts)} prompts in {target}; fill in the replies of any model, then\n"
        f"molting evaluate {folder} --replies {target}",
        markup=False,
    )


def _print(found: dict[str, Any]) -> None:
    score, voice = found["personality"], found["voice"]
    table = Table(
        "", "value", "95 % interval", "n", title=f"{found['persona']}: {found['replies']}"
    )
    table.add_row("personality, 0–10", *_cells(score, "score", 1))
    for name, value in score["dimensions"].items():
        table.add_row(f"  {name}", "not measured" if value is None else f"{value:.1f}", "", "")
    table.add_row("voice V (base 0, own text 1)", *_cells(voice, "value", 2))
    table.add_row("  body", *_cells(voice["body"], "value", 2))
    two = found["caricature"]["two_sample_auc"]
    table.add_row("told from own text (AUC, 0.5 is not)", *_cells(two, "value", 2))
    out().print(table)
    for reason in voice["reasons"]:
        out().print(f"not measurable: {reason}", markup=False)
    for mannerism in found["caricature"]["over_used"][:5]:
        own = 100 * mannerism["own_share"]
        out().print(
            f'over-used: "{mannerism["phrase"]}" in {100 * mannerism["share"]:.0f} % of the '
            f"replies, {own:.0f} % of its own text",
            markup=False,
        )
    for note in found["notes"]:
        out().print(note, markup=False)


def _cells(value: dict[str, Any], key: str, digits: int) -> tuple[str, str, str]:
    if value[key] is None:
        return "not measured", "", str(value["n"])
    low, high = value["low"], value["high"]
    interval = "unknown" if low is None else f"{low:.{digits}f} to {high:.{digits}f}"
    return f"{value[key]:.{digits}f}", interval, str(value["n"])
