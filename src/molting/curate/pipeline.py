"""Curation and split, top to bottom: every row that came in leaves with one verdict.

redaction → noise → duplicates (exact, near, semantic) → leaks into the held-out rows → split by group → the best N

What people decided about rows (curate.reviewed) comes in before the first and after each other step.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from molting.core.config import Config, fingerprint
from molting.core.conversation import Conversation, Verdict
from molting.core.corpus import Corpus, Row, SplitName
from molting.core.errors import CheckFailed
from molting.curate.filters import filter_rows
from molting.curate.grouping import Likeness, duplicate_rows, leak_groups, leaks, prompt_key
from molting.curate.redaction import redact_rows
from molting.curate.reviewed import Reviewed, Rulings, applied, counted
from molting.curate.selection import Score, score_rows, select
from molting.curate.semantic import SemanticFinder, semantic_twins, told
from molting.signals.duplicates import groups
from molting.signals.noise import own_words

MINIMUM_ROWS = 12
"""Fewer usable rows cannot be split into training, validation and test."""
_VERSION = 6


def corpus_id(
    conversations: Sequence[Conversation],
    held_out: Sequence[Conversation],
    config: Config,
    decisions: Rulings | None = None,
) -> str:
    """The id a corpus made from these rows, this configuration and these decisions will have."""
    changes = applied([*conversations, *held_out], decisions or {})
    return fingerprint(
        "corpus", _VERSION,
        [(c.id, str(c.source)) for c in conversations],
        [(c.id, str(c.source)) for c in held_out],
        config.curate, config.split, own_words(config.persona), *([changes] if changes else []),
    )  # fmt: skip


def curate(
    conversations: Sequence[Conversation],
    held_out: Sequence[Conversation],
    config: Config,
    decisions: Rulings | None = None,
    finder: SemanticFinder | None = None,
) -> Corpus:
    """A new corpus. Raises CheckFailed when too few rows are left to train and measure.

    Without a finder semantic duplicates are not looked for, whatever `curate.semantic` says.
    """
    decisions = decisions or {}
    reviewed, reviewed_held_out = (Reviewed(rows, decisions) for rows in (conversations, held_out))
    # Decisions are about rows as they came, secrets and all.
    redacted, redacted_held_out = (
        redact_rows(side.rows, config.curate) for side in (reviewed, reviewed_held_out)
    )
    reviewed.rows, reviewed_held_out.rows = redacted.rows, redacted_held_out.rows
    rows = reviewed.rows
    splits: dict[int, SplitName] = {}
    verdicts = reviewed.after_noise(filter_rows(rows, config.curate, config.persona))

    left = [i for i in range(len(rows)) if i not in verdicts]
    scores = dict(zip(left, score_rows([rows[i] for i in left], config.curate.seed), strict=True))
    _reject_duplicates(rows, left, scores, config, verdicts)
    alike = _semantic(rows, left, scores, config, verdicts, finder)
    reviewed.after_duplicates(verdicts)

    held_out = reviewed_held_out.rows
    test_from_file, test_verdicts = _held_out_rows(reviewed_held_out, config)
    left = [i for i in left if i not in verdicts]
    usable_test = [c for c, v in zip(held_out, test_verdicts, strict=True) if v.kept]
    for leak in leaks([rows[i] for i in left], usable_test, config.curate.near_threshold):
        i = left[leak.left]
        verdicts.setdefault(
            i,
            Verdict(
                rows[i].id,
                False,
                "in_held_out",
                {
                    "twin": usable_test[leak.right].id,
                    "similarity": round(leak.similarity, 4),
                    "by": leak.by,
                    "exact": leak.exact,
                },
            ),
        )

    left = [i for i in left if i not in verdicts]
    if len(left) < MINIMUM_ROWS:
        reasons = sorted({verdict.reason for verdict in verdicts.values()})
        because = f" (rejected: {', '.join(reasons)})" if reasons else ""
        raise CheckFailed(
            f"only {len(left)} of {len(rows)} rows can be used{because}; at least {MINIMUM_ROWS} "
            "are needed to train, stop early and measure; add rows to data.files"
        )
    group = dict(
        zip(left, leak_groups([rows[i] for i in left], config.curate.near_threshold), strict=True)
    )
    _split(rows, left, group, config, verdicts, splits, own_test=not test_from_file)
    pool = [i for i in left if i not in splits and i not in verdicts]
    _choose(rows, pool, group, scores, config, verdicts, splits)
    reviewed.after_choice(pool, verdicts, splits)
    reviewed.explain(verdicts)
    for i, evidence in alike.items():
        if verdicts[i].reason != "semantic_duplicate":
            verdicts[i] = msgspec.structs.replace(
                verdicts[i], evidence={**verdicts[i].evidence, **evidence}
            )

    made = [
        Row(row, redacted.explain(i, verdicts[i]), splits.get(i), group.get(i))
        for i, row in enumerate(rows)
    ]
    made += [
        Row(row, redacted_held_out.explain(i, verdict), "test" if verdict.kept else None)
        for i, (row, verdict) in enumerate(zip(held_out, test_verdicts, strict=True))
    ]
    recipe = {
        "curate": msgspec.to_builtins(config.curate),
        "split": msgspec.to_builtins(config.split),
        "files": dict(Counter(row.source.file for row in rows)),
        "held_out": dict(Counter(row.source.file for row in held_out)),
        "semantic_encoder": finder.name if finder and config.curate.semantic != "off" else None,
        "review": counted([*conversations, *reviewed_held_out.originals], decisions),
    }
    made_id = corpus_id(conversations, reviewed_held_out.originals, config, decisions)
    return Corpus(made_id, tuple(made), recipe)


def _reject_duplicates(
    rows: Sequence[Conversation],
    left: Sequence[int],
    scores: dict[int, Score],
    config: Config,
    verdicts: dict[int, Verdict],
) -> None:
    """Of each group the best-scoring row stays (the first, where scores are as good as equal).

    The others name it and their likeness to it.
    """
    threshold = config.curate.near_threshold
    found = duplicate_rows([rows[i] for i in left], threshold, floor=threshold)
    likeness_of = Likeness(found)
    members: dict[int, list[int]] = {}
    for place, root in enumerate(groups(len(left), found.duplicates.pairs())):
        members.setdefault(root, []).append(place)
    for group in members.values():
        # Greedy: a row goes only if it is itself like a row that stays, not through a chain.
        stay: list[int] = []
        for place in sorted(group, key=lambda p: (-round(scores[left[p]].score, 1), p)):
            twin, likeness = None, 0.0
            for kept in stay:
                value = likeness_of(kept, place)
                if value > likeness:
                    twin, likeness = kept, value
            if twin is None:
                stay.append(place)
                continue
            reason = "exact_duplicate" if likeness_of.exact(twin, place) else "near_duplicate"
            row, other = rows[left[place]], rows[left[twin]]
            evidence = {
                "twin": other.id,
                "twin_source": str(other.source),
                "similarity": round(likeness, 4),
            }
            verdicts[left[place]] = Verdict(row.id, False, reason, evidence)


def _semantic(
    rows: Sequence[Conversation],
    left: Sequence[int],
    scores: dict[int, Score],
    config: Config,
    verdicts: dict[int, Verdict],
    finder: SemanticFinder | None,
) -> dict[int, dict[str, Any]]:
    """What to add to the evidence of rows that say the same as one that stays; on request those
    are rejected."""
    if finder is None or config.curate.semantic == "off":
        return {}
    places = [i for i in left if i not in verdicts]
    twins = semantic_twins(
        [rows[i] for i in places], [scores[i].score for i in places], finder,
        config.curate.semantic_threshold,
    )  # fmt: skip
    found = {}
    for place, (twin, probability) in twins.items():
        i, other = places[place], rows[places[twin]]
        found[i] = told(other, probability)
        if config.curate.semantic == "reject":
            evidence = {
                "twin": other.id,
                "twin_source": str(other.source),
                "similarity": round(probability, 4),
            }
            verdicts[i] = Verdict(rows[i].id, False, "semantic_duplicate", evidence)
    return found


def _held_out_rows(reviewed: Reviewed, config: Config) -> tuple[bool, list[Verdict]]:
    """Verdicts for rows of `data.held_out`: noise goes, and one row a prompt stays."""
    held_out = reviewed.rows
    verdicts = reviewed.after_noise(filter_rows(held_out, config.curate, config.persona))
    seen: dict[str, Conversation] = {}
    for i, row in enumerate(held_out):
        key = prompt_key(row)
        if i in verdicts:
            continue
        if key in seen:
            verdicts[i] = Verdict(row.id, False, "same_prompt", {"twin": seen[key].id})
        else:
            seen[key] = row
            verdicts[i] = Verdict(row.id, True, "held_out")
    if held_out and len(seen) < 4:
        raise CheckFailed(
            f"data.held_out: only {len(seen)} of {len(held_out)} rows can be used; "
            "at least 4 are needed (or leave data.held_out out: rows are then held out for you)"
        )
    reviewed.explain(verdicts)
    return bool(held_out), [verdicts[i] for i in range(len(held_out))]


def _split(
    rows: Sequence[Conversation],
    left: Sequence[int],
    group: dict[int, int],
    config: Config,
    verdicts: dict[int, Verdict],
    splits: dict[int, SplitName],
    *,
    own_test: bool,
) -> None:
    """Whole groups go to validation and test, one row a prompt; the rest stays for training."""
    usable = len(left)
    members: dict[int, list[int]] = {}
    for i in left:
        members.setdefault(group[i], []).append(i)
    # A held-out group costs training all its rows and gives one a prompt: of ten prompts with
    # twenty replies each, a sixth of the rows would be every prompt. So half the groups stay,
    # unless there are too few for the smallest sizes.
    prompts = len(members)
    validation = config.split.validation_rows or int(
        np.clip(min(usable // 10, prompts // 6), 2, 60)
    )
    test = config.split.test_rows or int(np.clip(min(usable // 6, prompts // 3), 4, 100))
    wanted: list[tuple[SplitName, int]] = [("validation", validation)]
    if own_test:
        wanted.insert(0, ("test", test))
    if sum(n for _, n in wanted) > usable - 4:
        raise CheckFailed(
            f"{usable} usable rows are too few to hold out "
            + " and ".join(f"{n} for {name}" for name, n in wanted)
            + "; lower split.validation_rows or split.test_rows, or add rows"
        )
    # By the content of the prompts, not by a draw of places: when a row comes or goes, every other
    # group keeps its side, so that two versions of a corpus are measured on the same prompts.
    order = sorted(
        members, key=lambda root: _draw(config.curate.seed, [rows[i] for i in members[root]])
    )
    counts: dict[str, int] = {}
    for root in order:
        name = next((name for name, n in wanted if counts.get(name, 0) < n), None)
        if name is None:
            break
        # A group as large as a tenth of the data would cost training more than it tells.
        if len(members[root]) > max(3, usable // 10, 2 * usable // prompts):
            continue
        seen: dict[str, int] = {}
        for i in members[root]:
            key = prompt_key(rows[i])
            if key in seen or counts.get(name, 0) >= dict(wanted)[name]:
                twin = rows[seen.get(key, members[root][0])].id
                verdicts[i] = Verdict(
                    rows[i].id, False, "same_prompt", {"twin": twin, "split": name}
                )
                continue
            seen[key] = i
            splits[i] = name
            verdicts[i] = Verdict(rows[i].id, True, "held_out", {"split": name})
            counts[name] = counts.get(name, 0) + 1
    # What was asked for must be there; the defaults may fall a little short.
    fewest = {"validation": config.split.validation_rows or 1, "test": config.split.test_rows or 4}
    short = any(counts.get(name, 0) < fewest[name] for name, _ in wanted)
    if short or sum(i not in verdicts for i in left) < 4:
        raise CheckFailed(
            f"{usable} usable rows in only {prompts} groups (rows that share a prompt or a reply "
            "stay together) are too few to hold out "
            + " and ".join(f"{n} for {name}" for name, n in wanted)
            + " and train on the rest; add rows with other prompts"
        )


def _draw(seed: int, group: Sequence[Conversation]) -> str:
    """A group's place in the drawing of held-out groups: random in the seed, fixed in its prompts."""
    return min(
        hashlib.blake2b(f"{seed}\n{prompt_key(row)}".encode(), digest_size=8).hexdigest()
        for row in group
    )


def _choose(
    rows: Sequence[Conversation],
    pool: Sequence[int],
    group: dict[int, int],
    scores: dict[int, Score],
    config: Config,
    verdicts: dict[int, Verdict],
    splits: dict[int, SplitName],
) -> None:
    chosen = select(
        [rows[i] for i in pool],
        [group[i] for i in pool],
        [scores[i] for i in pool],
        config.curate.target or len(pool),
        config.curate,
    )
    rank = {place: n for n, place in enumerate(chosen.order, 1)}
    for place, i in enumerate(pool):
        nearest = chosen.nearest[place]
        evidence: dict[str, Any] = {
            "score": round(scores[i].score, 4),
            **scores[i].parts(),
            "topic": chosen.topics[place],
            "topic_words": chosen.topic_words[chosen.topics[place]],
            "likeness": round(chosen.likeness[place], 4),
            "nearest": None if nearest is None else str(rows[pool[nearest]].source),
        }
        if chosen.phrases[place]:
            evidence["phrases_spent"] = list(chosen.phrases[place])
        if place in rank:
            evidence["rank"] = rank[place]
            splits[i] = "train"
        kept = place in rank
        reason = "selected" if kept else "not_selected"
        verdicts[i] = Verdict(rows[i].id, kept, reason, evidence)
