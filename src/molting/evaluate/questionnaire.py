"""IPIP-NEO-120 by log-probability: a description of what a model says of itself, no part of the score.

Each item is put to the model as a chat turn with five lettered answers, in both orders and in two
wordings; a letter's share of the probability of the five is its weight, and the expected answer, 1 to
5, is the model's. Self-reports of models move with the order of the options and the wording (arXiv
2309.08163, 2305.14693), so the movement is shown beside the profile: acquiescence (agreeing with an
item and with its opposite), the effect of the order, and Cronbach's alpha over the administrations.
The items are those of the International Personality Item Pool (ipip.ori.org; Johnson 2014), which are
in the public domain.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from molting.core.config import Evaluate, read_text_input
from molting.core.conversation import Turn
from molting.core.errors import InputError
from molting.evaluate.systems import SYSTEMS, Speaker
from molting.models.render import Rendered
from molting.signals.stats import Array, cluster_bootstrap

DOMAINS = {
    "N": "Neuroticism",
    "E": "Extraversion",
    "O": "Openness",
    "A": "Agreeableness",
    "C": "Conscientiousness",
}
ANSWERS = (
    "very inaccurate",
    "moderately inaccurate",
    "neither accurate nor inaccurate",
    "moderately accurate",
    "very accurate",
)
_LETTERS = "ABCDE"
WORDINGS = (
    "How well does the statement describe you? Answer with one letter.\n{answers}\n\n"
    "Statement: I {item}.",
    "Pick the letter that says how accurate the sentence is about yourself.\n{answers}\n\n"
    'Sentence: "I {item}."',
)
_SAME = 0.01
"""A spread of the administrations' means, in answers, that is none."""
RELIABLE = 0.7
"""Alpha from which a scale is usually called reliable."""


class Statement(msgspec.Struct, frozen=True):
    """One item, written to go on after “I”."""

    text: str
    keyed: Literal["plus", "minus"]
    """Minus: agreeing speaks against the trait."""
    domain: Literal["N", "E", "O", "A", "C"]
    facet: int | None = None


def read_statements(path: Path | None) -> tuple[Statement, ...]:
    """The items of a JSON file (a list of text, keyed, domain), or the shipped IPIP-NEO-120."""
    if path is None:
        source = resources.files("molting.data").joinpath("ipip_neo_120.json")
        return msgspec.json.decode(source.read_bytes(), type=tuple[Statement, ...])
    text = read_text_input(path)
    try:
        found = msgspec.json.decode(text, type=tuple[Statement, ...])
    except msgspec.DecodeError as error:
        raise InputError(
            f"not a list of items with `text`, `keyed` (plus, minus) and `domain` (N, E, O, A, C): "
            f"{error}",
            file=path.name,
        ) from None
    if len(found) < 2:
        raise InputError("has fewer than two items", file=path.name)
    return found


def questionnaire(
    statements: Sequence[Statement], speaker: Speaker, options: Evaluate
) -> dict[str, Any]:
    """Profiles of the four systems, with what shows how far they can be trusted."""
    answers = {system: expected_answers(statements, speaker, system) for system in SYSTEMS}
    return describe(statements, answers, options)


def expected_answers(statements: Sequence[Statement], speaker: Speaker, system: str) -> Array:
    """Expected agreement, 1 to 5, shape (wordings, 2 orders, items)."""
    prompt = speaker.persona_prompt if system.endswith("prompted") else None
    letters = [
        tuple(speaker.base.tokenizer.encode(letter, add_special_tokens=False))
        for letter in _LETTERS
    ]
    nats: list[float] = []
    for wording in WORDINGS:
        for order in (ANSWERS, ANSWERS[::-1]):
            listed = "\n".join(f"{a}) {text}" for a, text in zip(_LETTERS, order, strict=True))
            rows = []
            for statement in statements:
                item = statement.text.strip().rstrip(".")
                asked = wording.format(answers=listed, item=item[:1].lower() + item[1:])
                ids = speaker.renderer.prompt((Turn("user", asked),), prompt)
                rows += [
                    Rendered((*ids, *letter), (False,) * len(ids) + (True,) * len(letter), False)
                    for letter in letters
                ]
            # One call an order: all its rows begin alike up to the statement, which is read once.
            losses = speaker.losses(system.startswith("tuned"), rows, f"questionnaire, {system}")
            nats += [loss.nats for loss in losses]
    shape = (len(WORDINGS), 2, len(statements), len(ANSWERS))
    logits = -np.array(nats).reshape(shape)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    # In the second order the first letter is the strongest agreement.
    shares[:, 1] = shares[:, 1, :, ::-1]
    return np.asarray(shares @ np.arange(1.0, 6.0), dtype=float)


def describe(
    statements: Sequence[Statement], answers: dict[str, Array], options: Evaluate
) -> dict[str, Any]:
    """From the answers of every system, each (wordings, orders, items)."""
    plus = np.array([statement.keyed == "plus" for statement in statements])
    domains = {
        domain: np.array([statement.domain == domain for statement in statements])
        for domain in DOMAINS
    }
    systems = {}
    for system, raw in answers.items():
        keyed = np.where(plus, raw, 6 - raw).mean((0, 1))
        systems[system] = {
            "domains": {
                domain: _mean(keyed[at], options) for domain, at in domains.items() if at.any()
            },
            # 0: agrees as much with an item as it disagrees with its opposite.
            "acquiescence": (
                float((raw[..., plus].mean() + raw[..., ~plus].mean()) / 2 - 3)
                if plus.any() and (~plus).any()
                else None
            ),
            "order_effect": float(np.abs(raw[:, 0] - raw[:, 1]).mean()),
            "order_correlation": _correlation(raw[:, 0].mean(0), raw[:, 1].mean(0)),
        }
    # Rows: every wording of every system. The orders are averaged first: what a letter's place does
    # to all items alike would pass for agreement between them.
    table = np.concatenate(
        [np.where(plus, raw.mean(1), 6 - raw.mean(1)) for raw in answers.values()]
    )
    return {
        "items": len(statements),
        "systems": systems,
        "alpha": {
            domain: cronbach_alpha(table[:, at]) for domain, at in domains.items() if at.any()
        },
        "administrations": len(table),
    }


def cronbach_alpha(table: Array) -> float | None:
    """Alpha of a table (administrations, items); None for one item, or where all answer alike."""
    count = table.shape[1]
    if count < 2 or table.shape[0] < 2:
        return None
    whole = float(table.sum(1).var(ddof=1))
    if whole < (_SAME * count) ** 2:
        return None
    return float(count / (count - 1) * (1 - table.var(0, ddof=1).sum() / whole))


def _mean(values: Array, options: Evaluate) -> dict[str, Any]:
    def mean(w: Array) -> float:
        return float(w @ values / w.sum())

    return dict(
        msgspec.to_builtins(cluster_bootstrap(mean, len(values), options.resamples, options.seed))
    )


def _correlation(left: Array, right: Array) -> float | None:
    if left.std() < 1e-9 or right.std() < 1e-9:
        return None
    return float(np.corrcoef(left, right)[0, 1])
