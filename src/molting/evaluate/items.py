"""Items with a right answer: what they look like, where they ship, how a file of them is read.

One JSON object a line, in one of four shapes, all of one file alike:

    {"good": "…", "bad": "…"}                                  minimal pairs (BLiMP)
    {"query": "…", "choices": ["…", …], "gold": 0}             multiple choice (ARC, PIQA, COPA)
    {"context_options": ["…", …], "continuation": "…", "gold": 0}   which context fits (WinoGrande)
    {"context": "…", "continuation": "…"}                      the next words (LAMBADA)
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from molting.core.artifacts import file_hash
from molting.core.config import Evaluate, read_text_input
from molting.core.errors import ConfigError, InputError

SHIPPED = ("grammar", "everyday")
"""Sets that every evaluation asks."""
Kind = Literal["pairs", "choices", "contexts", "continuation"]


class Item(msgspec.Struct, frozen=True):
    """One question: candidate texts, each a context and what is scored behind it."""

    candidates: tuple[tuple[str, str], ...]
    """(context, continuation): the continuation's log-probability is asked. An empty context is
    the beginning of a text."""
    gold: int
    group: str = ""
    """Items of one group are one cluster of the bootstrap; empty: an item of its own."""


class ItemSet(msgspec.Struct, frozen=True):
    name: str
    kind: Kind
    items: tuple[Item, ...]


class Asked(NamedTuple):
    """What molting.toml names beside what ships."""

    sets: tuple[ItemSet, ...] = ()
    text: tuple[str, str] | None = None
    """A neutral text's name and the text."""
    key: tuple[str, ...] = ()
    """Hashes of the files' content."""


NOTHING = Asked()


def read_asked(root: Path, options: Evaluate) -> Asked:
    """The files of `evaluate.retention` and `evaluate.neutral_text`, relative to `root`.

    Raises InputError or ConfigError: which file, which line, what is expected.
    """
    files = [root / name for name in options.retention]
    names = [file.stem for file in files]
    for name in names:
        if names.count(name) > 1 or name in SHIPPED or name in ("copying", "neutral_perplexity"):
            raise ConfigError(
                f"two sets would be called {name!r}; rename a file", key="evaluate.retention"
            )
    sets = tuple(read_set(file, options.retention_items) for file in files)
    text = None
    if options.neutral_text:
        files.append(root / options.neutral_text)
        text = (files[-1].stem, read_text_input(files[-1]))
    return Asked(sets, text, tuple(file_hash(file) for file in files))


def shipped_sets() -> tuple[ItemSet, ...]:
    """Sentences of good and bad grammar, and everyday questions, written for this project."""
    found = []
    for name in SHIPPED:
        text = resources.files("molting.data").joinpath(f"{name}.jsonl").read_text("utf-8")
        found.append(_parse(name, text, f"{name}.jsonl"))
    return tuple(found)


def read_set(path: Path, most: int) -> ItemSet:
    """The items of a file, at most `most`, taken evenly from all of it; named as the file is.

    Raises InputError: the file, the line, what is expected.
    """
    whole = _parse(path.stem, read_text_input(path), path.name)
    return ItemSet(whole.name, whole.kind, evenly(whole.items, most))


def evenly(items: Sequence[Item], most: int) -> tuple[Item, ...]:
    """At most `most` items, evenly spaced; members of a group stay together."""
    if len(items) <= most:
        return tuple(items)
    groups: dict[str, list[Item]] = {}
    for i, item in enumerate(items):
        groups.setdefault(item.group or f"\0{i}", []).append(item)
    kept = list(groups.values())
    share = max(1, most * len(kept) // len(items))
    chosen = [kept[k * len(kept) // share] for k in range(share)]
    return tuple(item for group in chosen for item in group)[:most]


def _parse(name: str, text: str, shown: str) -> ItemSet:
    kind: Kind | None = None
    items = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            raw = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise InputError(f"not JSON: {error}", file=shown, line=number) from None
        found = _kind(raw)
        if found is None:
            raise InputError(
                "has none of the known shapes: good + bad, query + choices + gold, "
                "context_options + continuation + gold, context + continuation",
                file=shown,
                line=number,
            )
        if kind not in (None, found):
            raise InputError(
                f"is of the kind {found!r}, the lines before it {kind!r}; one kind a file",
                file=shown,
                line=number,
            )
        kind = found
        items.append(_item(found, raw, shown, number))
    if kind is None:
        raise InputError("has no items", file=shown)
    return ItemSet(name, kind, tuple(items))


def _kind(raw: Any) -> Kind | None:
    if not isinstance(raw, dict):
        return None

    def has(*keys: str) -> bool:
        return all(isinstance(raw.get(key), str) and raw[key].strip() for key in keys)

    if has("good", "bad"):
        return "pairs"
    if has("query") and _texts(raw.get("choices")):
        return "choices"
    if has("continuation") and _texts(raw.get("context_options")):
        return "contexts"
    return "continuation" if has("context", "continuation") else None


def _texts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) >= 2
        and all(isinstance(text, str) and text.strip() for text in value)
    )


def _item(kind: Kind, raw: dict[str, Any], shown: str, number: int) -> Item:
    if kind == "pairs":
        return Item((("", raw["good"].strip()), ("", raw["bad"].strip())), 0)
    if kind == "continuation":
        return Item(((raw["context"].rstrip(), raw["continuation"].strip()),), 0)
    options = raw["choices"] if kind == "choices" else raw["context_options"]
    gold = raw.get("gold")
    if not isinstance(gold, int) or not 0 <= gold < len(options):
        raise InputError(
            f"`gold` must be the place of the right option, 0 to {len(options) - 1}",
            file=shown,
            line=number,
        )
    if kind == "choices":
        context = _asked(raw["query"])
        return Item(tuple((context, choice.strip()) for choice in options), gold)
    candidates = tuple((option.rstrip(), raw["continuation"].strip()) for option in options)
    # Twins share their contexts, in either order.
    return Item(candidates, gold, " | ".join(sorted(option.strip() for option in options)))


def _asked(query: str) -> str:
    """A question gets its "Answer:", as lm-evaluation-harness asks; a beginning stays as it is."""
    query = query.strip()
    return f"{query}\nAnswer:" if query.startswith("Question:") else query
