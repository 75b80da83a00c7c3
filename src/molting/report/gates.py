"""The gates beside the score, read from an evaluation: what was lost, and what it does to a verdict.

A gate's change is in the direction where more is better: points of accuracy, or the share by which
perplexity fell, copying fell, or variety grew. `passed` is as in evaluate/paired.py: None is
undecided, which neither clears a tune nor flags it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

HELD_OUT = "held_out"
"""The persona's own text that training did not see. A tune that makes it less likely than the
untouched model does has its rows by heart; V, which hears replies only, cannot know."""
_NAMES = {
    HELD_OUT: "the persona’s held-out text",
    "neutral_perplexity": "neutral assistant text",
    "grammar": "grammar",
    "everyday": "everyday questions",
    "copying": "copying of training rows",
    "diversity": "variety of words",
}
_EARNED = ("yes", "partly")
"""Verdicts that claim a voice; a price is weighed against them."""


class Gate(msgspec.Struct, frozen=True):
    """One gate, as tables show it."""

    name: str
    label: str
    shown: str
    """Base → tuned (for copying and variety: the persona's own text → tuned)."""
    change: dict[str, float | None]
    """value, low, high; more is better."""
    margin: float
    """How far the change may fall below 0."""
    n: int
    passed: bool | None


def summarize_gates(result: Mapping[str, Any]) -> list[Gate]:
    """Every gate that the evaluation has, in its order."""
    found = _held_out(result.get("perplexity") or {})
    found += [
        _retained(name, entry)
        for name, entry in (result.get("retention") or {}).items()
        if "margin" in entry
    ]
    copying, diversity = result.get("copying"), result.get("diversity")
    if copying:
        found.append(
            Gate(
                "copying",
                _NAMES["copying"],
                f"{_percent(copying['held_out_text'])} → {_percent(copying['tuned'])}",
                _turned(copying["excess"], lambda value: -value),
                copying["margin"],
                copying["n"],
                copying["passed"],
            )
        )
    if diversity:
        values = diversity["distinct_2"]
        found.append(
            Gate(
                "diversity",
                _NAMES["diversity"],
                f"{_number(values.get('held_out_text'))} → {_number(values.get('tuned'))}",
                _turned(diversity["tuned_over_own"], lambda value: value - 1),
                diversity["margin"],
                diversity["n"],
                diversity["passed"],
            )
        )
    return found


def lost(result: Mapping[str, Any]) -> list[str]:
    """Labels of the gates that failed."""
    return [gate.label for gate in summarize_gates(result) if gate.passed is False]


def weigh(verdict: dict[str, Any] | None, result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The verdict with what was lost beside it: `lost`; where a voice was claimed, `at_a_cost`, or
    `overtrained` when the persona's own held-out text is what became less likely."""
    if verdict is None:
        return None
    gates = [gate for gate in summarize_gates(result) if gate.passed is False]
    weighed = verdict | {"lost": [gate.name for gate in gates]}
    if not gates:
        return weighed
    claimed = verdict["code"] in _EARNED
    by_heart = [gate for gate in gates if gate.name == HELD_OUT and claimed]
    for gate in by_heart:
        weighed["sentence"] += (
            " But what the persona says elsewhere has become less likely than for the untouched "
            f"model ({gate.shown}), as when rows are learned by heart. Train for fewer epochs, at a "
            "lower rate, or on more rows."
        )
    told = "; ".join(f"{gate.label} {gate.shown}" for gate in gates if gate not in by_heart)
    if told:
        weighed["sentence"] += f" It has cost more than the margin allows: {told}."
    if claimed:
        weighed["code"] = "overtrained" if by_heart else "at_a_cost"
    return weighed


def _held_out(found: Mapping[str, Any]) -> list[Gate]:
    """Held-out replies: the one gate that must not fall at all."""
    ratio = found.get("tuned_over_base")
    if not ratio:
        return []
    change = _turned(ratio, lambda value: 1 - value)
    return [
        Gate(
            HELD_OUT,
            _NAMES[HELD_OUT],
            f"perplexity {_number(found['base'])} → {_number(found['tuned'])}",
            change,
            0.0,
            ratio["n"],
            _above_nothing(change),
        )
    ]


def _above_nothing(change: Mapping[str, float | None]) -> bool | None:
    """Whether the change surely lies above 0 (True) or below (False); None where it may be either."""
    low, high = change["low"], change["high"]
    if low is None or high is None:
        return None
    if low > 0:
        return True
    return False if high < 0 else None


def _retained(name: str, entry: Mapping[str, Any]) -> Gate:
    base, accuracy = entry["base"], entry["measure"] == "accuracy"
    values = {key: entry[key] for key in ("low", "high")} | {"value": entry["tuned"]}
    if accuracy:
        change = _turned(values, lambda value: value - base)
        shown = f"{_percent(base)} → {_percent(entry['tuned'])}"
    else:
        change = _turned(values, lambda value: 1 - value / base)
        shown = f"perplexity {_number(base)} → {_number(entry['tuned'])}"
    # What is measured is said behind it.
    label = _NAMES.get(name, name.removesuffix("_perplexity").replace("_", " "))
    return Gate(name, label, shown, change, entry["margin"], entry["n"], entry["passed"])


def _turned(values: Mapping[str, Any], turn: Any) -> dict[str, float | None]:
    """An estimate through a monotone function; where it falls, low and high change places."""
    turned = {
        key: None if values[key] is None else float(turn(values[key]))
        for key in ("value", "low", "high")
    }
    low, high = turned["low"], turned["high"]
    if low is not None and high is not None:
        turned["low"], turned["high"] = min(low, high), max(low, high)
    return turned


def _percent(value: float | None) -> str:
    return "not measured" if value is None else f"{100 * value:.0f} %"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"
