"""A language model as judge: blind, both orders, and itself judged first. Never part of the score.

The predecessor's judge knew the goal and flattered: its 8.2 became 4.5, then 0.75 (evidence.md).
Here known-bad replies are mixed in against the persona's own text. A judge that calls them good,
that does not prefer the persona's own text, that contradicts itself when the order is swapped, or
that favours a place, is named as such, and its numbers are no headline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.config import Judge
from molting.core.conversation import Conversation
from molting.core.errors import CheckFailed, TeacherFailed
from molting.core.persona import Persona
from molting.core.progress import Progress
from molting.evaluate.comparisons import (
    RIVALS,
    Pair,
    kappa,
    shown_prompt,
    voice_preference,
    win_rate,
)
from molting.evaluate.judge_prompt import SYSTEM, Grades, judge_prompt, read_grades
from molting.evaluate.known_bad import KNOWN_BAD
from molting.memory.store import Memory, key_of
from molting.models.teachers import Teacher
from molting.signals.stats import Array

GOOD = 5.0
"""A grade from here on calls a reply good."""
_MOST_BAD_CALLED_GOOD = 0.1
_LEAST_OWN_PREFERRED = 0.9
_LEAST_KAPPA = 0.4
_MOST_PLACE_BIAS = 0.2
_MOST_UNREADABLE = 0.05
_LINES = 12
"""Own lines of the persona that the judge is shown."""
_FAILURES_IN_A_ROW = 5


class Item(msgspec.Struct, frozen=True):
    """Two replies to one message. `left` is first in the first call, second in the second."""

    message: str
    kind: str
    """`base` or `prompted` (the tuned model's rival), or a kind of known-bad reply."""
    left: str
    right: str
    better: str
    """`left` or `right`: the tuned model's reply, or the persona's own text."""


class Judged(msgspec.Struct, frozen=True):
    """Grades of one item in both orders; None where the call failed or could not be read."""

    item: Item
    calls: tuple[Grades | None, Grades | None]

    @property
    def whole(self) -> bool:
        return all(call is not None for call in self.calls)

    def preferred(self, call: int) -> str:
        """`left`, `right` or `tie`."""
        grades = self.calls[call]
        assert grades is not None
        first, second = ("left", "right") if call == 0 else ("right", "left")
        if grades.first == grades.second:
            return "tie"
        return first if grades.first > grades.second else second

    def grade(self, better: bool) -> float:
        """Mean over both calls of the better or the other reply's grade."""
        one, two = self.calls
        assert one is not None
        assert two is not None
        left = (one.first + two.second) / 2
        right = (one.second + two.first) / 2
        return left if (self.item.better == "left") == better else right

    def win(self) -> float:
        """1 when the better reply is preferred, 0.5 in a tie; the mean of both calls."""
        value = {self.item.better: 1.0, "tie": 0.5}
        return (value.get(self.preferred(0), 0.0) + value.get(self.preferred(1), 0.0)) / 2


def make_items(
    pairs: Sequence[Pair],
    own: Sequence[Conversation],
    persona: Persona,
    options: Judge,
) -> list[Item]:
    """Comparisons and calibration rows in one random order, sides drawn by the seed."""
    random = np.random.default_rng(options.seed)
    kinds = list(KNOWN_BAD)
    drawn: list[tuple[str, str, str, str]] = [
        (shown_prompt(pair.prompt), pair.rival, pair.tuned, pair.other) for pair in pairs
    ]
    gold = [row for row in own if len(row.reply.split()) >= 8]
    if not gold:
        raise CheckFailed(
            "no held-out reply of the persona has eight words; no judge can be tested"
        )
    for place in range(options.calibration):
        row = gold[place % len(gold)]
        kind = kinds[place % len(kinds)]
        bad = KNOWN_BAD[kind](row.reply, persona, place)
        drawn.append((shown_prompt(row.context), kind, row.reply, bad))
    items = []
    for i in random.permutation(len(drawn)):
        message, kind, good, other = drawn[i]
        left = bool(random.integers(2))
        items.append(
            Item(
                message, kind, good if left else other, other if left else good,
                "left" if left else "right",
            )
        )  # fmt: skip
    return items


def own_lines(train: Sequence[Conversation], seed: int) -> tuple[str, ...]:
    """Lines that show the judge the voice, from training rows: none of them is ever judged."""
    order = np.random.default_rng(seed).permutation(len(train))[:_LINES]
    return tuple(train[i].reply[:400] for i in order)


class Calls(msgspec.Struct):
    """What became of the calls; a failure is not a verdict."""

    made: int = 0
    remembered: int = 0
    failed: int = 0
    unreadable: int = 0


def ask(
    items: Sequence[Item],
    teacher: Teacher,
    persona: Persona,
    lines: tuple[str, ...],
    memory: Memory | None,
    progress: Progress,
) -> tuple[list[Judged], Calls]:
    """Two calls an item, orders swapped; an answer that was paid for is remembered."""
    calls = Calls()
    found: list[Judged] = []
    in_a_row = 0
    for done, item in enumerate(items):
        progress.step("judge", done, len(items))
        grades: list[Grades | None] = []
        for first, second in ((item.left, item.right), (item.right, item.left)):
            prompt = judge_prompt(persona, lines, item.message, first, second)
            key = key_of("judge-1", teacher.id, SYSTEM, prompt)
            answer = memory.get([key]).get(key) if memory is not None else None
            if answer is not None:
                calls.remembered += 1
            else:
                calls.made += 1
                try:
                    answer = teacher.complete(SYSTEM, prompt)
                except TeacherFailed as error:
                    in_a_row += 1
                    if error.final or in_a_row >= _FAILURES_IN_A_ROW:
                        raise
                    calls.failed += 1
                    grades.append(None)
                    continue
                in_a_row = 0
                if memory is not None:
                    memory.put({key: answer})
            read = read_grades(answer)
            calls.unreadable += read is None
            grades.append(read)
        found.append(Judged(item, (grades[0], grades[1])))
    progress.step("judge", len(items), len(items))
    return found, calls


def report(
    judged: Sequence[Judged],
    calls: Calls,
    pairs: Sequence[Pair],
    voice: Callable[[Sequence[str]], Array] | None,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The judge's numbers, after what is to be thought of the judge."""
    known = [j for j in judged if j.whole]
    tests = [j for j in known if j.item.kind in KNOWN_BAD]
    calibration = _calibration(known, tests, calls, resamples, seed)
    wins = {}
    for rival in RIVALS:
        some = [j for j in known if j.item.kind == rival]
        wins[rival] = win_rate(
            [j.win() for j in some], [j.item.message for j in some], resamples, seed
        )
    grades = {
        name: win_rate([g for _, g in some], [m for m, _ in some], resamples, seed)
        for name, some in _grades(known, tests).items()
    }
    return {
        "calls": msgspec.to_builtins(calls),
        "calibration": calibration,
        "wins_over": msgspec.to_builtins(wins),
        "grades": msgspec.to_builtins(grades),
        "agreement_with_voice": _agreement(known, pairs, voice, resamples, seed),
        # A judge that fails is shown, and never quoted.
        "headline": msgspec.to_builtins(wins["base"]) if calibration["passed"] else None,
    }


def _calibration(
    known: Sequence[Judged], tests: Sequence[Judged], calls: Calls, resamples: int, seed: int
) -> dict[str, Any]:
    bad = [j.grade(better=False) for j in tests]
    called_good = float(np.mean([grade >= GOOD for grade in bad])) if bad else None
    own = (
        float(np.mean([j.preferred(0) == j.preferred(1) == j.item.better for j in tests]))
        if tests
        else None
    )
    between = kappa(
        [j.preferred(0) for j in known], [j.preferred(1) for j in known], resamples, seed
    )
    bias = win_rate(
        [_first_preferred(j) for j in known], [str(i) for i in range(len(known))], resamples, seed
    )
    total = calls.made + calls.remembered
    lost = (calls.failed + calls.unreadable) / total if total else 1.0
    reasons = []
    if len(tests) < len(KNOWN_BAD):
        reasons.append(f"only {len(tests)} known-bad replies could be judged")
    if called_good is not None and called_good > _MOST_BAD_CALLED_GOOD:
        reasons.append(f"calls {called_good:.0%} of the known-bad replies good (grade ≥ {GOOD:g})")
    if own is not None and own < _LEAST_OWN_PREFERRED:
        reasons.append(
            f"prefers the persona's own text to a known-bad reply in both orders only {own:.0%} "
            "of the time"
        )
    if between.value is None:
        reasons.append("gives every pair the same verdict")
    elif between.value < _LEAST_KAPPA:
        reasons.append(f"contradicts itself when the order is swapped (κ {between.value:.2f})")
    if bias.value is not None and abs(bias.value) > _MOST_PLACE_BIAS:
        place = "first" if bias.value > 0 else "second"
        reasons.append(f"favours the {place} reply (by {abs(bias.value):.2f})")
    if lost > _MOST_UNREADABLE:
        reasons.append(f"{lost:.0%} of the calls failed or could not be read")
    by_kind = {
        kind: float(np.mean([j.grade(better=False) for j in tests if j.item.kind == kind]))
        for kind in KNOWN_BAD
        if any(j.item.kind == kind for j in tests)
    }
    return {
        "passed": not reasons,
        "reasons": reasons,
        "n": len(tests),
        "known_bad_called_good": called_good,
        "known_bad_grades": by_kind,
        "own_text_preferred": own,
        "kappa": msgspec.to_builtins(between),
        "place_bias": msgspec.to_builtins(bias),
    }


def _first_preferred(judged: Judged) -> float:
    """How much the first place is favoured, from −1 to 1; 0 for who says the same in both orders."""
    sides = {"left": 1.0, "tie": 0.0, "right": -1.0}
    # Left is first in the first call and second in the second.
    return (sides[judged.preferred(0)] - sides[judged.preferred(1)]) / 2


def _grades(known: Sequence[Judged], tests: Sequence[Judged]) -> dict[str, list[tuple[str, float]]]:
    found: dict[str, list[tuple[str, float]]] = {
        "tuned": [(j.item.message, j.grade(better=True)) for j in known if j.item.kind in RIVALS]
    }
    for rival in RIVALS:
        found[rival] = [
            (j.item.message, j.grade(better=False)) for j in known if j.item.kind == rival
        ]
    found["own_text"] = [(j.item.message, j.grade(better=True)) for j in tests]
    found["known_bad"] = [(j.item.message, j.grade(better=False)) for j in tests]
    return found


def _agreement(
    known: Sequence[Judged],
    pairs: Sequence[Pair],
    voice: Callable[[Sequence[str]], Array] | None,
    resamples: int,
    seed: int,
) -> dict[str, Any] | None:
    """Does the judge prefer the reply that the voice detector takes for the persona's?"""
    if voice is None:
        return None
    said = {
        (shown_prompt(pair.prompt), pair.rival): preference
        for pair, preference in zip(pairs, voice_preference(pairs, voice), strict=True)
    }
    some = [j for j in known if j.item.kind in RIVALS]
    ours = [int(np.sign(j.win() - 0.5)) for j in some]
    theirs = [said[j.item.message, j.item.kind] for j in some]
    agreed = [float(a == b) for a, b in zip(ours, theirs, strict=True)]
    return {
        "share": msgspec.to_builtins(
            win_rate(agreed, [j.item.message for j in some], resamples, seed)
        ),
        "kappa": msgspec.to_builtins(kappa(ours, theirs, resamples, seed)),
    }
