"""`molting questionnaire`: what a molt says of itself, and how far that can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from molting.cli.console import Terminal, out, print_json
from molting.core.project import open_project, project_lock
from molting.flow import questioned

_NAMES = {
    "base": "untouched base",
    "prompted": "base + prompt",
    "tuned": "tuned",
    "tuned_prompted": "tuned + prompt",
}


def run_questionnaire(folder: Path, number: int | None, items: Path | None, as_json: bool) -> None:
    from molting.evaluate.questionnaire import DOMAINS, RELIABLE
    from molting.report.page import write_report

    project = open_project(folder)
    molt = project.molt(number)
    with Terminal() as terminal, project_lock(project):
        result = questioned(project, molt, items, terminal)
        terminal.say(f"report: {write_report(project, molt)}")
    if as_json:
        print_json({"molt": molt.number} | result)
        return
    domains = [domain for domain in DOMAINS if domain in result["alpha"]]
    table = Table(
        title=f"{result['items']} items, expected answer 1–5, ± half the 95 % interval over items",
        box=SIMPLE,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for system in result["systems"]:
        table.add_column(_NAMES[system], justify="right", min_width=10)
    table.add_column("alpha", justify="right")
    for domain in domains:
        cells = [_interval(values["domains"][domain]) for values in result["systems"].values()]
        table.add_row(DOMAINS[domain], *cells, _number(result["alpha"][domain]))
    for key, label in (
        ("acquiescence", "acquiescence"),
        ("order_effect", "order effect"),
        ("order_correlation", "orders agree (r)"),
    ):
        cells = [_number(values[key]) for values in result["systems"].values()]
        table.add_row(label, *cells, "")
    weak = [
        DOMAINS[d] for d in domains if result["alpha"][d] is None or result["alpha"][d] < RELIABLE
    ]
    console = out()
    console.print(table)
    console.print(
        "A description of what the model says of itself, no part of the score. "
        + (
            f"Not reliable here (alpha below {RELIABLE}): {', '.join(weak)}."
            if weak
            else f"Alpha is at least {RELIABLE} on every scale."
        ),
        markup=False,
        soft_wrap=True,
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value + 0.0:.2f}"


def _interval(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None or estimate["low"] is None:
        return "unknown"
    return f"{estimate['value']:.2f} ±{(estimate['high'] - estimate['low']) / 2:.2f}"
