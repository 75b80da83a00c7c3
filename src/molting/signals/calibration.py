"""From signals to a probability: a logistic regression over pairs that were written for it.

    python -m molting.signals.calibration minilm static      prints the coefficients kept below

No label of any public set takes part. Positives: written paraphrases, and texts edited as people
edit them (a word dropped, cut short, a word added). Negatives: written texts on the same matter
with another claim (opposite, another number, another name, roles swapped, the answer to the
question), each everyday text with its closest others, and chance pairs. Signals of likeness may
only raise the score and contradictions only lower it, so that no quirk of the written pairs turns
one round. For an encoder that is not known here the same is fitted when it is first used.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from importlib import resources

import msgspec

from molting.models.encoders import load_encoder
from molting.models.vectors import Array, Encoder
from molting.signals import wording
from molting.signals.pair_features import Calibration, feature_names, features

_WEIGHTS = {
    "same": 1.0, "edited": 0.6, "topic": 1.0, "answer": 1.0, "chance": 0.3, "close": 1.0,
    "entity": 0.5, "number": 0.5, "opposite": 0.5, "style": 0.5, "role": 0.2,
}  # fmt: skip
"""Minimal pairs that people write to trap a measure are rarer in data than they are here."""
_RIDGE = 1.0
_CLOSEST = 3
_CONTRADICTIONS = ("numbers", "negation", "opposite")

KNOWN = {
    # In the order of `feature_names`: cosine, (tokens,) letters, contained, numbers, negation,
    # opposite. A weight of 0: the signal says nothing that the others do not.
    "minilm": Calibration((5.659, 8.805, 0.286, 0.0, -10.666, -4.811, -11.099), -10.084, 0.578),
    "fake": Calibration((0.0, 11.362, 0.0, -7.71, -4.315, -7.759), -7.549, 0.306),
    "static": Calibration((9.778, 5.331, 0.0, -9.04, -5.476, -9.102), -10.894, 0.558),
}
_fitted: dict[str, Calibration] = {}


class Written(msgspec.Struct, frozen=True):
    """A text, what says the same, and what does not: (kind, text)."""

    text: str
    same: tuple[str, ...]
    different: tuple[tuple[str, str], ...]
    set: str


def written() -> list[Written]:
    raw = resources.files("molting.data").joinpath("pairs.jsonl").read_bytes()
    return msgspec.json.Decoder(Written).decode_lines(raw)


def calibrate(encoder: Encoder) -> Calibration:
    """The kept coefficients of a known encoder; else fitted once in this process."""
    if encoder.name in KNOWN:
        return KNOWN[encoder.name]
    if encoder.id not in _fitted:
        _fitted[encoder.id] = fit(encoder)
    return _fitted[encoder.id]


def fit(encoder: Encoder) -> Calibration:
    import numpy as np

    left, right, labels, kinds = training_pairs(encoder)
    texts = list(dict.fromkeys([*left, *right]))
    place = {text: i for i, text in enumerate(texts)}
    a = np.array([place[text] for text in left])
    b = np.array([place[text] for text in right])
    values = features(texts, a, b, encoder)
    names = feature_names(encoder)
    signs = [-1 if name in _CONTRADICTIONS else 1 for name in names]
    weights, offset = regression(
        values, np.array(labels, float), np.array([_WEIGHTS[kind] for kind in kinds]), signs
    )
    alike = values[np.array([kind == "same" for kind in kinds]), 0]
    return Calibration(
        tuple(round(float(w), 3) for w in weights),
        round(float(offset), 3),
        round(float(np.quantile(alike, 0.05)), 3),
    )


def training_pairs(
    encoder: Encoder, seed: int = 0
) -> tuple[list[str], list[str], list[int], list[str]]:
    """(left, right, label, kind) of everything that a calibration is fitted on."""
    rows = written()
    chance = random.Random(seed)
    found: list[tuple[str, str, int, str]] = []
    for i, row in enumerate(rows):
        group = [row.text, *row.same]
        for j, text in enumerate(group):
            found += [(group[k], text, 1, "same") for k in range(j)]
            found += [(text, other, 0, kind) for kind, other in row.different]
            for _ in range(3):
                k = chance.randrange(len(rows) - 1)
                found.append((text, rows[k + (k >= i)].text, 0, "chance"))
        for text in group[:2]:
            found += [(text, edited, 1, "edited") for edited in _edits(text, chance)]
    found += [(a, b, 0, "close") for a, b in _closest(encoder)]
    # Texts that fold alike need no probability.
    return tuple(map(list, zip(*(f for f in found if f[0] != f[1]), strict=True)))  # type: ignore[return-value]


def _edits(text: str, chance: random.Random) -> list[str]:
    parts = text.split()
    found = [text.lower().rstrip(".!?") + chance.choice([" please", " !", " lol", " #news", " :)"])]
    if len(parts) > 5:
        cut = chance.randint(max(3, int(len(parts) * 0.6)), len(parts) - 1)
        found.append(" ".join(parts[:cut]) + chance.choice(["…", " ...", ""]))
        kept = sorted(chance.sample(range(len(parts)), len(parts) - max(1, len(parts) // 8)))
        found.append(" ".join(parts[i] for i in kept))
    return found


def _closest(encoder: Encoder) -> list[tuple[str, str]]:
    """Everyday texts with those closest to them by the encoder and by their letters: no two of
    them say the same, and they lie as close as different texts of one set do."""
    import numpy as np

    texts = list(dict.fromkeys(wording.background()))
    rows = encoder.encode(texts)
    letters = wording.Wording(texts).all_letters()
    found: dict[tuple[int, int], None] = {}
    for alike in (rows @ rows.T, letters):
        closeness = np.array(alike, float)
        np.fill_diagonal(closeness, -np.inf)
        for i in range(len(texts)):
            for j in np.argsort(-closeness[i], kind="stable")[:_CLOSEST]:
                found.setdefault((min(i, int(j)), max(i, int(j))))
    return [(texts[i], texts[j]) for i, j in found]


def regression(
    values: Array, labels: Array, weights: Array, signs: Sequence[int]
) -> tuple[Array, float]:
    """Ridge logistic regression whose coefficients keep their sign; (weights, offset)."""
    import numpy as np
    from scipy.optimize import minimize

    mean, spread = values.mean(0), values.std(0) + 1e-9
    scaled = (values - mean) / spread

    def loss(p: Array) -> tuple[float, Array]:
        z = scaled @ p[:-1] + p[-1]
        gap = weights * (1.0 / (1.0 + np.exp(-z)) - labels)
        value = weights @ (np.logaddexp(0.0, z) - labels * z) + _RIDGE * (p[:-1] @ p[:-1]) / 2
        return float(value), np.concatenate([scaled.T @ gap + _RIDGE * p[:-1], [gap.sum()]])

    bounds = [(0.0, None) if sign > 0 else (None, 0.0) for sign in signs]
    done = minimize(
        loss, np.zeros(values.shape[1] + 1), jac=True, method="L-BFGS-B",
        bounds=[*bounds, (None, None)],
    )  # fmt: skip
    found = done.x[:-1] / spread
    return found, float(done.x[-1] - found @ mean)


def main(names: Sequence[str]) -> int:
    for name in names:
        encoder = load_encoder(name)
        print(f'    "{name}": {fit(encoder)},  # {", ".join(feature_names(encoder))}')
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
