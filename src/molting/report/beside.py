"""The part of the page beside the score: what was lost, other measures of the voice, self-description."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from molting.report.gates import summarize_gates

SCALES = {
    "N": "Neuroticism",
    "E": "Extraversion",
    "O": "Openness",
    "A": "Agreeableness",
    "C": "Conscientiousness",
}
_LINES = (("base", "untouched base", "soft"), ("prompted", "base + prompt", "second"),
          ("tuned", "tuned", "accent"))  # fmt: skip
_CONDITIONS = {
    "stop": "asked to stop role-playing",
    "prefill": "the reply begun in an assistant’s words",
    "drift": "after four neutral exchanges",
}
_RIVALS = {
    "base": "the base’s own reply",
    "neutral": "a neutral assistant",
    "other": "its own reply to another prompt",
    "persona": "another persona",
}
_WHOM = {"base": "the untouched base", "prompted": "base + prompt"}


def render_beside(summary: Mapping[str, Any]) -> str:
    """Two sections of HTML, autoescaped; `summary` is what `summarize` gives."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("molting.report").joinpath("beside.html").read_text("utf-8")
    return environment.from_string(source).render(
        name=summary["persona"],
        gates=[_gate(gate) for gate in summarize_gates(summary)],
        measures=measures(summary),
        copying=summary.get("copying"),
        diversity=summary.get("diversity"),
        percent=_percent,
        number=_number,
        described=_described(summary.get("questionnaire")),
        opinions=opinions(summary),
    )


def measures(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Rows of the table of other measures: what, figure with interval, n, what it means."""
    rows = []
    gain = summary.get("likelihood_gain")
    if gain:
        parts = (
            f"on the persona’s words {_told(gain['persona'])}, on the base’s own replies "
            f"{_told(gain['neutral'])} nats a token"
        )
        rows.append(("Likelihood gain L", _told(gain["gain"]), _count(gain["gain"]), parts))
    choice = summary.get("forced_choice")
    if choice:
        parts = "; ".join(
            f"{_RIVALS[rival]}: {_percent(values['base'])} → {_percent(values['tuned'])}"
            for rival, values in choice["by_rival"].items()
        )
        rows.append(
            ("Forced choice F, gain", _told(choice["gain"]), _count(choice["gain"]),
             f"F {_told(choice['base'])} → {_told(choice['tuned'])}. Its own reply wins against: {parts}")
        )  # fmt: skip
    for condition, values in (summary.get("robustness") or {}).items():
        rows.append(
            (f"Robustness R, {_CONDITIONS[condition]}", _told(values["kept"]),
             _count(values["kept"]),
             f"V {_told(values['plain'])} → {_told(values['voice'])} on these prompts"
             + _left_out(values.get("no_room", 0)))
        )  # fmt: skip
    found = summary.get("projection")
    if found:
        parts = f"split-half cosine {found['reliability']:.2f}, permutation p {found['p']:.3f}"
        if not found["measured"]:
            parts += ": too unreliable a direction to measure by"
        rows.append(("Projection P", _told(found["tuned"]), str(found["n"]), parts))
    return rows


def opinions(summary: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str, str]], str]]:
    """Who compared replies, (what, figure with interval, n) each, and what to think of them.

    A judge that failed its test is named, with the reasons and without its figures.
    """
    found = []
    judge = summary.get("judge")
    if judge:
        calibration, agreed = judge["calibration"], judge["agreement_with_voice"]
        rows = [
            *_preferred(judge["wins_over"]),
            ("agrees with the voice detector", *_estimate(agreed["share"] if agreed else None)),
            ("κ between the two orders", *_estimate(calibration["kappa"])),
        ]
        note = (
            f"passed its test on {calibration['n']} known-bad replies"
            if judge["headline"]
            else "failed its test, so its figures are not shown: it "
            + "; it ".join(calibration["reasons"])
        )
        found.append(
            (f"The judge {judge['judge']['model']}", rows if judge["headline"] else [], note)
        )
    people = summary.get("people")
    if people:
        agreed = people["agreement_with_voice"]
        rows = [
            *_preferred(people["wins_over"]),
            ("agree with the voice detector", *_estimate(agreed["share"] if agreed else None)),
            ("chose the left reply", *_estimate(people["left_chosen"])),
        ]
        # A page is passed on; who voted is nobody's business there.
        number = {name: i for i, name in enumerate(people["voters"], 1)}
        rows += [
            (f"κ between voters {' and '.join(str(number[name]) for name in pair['voters'])}",
             *_estimate(pair["kappa"]))
            for pair in people["between_voters"]
        ]  # fmt: skip
        voters = len(number)
        note = (
            f"{people['votes']} votes by {voters} {'person' if voters == 1 else 'people'}, "
            f"{people['ties']} of them ties; nobody saw which reply was whose"
        )
        found.append(("People", rows, note))
    return found


def _preferred(wins: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (f"prefer the tuned model to {_WHOM.get(rival, rival)}", *_estimate(won))
        for rival, won in wins.items()
        if won["value"] is not None
    ]


def _estimate(estimate: Mapping[str, Any] | None) -> tuple[str, str]:
    return _told(estimate), _count(estimate)


def profile_plot(described: Mapping[str, Any] | None) -> str | None:
    """SVG of the five scales, None without a questionnaire."""
    from molting.report.plots import Profile, profile

    if not described:
        return None
    scales = [scale for scale in SCALES if scale in described["alpha"]]
    lines = [
        Profile(label, [described["systems"][key]["domains"].get(s) for s in scales], colour)
        for key, label, colour in _LINES
        if key in described["systems"]
    ]
    return profile([SCALES[scale] for scale in scales], lines, "profile")


def _described(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    from markupsafe import Markup

    if not found:
        return None
    plot = profile_plot(found)
    return {
        "plot": None if plot is None else Markup(plot),
        "items": found["items"],
        "administrations": found["administrations"],
        "rows": [
            (SCALES[scale],
             [_told(found["systems"][key]["domains"][scale]) for key, _, _ in _LINES],
             _number(found["alpha"][scale]))
            for scale in SCALES if scale in found["alpha"]
        ],
        "trust": [
            (label, [_number(found["systems"][key][what]) for key, _, _ in _LINES])
            for what, label in (
                ("acquiescence", "Acquiescence (0: none)"),
                ("order_effect", "Effect of the options’ order, in answers"),
                ("order_correlation", "Correlation of the two orders"),
            )
        ],
        "systems": [label for _, label, _ in _LINES],
    }  # fmt: skip


def _gate(gate: Any) -> dict[str, Any]:
    mark = {True: ("right", "✓ within the margin"), False: ("wrong", "✗ lost"),
            None: ("", "? undecided")}[gate.passed]  # fmt: skip
    change = gate.change
    told = "not measured"
    if change["value"] is not None:
        told = _signed(change["value"])
        if change["low"] is not None:
            told += f" [{_signed(change['low'])}, {_signed(change['high'])}]"
    return {
        "label": gate.label,
        "shown": gate.shown,
        "change": told,
        "margin": f"−{100 * gate.margin:.0f}",
        "n": gate.n,
        "class": mark[0],
        "mark": mark[1],
    }


def _signed(value: float) -> str:
    return f"{100 * value + 0.0:+.1f}".replace("-", "−").replace("+0.0", "0.0")


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _count(estimate: Mapping[str, Any] | None) -> str:
    return "not measured" if estimate is None else str(estimate["n"])


def _left_out(count: int) -> str:
    return f"; {count} left no room in the model’s context" if count else ""


def _told(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "not measured"
    if estimate["low"] is None or estimate["high"] is None:
        return f"{_number(estimate['value'])} (no interval)"
    return f"{_number(estimate['value'])} [{_number(estimate['low'])}, {_number(estimate['high'])}]"
