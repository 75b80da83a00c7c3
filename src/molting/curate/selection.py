"""The best N rows by quality × voice × diversity, and the rivals that a selector must beat.

    quality    one row at a time, the one with the highest (1 − d) · score − d · (likeness to the
               most similar row taken): maximal marginal relevance (Carbonell & Goldstein 1998)
    facility   one row at a time, the one that adds most to (1 − d) · Σ score of the rows taken
               + d · (how well the rows taken stand for all good rows): facility location, by lazy
               greedy search (Minoux 1978), within 1 − 1/e of the best choice
    random     drawn by the seed, nothing looked at
    longest    by the words of the replies, nothing else looked at

The first two keep three more rules. A prompt that has a row waits until every other prompt has a
good one. No topic is crowded out: each gets at least half of its share of the good rows. And a
row with a phrase that is already said as often as its budget allows (signals.catch_phrases)
comes later, so that the choice does not teach a caricature.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.config import Curate
from molting.core.conversation import Conversation
from molting.curate.grouping import reply_text
from molting.curate.scoring import Score, score_rows
from molting.signals.catch_phrases import OverUse, PhraseBudget, over_used
from molting.signals.stats import Array
from molting.signals.vectors import cluster, text_vectors, topic_words

__all__ = ["Score", "Selection", "phrase_budget", "score_rows", "select"]

_PHRASE_PENALTY = 0.25
"""What a phrase beyond its budget takes off a row's gain, for each such phrase."""
_POOR = 0.5
"""A row is good from this share of the median score on."""
_TOPIC_SHARE = 0.5
_ROUND = 10.0
"""More than any score: a prompt's second row waits for every other prompt's first."""


class Selection(msgspec.Struct, frozen=True):
    """Which rows are taken and why. Places are those in the rows given."""

    order: tuple[int, ...]
    """The rows taken, in order."""
    likeness: tuple[float, ...]
    """For every row, its likeness to the nearest row taken: before it, or at the end."""
    nearest: tuple[int | None, ...]
    """That row; None where none was taken before or nothing is shared."""
    topics: tuple[int, ...]
    """For every row its topic, the largest first."""
    topic_words: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]
    """For every row, its phrases that the rows taken already say as often as they may."""


def phrase_budget(config: Curate) -> PhraseBudget:
    """Budgets of phrases under `curate.phrase_share`, which caps all of them."""
    most = config.phrase_share
    usual = PhraseBudget()
    return msgspec.structs.replace(
        usual,
        most=most,
        least=min(usual.least, most),
        least_anywhere=min(usual.least_anywhere, most),
    )


def select(
    rows: Sequence[Conversation],
    groups: Sequence[int],
    scores: Sequence[Score],
    target: int,
    config: Curate,
    vectors: Any | None = None,
) -> Selection:
    """Choose `target` rows (all, if fewer). Pure in the arguments.

    `groups`: rows of one number share a prompt or nearly a reply. `vectors`: embeddings of length
    at most 1, shape (rows, dimensions), instead of those of the rows' own words.
    """
    if not rows:
        return Selection((), (), (), (), (), ())
    texts = [f"{row.prompt}\n{reply_text(row)}" for row in rows]
    own = text_vectors(texts, config.seed)
    points = own.vectors if vectors is None else np.asarray(vectors, dtype=np.float32)
    topics = cluster(points, _topic_count(config.topics, len(rows)), config.seed)
    problem = _Problem(rows, groups, scores, min(target, len(rows)), config, points, topics)
    choose: Callable[[_Problem], Iterator[int]] = {
        "quality": _marginal_relevance,
        "facility": _facility_location,
        "random": _random,
        "longest": _longest,
    }[config.selector]
    for place in choose(problem):
        problem.take(place)
        if len(problem.taken) == problem.target:
            break
    return Selection(
        tuple(problem.taken),
        tuple(float(v) for v in problem.near),
        tuple(None if n < 0 else int(n) for n in problem.nearest),
        tuple(int(t) for t in topics),
        tuple(topic_words(own.tfidf, own.terms, topics)),
        tuple(tuple(problem.spent_of(i)) for i in range(len(rows))),
    )


def _topic_count(wanted: int | None, rows: int) -> int:
    """As many as asked for, or about √(n/2) (a common rule of thumb), at most 40."""
    return wanted or max(1, min(40, round(math.sqrt(rows / 2))))


class _Problem:
    """What a strategy chooses from, and what follows from each choice."""

    def __init__(
        self,
        rows: Sequence[Conversation],
        groups: Sequence[int],
        scores: Sequence[Score],
        target: int,
        config: Curate,
        points: Any,
        topics: Any,
    ) -> None:
        self.rows, self.scores, self.target, self.config = rows, scores, target, config
        self.points, self.topics = points, topics
        self.value: Array = np.array([score.score for score in scores])
        self.good = self.value >= _POOR * float(np.median(self.value))
        self.taken: list[int] = []
        self.open = np.ones(len(rows), dtype=bool)
        self.near: Array = np.zeros(len(rows))
        self.nearest = np.full(len(rows), -1)
        self.group = np.asarray(groups)
        # A poor row does not come before a prompt's second good one.
        self.rounds: Array = np.where(self.good, 0.0, 1.0)
        self.places: dict[int, Array] = _places(self.group)
        self.said, self.phrases = _phrases(rows, target, config)
        self.penalty: Array = np.zeros(len(rows))
        share = Counter(topics[self.good].tolist())
        total = max(1, int(self.good.sum()))
        self.owed = {t: int(_TOPIC_SHARE * target * n / total) for t, n in share.items()}

    def take(self, place: int) -> None:
        self.taken.append(place)
        self.open[place] = False
        self.rounds[self.places[int(self.group[place])]] += 1
        likeness = self.points @ self.points[place]
        # What it was when a row was taken is kept for that row.
        closer = self.open & (likeness > self.near)
        self.near[closer] = np.minimum(likeness[closer], 1.0)
        self.nearest[closer] = place
        topic = int(self.topics[place])
        if self.good[place] and self.owed.get(topic, 0) > 0:
            self.owed[topic] -= 1
        for phrase in self.said[place]:
            over, users = self.phrases[phrase]
            self.phrases[phrase] = (over - 1, users)
            if over == 1:
                self.penalty[users] += _PHRASE_PENALTY

    def spent_of(self, place: int) -> list[str]:
        return [phrase for phrase in self.said[place] if self.phrases[phrase][0] <= 0]

    def allowed(self) -> Any:
        """Rows that may come next: where only owed topics fit in what is left, only theirs."""
        owed = sum(self.owed.values())
        if owed and self.target - len(self.taken) <= owed:
            waiting = [topic for topic, count in self.owed.items() if count > 0]
            mask = self.open & self.good & np.isin(self.topics, waiting)
            if mask.any():
                return mask
        return self.open


def _places(group: Any) -> dict[int, Any]:
    order = np.argsort(group, kind="stable")
    cuts = np.flatnonzero(np.diff(group[order])) + 1
    return {int(group[part[0]]): part for part in np.split(order, cuts)}


def _phrases(
    rows: Sequence[Conversation], target: int, config: Curate
) -> tuple[list[list[str]], dict[str, tuple[int, Any]]]:
    """Phrases that are over-used in the rows: which each says; how often each may still be said."""
    places = [(i, reply) for i, row in enumerate(rows) for reply in row.replies]
    prompts = [rows[i].prompt for i, _ in places]
    budget = phrase_budget(config)
    found: list[OverUse] = over_used([reply for _, reply in places], prompts, budget)
    said: list[list[str]] = [[] for _ in rows]
    allowed: dict[str, tuple[int, Any]] = {}
    for over in found:
        name = f"{over.phrase} ({over.where})"
        users = sorted({places[i][0] for i in over.replies})
        for i in users:
            said[i].append(name)
        allowed[name] = (max(1, int(over.budget * target)), np.array(users))
    return said, allowed


def _marginal_relevance(problem: _Problem) -> Iterator[int]:
    d = problem.config.diversity
    while True:
        gain = (1 - d) * (problem.value - problem.penalty) - d * problem.near
        gain -= _ROUND * problem.rounds
        yield int(np.argmax(np.where(problem.allowed(), gain, -np.inf)))


def _facility_location(problem: _Problem) -> Iterator[int]:
    d = problem.config.diversity
    points, value = problem.points, problem.value
    # In units of a row: all good rows fully stood for are worth as much as `target` rows of score 1.
    weight = value * (problem.target / max(float(value.sum()), 1e-9))
    covered = np.zeros(len(points), dtype=np.float32)

    def adds(place: int) -> float:
        likeness = points @ points[place]
        likeness[place] = 1.0
        return float(weight @ np.maximum(likeness - covered, 0.0))

    # Block by block: the whole matrix of 10,000 rows would be 400 MB.
    gains = np.empty(len(points))
    for start in range(0, len(points), 512):
        block = np.maximum(points @ points[start : start + 512].T, 0.0)
        own = np.arange(start, min(start + 512, len(points)))
        block[own, own - start] = 1.0
        gains[own] = weight @ block

    def key(place: int, coverage: float) -> float:
        worth = (1 - d) * (value[place] - problem.penalty[place]) + d * coverage
        return float(_ROUND * problem.rounds[place] - worth)

    heap = [(key(i, g), i, 0) for i, g in enumerate(gains.tolist())]
    heapq.heapify(heap)
    waiting: list[tuple[float, int, int]] = []
    while heap or waiting:
        may = problem.allowed()
        if not heap:
            heap, waiting = waiting, []
            heapq.heapify(heap)
        bound, place, when = heapq.heappop(heap)
        if not problem.open[place]:
            continue
        if not may[place]:
            waiting.append((bound, place, when))
            continue
        if when == len(problem.taken):
            heap += waiting
            waiting = []
            heapq.heapify(heap)
            yield place
            likeness = points @ points[place]
            likeness[place] = 1.0
            covered = np.maximum(covered, likeness)
            continue
        # Gains only fall and rounds only rise, so an old key is a bound: look again, then decide.
        heapq.heappush(heap, (key(place, adds(place)), place, len(problem.taken)))


def _random(problem: _Problem) -> Iterator[int]:
    yield from np.random.default_rng(problem.config.seed).permutation(len(problem.rows)).tolist()


def _longest(problem: _Problem) -> Iterator[int]:
    lengths = [sum(len(reply.split()) for reply in row.replies) for row in problem.rows]
    yield from sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
