"""The fused similarity on labelled pairs, and the search against SemHash.

    python -m benchmarks.semantic pairs             average precision on the Twitter-URL test pairs
    python -m benchmarks.semantic search            100,000 chat turns: time, recall of the search
    python -m benchmarks.semantic search --semhash  and SemHash's self_deduplicate, A B A B

`pairs` reads ../shared/data/duplicates/twitter_url_test.tsv (votes of six; four and more say the
same, three is left out). None of its labels is used to fit anything. `search` reads the replies of
../shared/data/personas and needs `pip install semhash` for the second form. OMP_NUM_THREADS fixes
the threads of both.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from molting.core.errors import MoltingError
from molting.models.encoders import load_encoder
from molting.signals.pair_features import feature_names, features
from molting.signals.semantic import FLOOR, THRESHOLD, pair_scores, semantic_pairs
from molting.signals.wording import Wording

DATA = Path("../shared/data")
VOTES = re.compile(r"\(([0-6]),6\)")


def twitter(file: Path) -> tuple[list[str], list[str], Any]:
    """(left, right, label) of the pairs that are not debatable."""
    left, right, labels = [], [], []
    for line in file.read_text("utf-8").split("\n"):
        cells = line.split("\t")
        for i, cell in enumerate(cells):
            if votes := VOTES.fullmatch(cell):
                if votes[1] != "3":
                    left.append(cells[0].strip())
                    right.append(" ".join(cells[1:i]).strip())
                    labels.append(int(votes[1]) >= 4)
                break
    return left, right, np.array(labels)


def average_precision(labels: Any, scores: Any) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))


def interval(labels: Any, scores: Any, seed: int = 0, resamples: int = 300) -> tuple[float, float]:
    random = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        drawn = random.integers(len(labels), size=len(labels))
        found.append(average_precision(labels[drawn], scores[drawn]))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share."""
    if n == 0:
        return 0.0, 1.0
    z, share = 1.959964, hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return float(middle - half), float(middle + half)


def run_pairs(data: Path, names: Sequence[str]) -> None:
    left, right, labels = twitter(data / "duplicates" / "twitter_url_test.tsv")
    print(f"{len(labels)} pairs, {int(labels.sum())} paraphrases")
    texts = list(dict.fromkeys([*left, *right]))
    place = {text: i for i, text in enumerate(texts)}
    a, b = (np.array([place[text] for text in side]) for side in (left, right))
    letters = Wording(texts).letters(a, b)
    print(f"character TF-IDF          AP {average_precision(labels, letters):.4f}")
    for name in names:
        encoder = load_encoder(name)
        begun = time.perf_counter()
        values = features(texts, a, b, encoder)
        for i, feature in enumerate(feature_names(encoder)[:2]):
            if feature in ("cosine", "tokens"):
                print(f"{name + ' ' + feature:25} AP {average_precision(labels, values[:, i]):.4f}")
        scores = pair_scores(left, right, encoder)
        low, high = interval(labels, scores)
        print(
            f"{name + ' fused':25} AP {average_precision(labels, scores):.4f} "
            f"[{low:.4f}, {high:.4f}]  mean {scores.mean():.3f}, share {labels.mean():.3f}, "
            f"{time.perf_counter() - begun:.0f} s"
        )
        for limit in (0.5, 0.7, THRESHOLD, 0.9):
            called = scores >= limit
            hits, n = int(labels[called].sum()), int(called.sum())
            wide = wilson(hits, n)
            found = wilson(hits, int(labels.sum()))
            print(
                f"  score ≥ {limit:g}{' (default)' if limit == THRESHOLD else ''}: precision "
                f"{hits / max(n, 1):.3f} [{wide[0]:.3f}, {wide[1]:.3f}] of {n}, recall "
                f"{hits / labels.sum():.3f} [{found[0]:.3f}, {found[1]:.3f}]"
            )


def turns(data: Path, count: int) -> list[str]:
    """Chat turns: every message of the personas' files, then the same with a word changed, until
    there are enough (real sets repeat themselves too)."""
    found: list[str] = []
    for file in sorted((data / "personas").glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            for message in json.loads(line)["messages"]:
                found += re.split(r"(?<=[.!?])\s+", message["content"])
    found = [text for text in dict.fromkeys(found) if len(text) > 15]
    random = np.random.default_rng(0)
    random.shuffle(found)
    words = [word for text in found[:2000] for word in text.split()]
    while len(found) < count:
        parts = found[int(random.integers(len(found)))].split()
        for i in random.integers(len(parts), size=max(1, len(parts) // 3)):
            parts[i] = words[int(random.integers(len(words)))]
        found.append(" ".join(parts))
    return found[:count]


def run_search(data: Path, count: int, semhash: bool, rounds: int) -> None:
    texts = turns(data, count)
    encoder = load_encoder("static")
    print(f"{len(texts)} turns, {sum(map(len, texts)) / len(texts):.0f} characters on average")
    begun = time.perf_counter()
    encoder.encode(texts)
    print(f"encode: {time.perf_counter() - begun:.1f} s")
    ours, theirs = [], []
    for _ in range(rounds):
        seconds, pairs = timed(lambda: semantic_pairs(texts, encoder, FLOOR))
        ours.append(seconds)
        print(f"molting semantic: {_shown(seconds)}, {len(pairs)} pairs", flush=True)
        if semhash:
            seconds, kept = timed(lambda: _semhash(texts, encoder))
            theirs.append(seconds)
            print(f"SemHash: {_shown(seconds)}, {kept} kept", flush=True)
    for i, what in enumerate(("wall", "processor")):
        if theirs:
            ratios = [a[i] / b[i] for a, b in zip(ours, theirs, strict=True)]
            print(f"ratio molting / SemHash, {what}: " + ", ".join(f"{r:.2f}" for r in ratios))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.1f} GiB")


def timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """((wall, processor) seconds, result); the second is what a busy machine does not change."""
    begun, busy = time.perf_counter(), time.process_time()
    found = work()
    return (time.perf_counter() - begun, time.process_time() - busy), found


def _shown(seconds: tuple[float, float]) -> str:
    return f"{seconds[0]:.1f} s ({seconds[1]:.1f} s processor)"


def _semhash(texts: list[str], encoder: Any) -> int:
    from semhash import SemHash

    class Model:
        def encode(self, inputs: Sequence[str], **_: Any) -> Any:
            return encoder.encode(list(inputs))

    found = SemHash.from_records(records=texts, model=Model()).self_deduplicate()
    return len(found.selected)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["pairs", "search"])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--encoder", action="append", default=[])
    parser.add_argument("--turns", type=int, default=100_000)
    parser.add_argument("--semhash", action="store_true")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    if not options.data.is_dir():
        print(
            f"{options.data}: not here; this benchmark needs data that does not ship",
            file=sys.stderr,
        )
        return 2
    try:
        if options.what == "pairs":
            run_pairs(options.data, options.encoder or ["static", "minilm"])
        else:
            run_search(options.data, options.turns, options.semhash, options.rounds)
    except MoltingError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
