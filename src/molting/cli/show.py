"""`molting show`: everything measured about a molt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from molting.cli.console import out, print_json
from molting.core.project import Molt, Project, open_project
from molting.report.beside import measures
from molting.report.gates import summarize_gates
from molting.report.summary import summarize

_NAMES = {
    "base": "untouched base",
    "prompted": "base + prompt",
    "tuned": "tuned",
    "tuned_prompted": "tuned + prompt",
    "held_out_text": "own text",
}
_DIMENSIONS = ("identity", "facts", "voice", "cleanliness", "quality")


def run_show(folder: Path, number: int | None, as_json: bool) -> None:
    project = open_project(folder)
    show_molt(project, project.molt(number), as_json)


def show_molt(project: Project, molt: Molt, as_json: bool) -> None:
    summary = summarize(project, molt)
    if as_json:
        print_json(summary)
        return
    console = out()
    console.print()
    verdict = summary["verdict"]
    console.print(
        f"[bold]{summary['persona']}[/bold] · molt {summary['molt']} · {summary['base']}", style=""
    )
    console.print(
        verdict["sentence"] if verdict else "not evaluated yet: `molting evaluate`", markup=False
    )
    console.print()
    for table in _scores(summary):
        console.print(table)
    console.print(_facts(summary), markup=False, soft_wrap=True)


def _scores(summary: dict[str, Any]) -> list[Table]:
    """Scores and dimensions apart: side by side they would be cut off at eighty columns."""
    scores = Table(
        title="personality 0–10, voice V (base 0, own text 1), 95 % intervals",
        box=SIMPLE,
        pad_edge=False,
    )
    scores.add_column("")
    for name in ("score", "V", "V body"):
        scores.add_column(name, justify="right")
    parts = Table(title="the five dimensions, 0–10", box=SIMPLE, pad_edge=False)
    parts.add_column("")
    for name in _DIMENSIONS:
        parts.add_column(name, justify="right")
    for key, label in _NAMES.items():
        score = summary["personality"].get(key)
        own = key == "held_out_text"
        scores.add_row(
            label,
            _interval(score, "score", 1),
            "1" if own else _interval(summary["voice"].get(key), "value", 2),
            "1" if own else _interval(summary["voice"].get(f"{key}_body"), "value", 2),
        )
        dimensions = score["dimensions"] if score else {}
        parts.add_row(label, *(_number(dimensions.get(name), 1) for name in _DIMENSIONS))
    return [scores, parts]


def _facts(summary: dict[str, Any]) -> str:
    corpus, train, perplexity = summary["corpus"], summary["train"], summary["perplexity"]
    overlap, voice = summary["overlap"], summary["voice"]
    prompts = summary["prompts"] or {}
    neutral = summary["retention"].get("neutral_perplexity") or {}
    lines = [
        f"prompts      {_number(prompts.get('voice'), 0)} held-out for voice, "
        f"{_number(prompts.get('identity'), 0)} about identity, {_number(prompts.get('facts'), 0)} "
        f"about facts; detector AUC {_number(voice.get('detector_auc'), 2)}",
        f"perplexity   held-out replies {_number(perplexity.get('base'), 2)} → "
        f"{_number(perplexity.get('tuned'), 2)} (a prompt gives "
        f"{_number(perplexity.get('prompted'), 2)}; n={_number(perplexity.get('n'), 0)}); neutral text "
        f"{_number(neutral.get('base'), 2)} → {_number(neutral.get('tuned'), 2)}",
        f"corpus       {corpus['rows_in']} rows in, {corpus['kept']} kept: "
        + ", ".join(f"{n} {name}" for name, n in corpus["splits"].items()),
        f"training     {train['trainable_parameters']:,} of {train['total_parameters']:,} parameters, "
        f"{train['epochs_run']} epochs (best: {train['best_epoch']}), "
        f"{train['seconds'] / 60:.1f} min, stopped by {train['stopped_by']}",
        *_fast(train),
        f"overlap      {_number(overlap['train_eval_exact'], 0)} exact, "
        f"{_number(overlap['train_eval_near'], 0)} near: evaluation prompts that stand in training",
        *_beside(summary),
        *_opinions(summary),
        f"adapter      {summary['paths']['adapter']}",
        f"report       {summary['paths']['report'] or 'not written'}",
    ]
    return "\n".join(lines)


def _fast(train: dict[str, Any]) -> list[str]:
    if train.get("mode") != "fast":
        return []
    gap = train.get("gap_to_exact") or "not measured; `molting study layers` measures it"
    return [f"fast mode    quality gap to exact mode: {gap}"]


def _opinions(summary: dict[str, Any]) -> list[str]:
    """What a judge and people say, beside the score and never in it."""
    lines = []
    if judge := summary["judge"]:
        told = (
            f"prefers the tune to the base {_interval(judge['headline'], 'value', 2)}"
            if judge["headline"]
            else "failed its test, so what it says is not shown"
        )
        lines.append(f"judge        {judge['judge']['model']}: {told}")
    if people := summary["people"]:
        told = ", ".join(
            f"to the {rival} {_interval(won, 'value', 2)}"
            for rival, won in people["wins_over"].items()
            if won["value"] is not None
        )
        lines.append(f"people       prefer the tune {told or 'not measured'}")
    return lines


def _beside(summary: dict[str, Any]) -> list[str]:
    """Gates and other measures, a line each kind; nothing for what was not measured."""
    marks = {True: "kept", False: "LOST", None: "undecided"}
    gates = [
        f"{gate.label} {gate.shown} ({marks[gate.passed]}, n={gate.n})"
        for gate in summarize_gates(summary)
    ]
    lines = [f"{'' if i else 'gates':<12} {told}" for i, told in enumerate(gates)]
    return lines + [
        f"{'' if i else 'beside':<12} {what} {value} (n={n})"
        for i, (what, value, n, _) in enumerate(measures(summary))
    ]


def _number(value: Any, digits: int) -> str:
    # Adding 0 turns what rounds to −0 into 0.
    return "not measured" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def _interval(estimate: dict[str, Any] | None, key: str, digits: int) -> str:
    if not estimate or estimate[key] is None:
        return "not measured"
    if estimate["low"] is None:
        return _number(estimate[key], digits)
    value, low, high = (_number(estimate[name], digits) for name in (key, "low", "high"))
    return f"{value} [{low}, {high}]"
