"""Chats that are the same but for where they part, how they are cut up, or their order."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

from molting.core.conversation import Conversation
from molting.signals.duplicates import Pair, groups, near_pairs
from molting.signals.gist import Gist, gist, nearly_same, same_prompt
from molting.signals.text import fold, words

Kind = Literal[
    "same_reply_other_prompt", "conflicting_replies", "shared_prefix", "merged_turns",
    "reordered_turns", "shared_system", "catch_phrase",
]  # fmt: skip

MESSAGE_THRESHOLD = 0.75
"""Messages of this Jaccard similarity are looked at; whether they say the same decides."""
_COMMON = 40
"""An exchange that stands in more rows than this is a habit of the corpus, not a trace of a copy."""

_REMEDIES: dict[Kind, str] = {
    "shared_prefix": "keep the chat that goes on longest or ends best, or train on its last reply "
    "only; and keep all of them on one side of the split",
    "merged_turns": "keep one of them, cut up as the model will meet it",
    "reordered_turns": "keep one of them; the order that makes sense",
}


class KindFinding(msgspec.Struct, frozen=True):
    """One finding: its kind, the rows concerned, what shows it, and what to do."""

    kind: Kind
    rows: tuple[int, ...]
    """Places in the sequence of conversations, ascending; for `catch_phrase` those beyond budget."""
    parts: tuple[tuple[int, ...], ...]
    """The rows, grouped by what they have in common: two rows of different parts make a pair of
    this kind, two of one part are alike (one answer, one continuation, one order)."""
    evidence: dict[str, Any]
    """Turn numbers (from 0, as `[row, turn]`), texts, similarity, phrase, share."""
    remedy: str

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Every pair of rows that the finding is about, smaller row first."""
        for one, other in itertools.combinations(self.parts, 2):
            for left, right in itertools.product(one, other):
                yield min(left, right), max(left, right)


class Run(NamedTuple):
    """Neighbouring messages of one role, joined. Equal `number`: the same message."""

    role: str
    turn: int
    """Number of its first message in the conversation."""
    text: str
    number: int
    gist: Gist


@dataclass(frozen=True)
class Chat:
    """A conversation as its messages compare: system prompt apart, runs of one role joined."""

    row: int
    system: str
    messages: tuple[tuple[str, str], ...]
    """Role and words of every message but the system prompt."""
    runs: tuple[Run, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(run.number for run in self.runs)


def read_chats(conversations: Sequence[Conversation]) -> list[Chat]:
    """Conversations with their messages numbered: nearly the same message, the same number."""
    joined: list[list[tuple[str, int, str]]] = []
    for row in conversations:
        runs: list[tuple[str, int, str]] = []
        for i, turn in enumerate(row.turns):
            if turn.role == "system" or not turn.text.strip():
                continue
            if runs and runs[-1][0] == turn.role:
                runs[-1] = (turn.role, runs[-1][1], f"{runs[-1][2]}\n{turn.text}")
            else:
                runs.append((turn.role, i, turn.text))
        joined.append(runs)
    known: dict[tuple[str, str], int] = {}
    for runs in joined:
        for role, _, text in runs:
            known.setdefault((role, text), len(known))
    number = _same_messages(list(known))
    chats = []
    for row_number, (row, runs) in enumerate(zip(conversations, joined, strict=True)):
        system = "\n".join(fold(t.text) for t in row.turns if t.role == "system")
        spoken = [t for t in row.turns if t.role != "system" and t.text.strip()]
        messages = tuple((t.role, " ".join(words(t.text)) or fold(t.text)) for t in spoken)
        made = tuple(
            Run(role, turn, text, number[known[role, text]], gist(text))
            for role, turn, text in runs
        )
        chats.append(Chat(row_number, system, messages, made))
    return chats


def _same_messages(texts: Sequence[tuple[str, str]]) -> list[int]:
    """For each (role, text) the number of the first that says the same in nearly the same words."""
    gists = [gist(text) for _, text in texts]
    pairs: list[Pair] = []
    first: dict[Any, int] = {}
    for i, ((role, text), said) in enumerate(zip(texts, gists, strict=True)):
        asked = role == "user" and not said.phatic and said.content
        plain = said.key if asked else " ".join(words(text)) or fold(text)
        j = first.setdefault((role, plain), i)
        if j != i:
            pairs.append(Pair(j, i, 1.0))
        if asked:
            # Proposes prompts that use the same words in other forms.
            key = (role, said.asks, said.numbers, tuple(sorted(said.content)))
            j = first.setdefault(key, i)
            if j != i and same_prompt(gists[j], said):
                pairs.append(Pair(j, i, 1.0))
    for role, same in (("user", same_prompt), ("assistant", nearly_same)):
        places = [i for i, (r, _) in enumerate(texts) if r == role]
        for pair in near_pairs([texts[i][1] for i in places], MESSAGE_THRESHOLD):
            left, right = places[pair.left], places[pair.right]
            if same(gists[left], gists[right]) or nearly_same(gists[left], gists[right]):
                pairs.append(Pair(left, right, pair.similarity))
    return groups(len(texts), pairs)


def structures(chats: Sequence[Chat]) -> list[KindFinding]:
    """Findings of `shared_prefix`, `merged_turns` and `reordered_turns`.

    Chats that are wholly the same are none of these. A pair that is merged or reordered is not
    called a shared prefix as well.
    """
    merged = _merged(chats)
    reordered = _reordered(chats, {pair for finding in merged for pair in finding.pairs()})
    taken = {pair for finding in (*merged, *reordered) for pair in finding.pairs()}
    return [*_prefixes(chats, taken), *merged, *reordered]


def _prefixes(chats: Sequence[Chat], taken: set[tuple[int, int]]) -> list[KindFinding]:
    """One finding for each place where chats part; deeper places have findings of their own."""
    # A chain of numbers, so that a prefix is one dictionary entry however long it is.
    nodes: dict[tuple[int, int], int] = {}
    through: dict[int, list[int]] = defaultdict(list)
    trails: list[list[int]] = []
    for place, chat in enumerate(chats):
        node, trail = 0, []
        for number in chat.numbers:
            node = nodes.setdefault((node, number), len(nodes) + 1)
            through[node].append(place)
            trail.append(node)
        trails.append(trail)
    found = []
    for node, places in through.items():
        if len(places) < 2:
            continue
        depth = trails[places[0]].index(node) + 1
        after: dict[int, list[int]] = defaultdict(list)
        for place in places:
            after[trails[place][depth] if depth < len(trails[place]) else -1].append(place)
        shared = chats[places[0]].runs[:depth]
        if len(after) < 2 or not _substantial(shared):
            continue
        evidence = {
            "shared_turns": depth,
            "parts_at": [[place, _turn_at(chats[place], depth)] for place in places],
            "last_shared": shared[-1].text[:200],
            "one_is_a_prefix": -1 in after,
        }
        found.append(_finding("shared_prefix", after.values(), evidence))
    left = [f for f in found if not all(pair in taken for pair in f.pairs())]
    return sorted(left, key=lambda f: (f.rows, f.evidence["shared_turns"]))


def _turn_at(chat: Chat, depth: int) -> int | None:
    return chat.runs[depth].turn if depth < len(chat.runs) else None


def _substantial(runs: Sequence[Run]) -> bool:
    """Whether one of the exchanges is more than small talk on both sides."""
    return any(
        one.role == "user" and other.role == "assistant"
        and not one.gist.phatic and not other.gist.phatic
        and one.gist.content and other.gist.content
        for one, other in itertools.pairwise(runs)
    )  # fmt: skip


def _merged(chats: Sequence[Chat]) -> list[KindFinding]:
    """The same messages cut up otherwise: the same words in all, or those of each role."""
    keys: list[list[Any]] = []
    for chat in chats:
        by_role = tuple(
            " ".join(text for role, text in chat.messages if role == wanted)
            for wanted in ("user", "assistant")
        )
        whole = " ".join(text for _, text in chat.messages)
        keys.append([chat.numbers, whole, by_role] if chat.messages else [])
    found = []
    for group in _groups_of(keys):
        cuts: dict[Any, list[int]] = defaultdict(list)
        same_runs = len({chats[place].numbers for place in group}) == 1
        for place in group:
            cuts[_cut(chats[place], same_runs)].append(place)
        if len(cuts) > 1:
            counts = [[place, len(chats[place].messages)] for place in group]
            found.append(_finding("merged_turns", cuts.values(), {"messages": counts}))
    return sorted(found, key=lambda f: f.rows)


def _cut(chat: Chat, same_runs: bool) -> Any:
    """How a chat is cut into messages; equal for the same messages in another order."""
    roles = [role for role, _ in chat.messages]
    if same_runs:
        return tuple((role, len(list(run))) for role, run in itertools.groupby(roles))
    return tuple(sorted((role, len(text.split())) for role, text in chat.messages))


def _reordered(chats: Sequence[Chat], merged: set[tuple[int, int]]) -> list[KindFinding]:
    """The same messages in another order; or pairs that share exchanges, not in the same order.

    A pair must share at least two exchanges, and half of the shorter chat's.
    """
    found = []
    whole: set[tuple[int, int]] = set()
    for group in _groups_of([[tuple(sorted(chat.messages))] for chat in chats]):
        orders: dict[Any, list[int]] = defaultdict(list)
        for place in group:
            orders[chats[place].messages].append(place)
        talk = all(run.gist.phatic for run in chats[group[0]].runs)
        if len(orders) > 1 and not talk:
            count = len(chats[group[0]].messages)
            made = _finding("reordered_turns", orders.values(), {"messages": count})
            whole |= set(made.pairs())
            found.append(made)
    units = [_exchanges(chat) for chat in chats]
    where: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, own in enumerate(units):
        for unit in own:
            where[unit].append(place)
    shared: Counter[tuple[int, int]] = Counter()
    for places in where.values():
        if 2 <= len(places) <= _COMMON:
            shared.update(itertools.combinations(places, 2))
    known = merged | whole
    for (left, right), count in sorted(shared.items()):
        if count < 2 or (left, right) in known:
            continue
        ours = [unit for unit in units[left] if unit in units[right]]
        theirs = [unit for unit in units[right] if unit in units[left]]
        if ours == theirs or 2 * count < min(len(units[left]), len(units[right])):
            continue
        evidence = {"exchanges": count, "of": [len(units[left]), len(units[right])]}
        found.append(_finding("reordered_turns", [[left], [right]], evidence))
    return sorted(found, key=lambda f: f.rows)


def _exchanges(chat: Chat) -> dict[tuple[int, int], None]:
    """Prompt and reply, by number, in order; those that are more than small talk."""
    return {
        (one.number, other.number): None
        for one, other in itertools.pairwise(chat.runs)
        if _substantial((one, other))
    }


def _groups_of(keys: Sequence[Sequence[Any]]) -> list[list[int]]:
    """Places that share a key, directly or through others; groups of two and more."""
    first: dict[Any, int] = {}
    pairs = []
    for place, own in enumerate(keys):
        for kind, key in enumerate(own):
            other = first.setdefault((kind, key), place)
            if other != place:
                pairs.append(Pair(other, place, 1.0))
    members: dict[int, list[int]] = defaultdict(list)
    for place, root in enumerate(groups(len(keys), pairs)):
        members[root].append(place)
    return [group for group in members.values() if len(group) > 1]


def _finding(kind: Kind, parts: Iterable[Sequence[int]], evidence: dict[str, Any]) -> KindFinding:
    made = tuple(tuple(part) for part in parts)
    rows = tuple(sorted(place for part in made for place in part))
    return KindFinding(kind, rows, made, evidence, _REMEDIES[kind])
