"""A/B sheets for people: which of two replies is more the persona's, not knowing who wrote which.

A sheet is made once for the transcripts as they are and kept with the molt: which side is the
tuned model's is drawn from a seed that is drawn too, and stands in the sheet, not on the page.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from molting.core.artifacts import file_hash, read_json, write_json
from molting.core.conversation import Turn
from molting.core.errors import InputError, UsageError
from molting.core.votes import Choice, Vote
from molting.evaluate.comparisons import (
    RIVALS,
    Pair,
    kappa,
    read_pairs,
    shown_prompt,
    voice_preference,
    win_rate,
)
from molting.signals.stats import Array


class SheetItem(msgspec.Struct, frozen=True):
    """One question: left or right?"""

    id: str
    pair: Pair
    tuned_is: str
    """`left` or `right`."""

    @property
    def sides(self) -> tuple[str, str]:
        if self.tuned_is == "left":
            return self.pair.tuned, self.pair.other
        return self.pair.other, self.pair.tuned


class Sheet(msgspec.Struct, frozen=True):
    """All questions about one molt's transcripts."""

    id: str
    molt: int
    transcripts: str
    """`b2:` hash of the file that the replies stand in."""
    seed: int
    items: tuple[SheetItem, ...]

    def item(self, id: str) -> SheetItem | None:
        return next((item for item in self.items if item.id == id), None)


class Ballot(msgspec.Struct, frozen=True):
    """The file that the page saves."""

    sheet: str
    voter: str
    votes: list[tuple[str, Choice]]


def open_sheet(folder: Path, molt: int, prompts: int, seed: int | None = None) -> Sheet:
    """The sheet kept in the molt's folder, or a new one where there is none for these replies."""
    transcripts, path = folder / "transcripts.jsonl", folder / "blind.json"
    if path.exists() and transcripts.exists():
        try:
            kept = msgspec.convert(read_json(path), Sheet)
        except msgspec.MsgspecError:
            kept = None
        if kept is not None and kept.transcripts == file_hash(transcripts):
            return kept
    seed = secrets.randbits(31) if seed is None else seed
    random = np.random.default_rng(seed)
    pairs = _one_a_prompt(read_pairs(transcripts, prompts, seed), random)
    if not pairs:
        raise UsageError(f"{transcripts}: the tuned model says everywhere the same as its rivals")
    items = []
    for place in random.permutation(len(pairs)):
        # Nothing that a voter sees may tell the side: the id is a hash that only the seed explains.
        mark = hashlib.blake2b(f"{seed} {place}".encode(), digest_size=6).hexdigest()
        items.append(SheetItem(mark, pairs[place], "left" if random.integers(2) else "right"))
    found = file_hash(transcripts)
    id = hashlib.blake2b(f"{found} {seed}".encode(), digest_size=6).hexdigest()
    sheet = Sheet(id, molt, found, seed, tuple(items))
    write_json(path, sheet)
    return sheet


def _one_a_prompt(pairs: Sequence[Pair], random: np.random.Generator) -> list[Pair]:
    """One rival for each prompt, in turn: who met a reply twice would know that it is the tune's."""
    by_prompt: dict[tuple[Turn, ...], list[Pair]] = {}
    for pair in pairs:
        if pair.tuned != pair.other:
            by_prompt.setdefault(pair.prompt, []).append(pair)
    every = list(by_prompt.values())
    found: list[Pair] = []
    for turn, place in enumerate(random.permutation(len(every))):
        rival = RIVALS[turn % len(RIVALS)]
        some = every[place]
        found.append(next((pair for pair in some if pair.rival == rival), some[0]))
    return found


def read_ballot(file: Path, sheet: Sheet) -> Ballot:
    """A saved vote file, checked against the sheet. Raises InputError."""
    try:
        ballot = msgspec.json.decode(file.read_bytes(), type=Ballot)
    except FileNotFoundError:
        raise InputError("no such file", file=file) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=file) from None
    except msgspec.MsgspecError as error:
        raise InputError(f"no votes: {error}; save them on the page again", file=file) from None
    if ballot.sheet != sheet.id:
        raise InputError(
            f"votes on sheet {ballot.sheet[:20]}, not on {sheet.id}: the replies have changed since",
            file=file,
        )
    for item, _ in ballot.votes:
        if sheet.item(item) is None:
            raise InputError(f"no item {item[:20]!r} on the sheet", file=file)
    if not ballot.voter.strip():
        raise InputError("the voter has no name", file=file)
    return ballot


def blind_page(sheet: Sheet, persona: str) -> str:
    """The sheet as one static page; it holds the replies and nothing that tells whose they are."""
    from importlib import resources

    from jinja2 import Environment

    shown = {
        "sheet": sheet.id,
        "persona": persona,
        "items": [
            {"id": item.id, "message": shown_prompt(item.pair.prompt), "sides": item.sides}
            for item in sheet.items
        ],
    }
    raw = msgspec.json.encode(shown).decode("utf-8")
    # Within a script no text may end it, whatever a model has written.
    raw = raw.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    template = resources.files("molting.evaluate").joinpath("blind.html").read_text("utf-8")
    return Environment(autoescape=True).from_string(template).render(persona=persona, data=raw)


def results(
    sheet: Sheet,
    votes: Sequence[Vote],
    voice: Callable[[Sequence[str]], Array] | None,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Win rates, agreement with the voice detector and between voters. The unit is the prompt."""
    cast = [(vote, item) for vote in votes if (item := sheet.item(vote.item)) is not None]
    wins = {}
    for rival in RIVALS:
        some = [(v, i) for v, i in cast if i.pair.rival == rival]
        wins[rival] = win_rate(
            [_win(v, i) for v, i in some], [shown_prompt(i.pair.prompt) for _, i in some],
            resamples, seed,
        )  # fmt: skip
    voters = sorted({vote.voter for vote, _ in cast})
    return {
        "sheet": sheet.id,
        "transcripts": sheet.transcripts,
        "items": len(sheet.items),
        "votes": len(cast),
        "ties": sum(vote.choice == "tie" for vote, _ in cast),
        "voters": {name: sum(v.voter == name for v, _ in cast) for name in voters},
        "left_chosen": msgspec.to_builtins(
            win_rate(
                [{"left": 1.0, "tie": 0.5}.get(v.choice, 0.0) for v, _ in cast],
                [shown_prompt(i.pair.prompt) for _, i in cast], resamples, seed,
            )
        ),
        "wins_over": msgspec.to_builtins(wins),
        "agreement_with_voice": _agreement(cast, voice, resamples, seed),
        "between_voters": [
            {"voters": [one, other], "kappa": msgspec.to_builtins(_between(cast, one, other, resamples, seed))}
            for one, other in combinations(voters, 2)
        ],
    }  # fmt: skip


def _win(vote: Vote, item: SheetItem) -> float:
    return 0.5 if vote.choice == "tie" else float(vote.choice == item.tuned_is)


def _agreement(
    cast: Sequence[tuple[Vote, SheetItem]],
    voice: Callable[[Sequence[str]], Array] | None,
    resamples: int,
    seed: int,
) -> dict[str, Any] | None:
    """Do people prefer the reply that the voice detector takes for the persona's?"""
    if voice is None or not cast:
        return None
    theirs = voice_preference([item.pair for _, item in cast], voice)
    ours = [int(np.sign(_win(vote, item) - 0.5)) for vote, item in cast]
    agreed = [float(a == b) for a, b in zip(ours, theirs, strict=True)]
    prompts = [shown_prompt(item.pair.prompt) for _, item in cast]
    return {
        "share": msgspec.to_builtins(win_rate(agreed, prompts, resamples, seed)),
        "kappa": msgspec.to_builtins(kappa(ours, theirs, resamples, seed)),
    }


def _between(
    cast: Sequence[tuple[Vote, SheetItem]], one: str, other: str, resamples: int, seed: int
) -> Any:
    first, second = (
        {item.id: vote.choice for vote, item in cast if vote.voter == name} for name in (one, other)
    )
    both = sorted(first.keys() & second.keys())
    return kappa([first[i] for i in both], [second[i] for i in both], resamples, seed)
