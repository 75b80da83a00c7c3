"""Duplicates at scale: are planted copies found, how fast, in how much memory?

    python -m benchmarks.duplicates                   100,000 turns: recall, precision
    python -m benchmarks.duplicates --semhash         and time against SemHash, A B A B …
    python -m benchmarks.duplicates --million         1,000,000 turns: time and peak memory
    python -m benchmarks.duplicates --ray             50,000 turns on two Ray nodes: same groups?

What is planted: `benchmarks.planted_copies`. The truth of near copies is taken in two ways: the
planted pairs, and for a sample of turns the similarity with every other turn, computed by brute
force from the definition (sparse products of all n-grams, no hashing). Reads ../shared/data and,
where they are installed, `chitchat-dataset`, `semhash`, `ray`. `--json` prints one object.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.planted_copies import Planted, grams3, grams4, planted
from benchmarks.semantic import wilson
from molting.core.errors import MoltingError
from molting.models.encoders import load_encoder
from molting.models.vectors import Encoder
from molting.signals.duplicates import Duplicates, Pair, find_duplicates, groups
from molting.signals.engines import Engine, LocalEngine
from molting.signals.semantic import FLOOR, THRESHOLD, semantic_pairs
from molting.signals.text import fold

DATA = Path("../shared/data")
NEAR = 0.7
SAMPLE = 1_000


def measure(data: Path, count: int, seed: int) -> dict[str, Any]:
    """Recall and precision of one set with planted copies."""
    known = planted(data, count, NEAR, seed)
    texts = known.texts
    encoder = load_encoder("static")
    begun = time.perf_counter()
    found = find_duplicates(texts, NEAR)
    pairs = list(found.pairs())
    near_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    semantic = semantic_pairs(texts, encoder, FLOOR)
    semantic_seconds = time.perf_counter() - begun
    print(f"found: {near_seconds:.0f} s, {semantic_seconds:.0f} s; checking …", file=sys.stderr)
    return {
        "turns": len(texts),
        "seed": seed,
        "sources": known.sources,
        "refused": known.refused,
        "seconds": {"exact_and_near": near_seconds, "semantic": semantic_seconds},
        "exact": _exact(known, found),
        "near": _near(known, found, pairs),
        "brute_force": _brute_force(texts, found, seed),
        "semantic": _semantic(known, pairs, semantic),
    }


def _exact(known: Planted, found: Duplicates) -> dict[str, Any]:
    same = found.found.same
    hits = sum(same[a] == same[b] for a, b in known.exact)
    copies = sum(pair.kind == "exact" for pair in found.pairs())
    return {"recall": share(hits, len(known.exact)), "pairs": copies}


def _near(known: Planted, found: Duplicates, pairs: Sequence[Pair]) -> dict[str, Any]:
    same = found.found.same
    number = groups(len(same), pairs)
    listed = {(pair.left, pair.right) for pair in found.at(NEAR).pairs() if pair.kind == "near"}
    # Rows of a text that stands in several are one here.
    listed |= {tuple(sorted((int(same[a]), int(same[b])))) for a, b in listed}  # type: ignore[misc]
    first = [(int(same[a]), int(same[b]), value) for a, b, value in known.near]
    hits = [(min(a, b), max(a, b)) in listed for a, b, _ in first]
    together = sum(number[a] == number[b] for a, b, _ in known.near)
    by_likeness = {}
    for low, high in ((0.7, 0.75), (0.75, 0.8), (0.8, 0.9), (0.9, 1.01)):
        inside = [
            hit for hit, (_, _, value) in zip(hits, first, strict=True) if low <= value < high
        ]
        by_likeness[f"{low:g}–{min(high, 1):g}"] = share(sum(inside), len(inside))
    return {
        "recall": share(sum(hits), len(hits)),
        "recall_by_similarity": by_likeness,
        "same_group": share(together, len(hits)),
        "pairs": len(found.found.left[found.found.similarity >= NEAR]),
    }


def _brute_force(texts: Sequence[str], found: Duplicates, seed: int) -> dict[str, Any]:
    """Every pair that a sample of turns is part of, by the definition, against those called near."""
    same = found.found.same
    firsts = np.unique(same[same >= 0])
    sample = np.array(sorted(random.Random(seed).sample(firsts.tolist(), min(SAMPLE, len(firsts)))))
    truth = true_pairs([fold(texts[i]) for i in firsts], np.searchsorted(firsts, sample))
    true = {(int(firsts[a]), int(firsts[b])): value for (a, b), value in truth.items()}
    near = found.found
    chosen = near.similarity >= NEAR
    sampled = set(sample.tolist())
    called = {
        (a, b)
        for a, b in zip(near.left[chosen].tolist(), near.right[chosen].tolist(), strict=True)
        if a in sampled or b in sampled
    }
    thinned = near.thinned
    # In crowds only the nearest pairs are listed, by design; the groups do not change.
    listed = {pair for pair in true if not (thinned[pair[0]] and thinned[pair[1]])}
    return {
        "sample": len(sample),
        "true_pairs": len(true),
        "recall": share(len(listed & called), len(listed)),
        "precision": share(len(called & true.keys()), len(called)),
        "pairs_in_crowds": len(true) - len(listed),
    }


def true_pairs(folded: Sequence[str], sample: Any) -> dict[tuple[int, int], float]:
    """All pairs (smaller place first) of a sampled text with any other, at `NEAR` or above."""
    lengths = np.array([len(text) for text in folded])
    found: dict[tuple[int, int], float] = {}
    for cut, allowed in ((grams4, lengths >= 12), (grams3, lengths <= 32)):
        places = np.flatnonzero(allowed)
        mine = np.intersect1d(sample, places)
        matrix = _indicator([cut(folded[int(i)]) for i in places])
        sizes = np.diff(matrix.indptr)
        for start in range(0, len(mine), 200):
            rows = np.searchsorted(places, mine[start : start + 200])
            both = (matrix[rows] @ matrix.T).tocoo()
            union = sizes[rows][both.row] + sizes[both.col] - both.data
            value = both.data / union
            for k in np.flatnonzero(value >= NEAR):
                a, b = int(places[rows[both.row[k]]]), int(places[both.col[k]])
                short = min(lengths[a], lengths[b]) < 12
                if a != b and short == (cut is grams3):
                    found[min(a, b), max(a, b)] = float(value[k])
    return found


def _indicator(sets: Sequence[set[str]]) -> Any:
    from scipy.sparse import csr_array

    vocabulary: dict[str, int] = {}
    bounds, flat = [0], []
    for grams in sets:
        flat += [vocabulary.setdefault(gram, len(vocabulary)) for gram in grams]
        bounds.append(len(flat))
    shape = (len(sets), max(1, len(vocabulary)))
    ones = np.ones(len(flat), np.float32)
    return csr_array((ones, np.array(flat, np.int64), np.array(bounds)), shape=shape)


def _semantic(known: Planted, pairs: Sequence[Pair], semantic: Sequence[Pair]) -> dict[str, Any]:
    called = {(p.left, p.right): p.similarity for p in semantic}
    surface = {(p.left, p.right) for p in pairs}
    wanted = [(min(pair), max(pair)) for pair in known.semantic]
    found: dict[str, Any] = {"pairs": len(wanted)}
    for limit in (FLOOR, THRESHOLD):
        hits = sum(pair in surface or called.get(pair, 0.0) >= limit for pair in wanted)
        found[f"recall_at_{limit:g}"] = share(hits, len(wanted))
        found[f"called_at_{limit:g}"] = sum(value >= limit for value in called.values())
    found["by_surface_alone"] = share(sum(pair in surface for pair in wanted), len(wanted))
    return found


def share(hits: int, n: int) -> dict[str, Any]:
    """A share with its n and 95 % interval (Wilson)."""
    low, high = wilson(int(hits), n)
    return {"value": int(hits) / n if n else None, "low": low, "high": high, "n": n}


def everything(texts: Sequence[str], encoder: Encoder, engine: Engine | None = None) -> list[int]:
    """What `molting duplicates` does: exact, near and semantic pairs, and their groups."""
    found = find_duplicates(texts, NEAR, engine=engine)
    found = found.joined("semantic", semantic_pairs(texts, encoder, FLOOR), THRESHOLD)
    return [group.representative for group in found.groups()]


def against_semhash(data: Path, count: int, seed: int, rounds: int) -> dict[str, Any]:
    texts = planted(data, count, NEAR, seed).texts
    encoder = load_encoder("static")
    encoder.encode(texts[:100])
    times: dict[str, list[tuple[float, float]]] = {"molting": [], "semhash": []}
    kept = {}
    for _ in range(rounds):
        for name, work in (
            ("molting", lambda: len(everything(texts, encoder))),
            ("semhash", lambda: _semhash(texts, encoder)),
        ):
            seconds, kept[name] = timed(work)
            times[name].append(seconds)
            print(f"{name}: {seconds[0]:.1f} s ({seconds[1]:.1f} s processor)", file=sys.stderr)
    medians = {
        name: [statistics.median(t[i] for t in own) for i in (0, 1)] for name, own in times.items()
    }
    return {
        "turns": len(texts),
        "seconds": times,
        "ratio_wall": medians["molting"][0] / medians["semhash"][0],
        "ratio_processor": medians["molting"][1] / medians["semhash"][1],
        "groups": kept["molting"],
        "semhash_kept": kept["semhash"],
    }


def timed(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """((wall, processor) seconds, result)."""
    begun, busy = time.perf_counter(), time.process_time()
    found = work()
    return (time.perf_counter() - begun, time.process_time() - busy), found


def _semhash(texts: Sequence[str], encoder: Encoder) -> int:
    from semhash import SemHash

    class Model:
        def encode(self, inputs: Sequence[str], **_: Any) -> Any:
            return encoder.encode(list(inputs))

    found = SemHash.from_records(records=list(texts), model=Model()).self_deduplicate()
    return len(found.selected)


def million(data: Path, count: int, seed: int) -> dict[str, Any]:
    """Run in a process of its own, so that its peak is its own."""
    known = planted(data, count, NEAR, seed)
    texts, near = known.texts, known.near
    before = _peak()
    encoder = load_encoder("static")
    begun = time.perf_counter()
    found = find_duplicates(texts, NEAR)
    near_seconds = time.perf_counter() - begun
    after_near = _peak()
    print(f"near: {near_seconds:.0f} s, peak {after_near:.1f} GiB", file=sys.stderr)
    begun = time.perf_counter()
    semantic = semantic_pairs(texts, encoder, FLOOR)
    semantic_seconds = time.perf_counter() - begun
    print(f"semantic: {semantic_seconds:.0f} s, peak {_peak():.1f} GiB", file=sys.stderr)
    begun = time.perf_counter()
    grouped = found.joined("semantic", semantic, THRESHOLD).groups()
    group_seconds = time.perf_counter() - begun
    number = groups(len(texts), list(found.pairs()))
    together = sum(number[a] == number[b] for a, b, _ in near)
    return {
        "turns": len(texts),
        "sources": known.sources,
        "seconds": {
            "exact_and_near": near_seconds, "semantic": semantic_seconds, "groups": group_seconds,
        },
        "peak_gib": {"texts": before, "exact_and_near": after_near, "all": _peak()},
        "near_recall_same_group": share(together, len(near)),
        "near_pairs": len(found.found.left),
        "semantic_pairs": len(semantic),
        "groups": len(grouped),
    }  # fmt: skip


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def on_ray(data: Path, count: int, seed: int) -> dict[str, Any]:
    """The same turns here and on a cluster of two nodes (on this machine)."""
    from ray.cluster_utils import Cluster

    from molting.signals.engines import RayEngine

    texts = planted(data, count, NEAR, seed).texts
    begun = time.perf_counter()
    here = find_duplicates(texts, NEAR, engine=LocalEngine())
    local_seconds = time.perf_counter() - begun
    node = {"num_cpus": 1, "object_store_memory": 400 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        cluster.wait_for_nodes()
        engine = RayEngine(cluster.address)
        begun = time.perf_counter()
        there = find_duplicates(texts, NEAR, engine=engine)
        ray_seconds = time.perf_counter() - begun
    finally:
        import ray

        ray.shutdown()
        cluster.shutdown()
    return {
        "turns": len(texts),
        "nodes": 2,
        "same_pairs": list(here.pairs()) == list(there.pairs()),
        "same_groups": here.groups() == there.groups(),
        "groups": len(here.groups()),
        "seconds": {"local": local_seconds, "ray": ray_seconds},
    }


def _child(options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.duplicates", "--million", "--inside", "--json"]
    command += ["--data", str(options.data), "--turns", str(options.turns or 1_000_000)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--turns", type=int, help="default: 100,000 (50,000 on Ray)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--semhash", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--million", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not (options.data / "personas").is_dir():
        print(
            f"{options.data}: not here; this benchmark needs data that does not ship",
            file=sys.stderr,
        )
        return 2
    turns = options.turns or (50_000 if options.ray else 100_000)
    try:
        if options.million:
            found = (
                million(options.data, options.turns or 1_000_000, options.seed)
                if options.inside
                else _child(options)
            )
        elif options.ray:
            found = on_ray(options.data, turns, options.seed)
        elif options.semhash:
            found = against_semhash(options.data, turns, options.seed, options.rounds)
        else:
            found = measure(options.data, turns, options.seed)
    except ImportError as error:
        print(f"{error}: `pip install {error.name}` brings it", file=sys.stderr)
        return 2
    except MoltingError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps(found))
        return 0
    sources = found.get("sources", {})
    if sources.get("made") and not sources["chitchat"]:
        print("chitchat-dataset is not installed; made turns stand in for its messages")
    _show(found)
    return 0


def _show(found: dict[str, Any], indent: int = 0) -> None:
    for key, value in found.items():
        if isinstance(value, dict) and {"value", "low", "n"} <= value.keys():
            told = "not measured" if value["value"] is None else f"{value['value']:.4f}"
            shown = f"{told} [{value['low']:.4f}, {value['high']:.4f}] of {value['n']:,}"
            print(f"{' ' * indent}{key:24} {shown}")
        elif isinstance(value, dict):
            print(f"{' ' * indent}{key}")
            _show(value, indent + 2)
        else:
            shown = f"{value:.2f}" if isinstance(value, float) else str(value)
            print(f"{' ' * indent}{key:24} {shown}")


if __name__ == "__main__":
    sys.exit(main())
