from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.config import Config, override, parse_config
from molting.core.conversation import Conversation, Source, Turn
from molting.core.corpus import Corpus, Row
from molting.core.errors import CheckFailed
from molting.core.rulings import Decision, Ruling, rulings
from molting.curate.filters import REASONS
from molting.curate.findings import merge, soften
from molting.curate.grouping import prompt_key
from molting.curate.pipeline import corpus_id, curate
from molting.curate.preflight import inspect
from molting.curate.reviewed import kept_by_person

WORDS = (
    "harbour", "lantern", "rope", "gull", "barrel", "tide", "compass", "anchor", "storm", "parrot",
    "biscuit", "map", "chest", "island", "cannon", "sail", "deck", "rum", "fog", "whale", "moon",
    "coral", "shark", "oar", "plank", "mast", "keel", "crow", "wind", "wave", "shell", "pearl",
)  # fmt: skip


def sentence(seed: int, size: int = 9) -> str:
    return " ".join(random.Random(seed).sample(WORDS, size)) + "."


def row(prompt: str, reply: str, line: int = 1, file: str = "a.jsonl") -> Conversation:
    return Conversation((Turn("user", prompt), Turn("assistant", reply)), Source(file, line))


def good(count: int, first: int = 0, file: str = "a.jsonl") -> list[Conversation]:
    return [
        row(sentence(i, 6), sentence(1000 + i), i + 1, file) for i in range(first, first + count)
    ]


def decide(*said: tuple[str, Conversation, str], words: str = "") -> dict[str, Ruling]:
    """Rulings of (reviewer, row, action)."""
    made = []
    for number, (reviewer, about, action) in enumerate(said, 1):
        turns = (about.turns[0], Turn("assistant", words)) if action == "edit" else ()
        made.append(
            Decision(number, f"b2:{number:032x}", "", reviewer, about.id, action, turns,  # type: ignore[arg-type]
                     about.turns if turns else (), note=f"note {number}")
        )  # fmt: skip
    return rulings(made)


def find(corpus: Corpus, line: int, file: str = "a.jsonl") -> Row:
    return next(r for r in corpus.rows if r.conversation.source == Source(file, line))


def test_a_rejected_row_goes_and_says_who_and_why() -> None:
    rows = good(20)
    corpus = curate(rows, [], Config(), decide(("anna", rows[3], "reject")))
    (gone,) = corpus.rejected
    assert gone.conversation == rows[3]
    assert (gone.verdict.reason, gone.split) == ("rejected_by_reviewer", None)
    assert gone.verdict.evidence == {
        "action": "reject", "reviewer": "anna", "decision": f"b2:{1:032x}", "note": "note 1",
    }  # fmt: skip
    assert corpus.recipe["review"] == {"reject": 1}


def test_a_rejected_row_is_no_duplicates_twin_and_no_held_out_row() -> None:
    rows = [*good(20), row(sentence(500, 6), sentence(1003) + " Aye!", 21)]
    assert {r.verdict.reason for r in curate(rows, [], Config()).rejected} == {"near_duplicate"}
    corpus = curate(rows, [], Config(), decide(("anna", rows[3], "reject")))
    assert find(corpus, 21).verdict.kept
    held_out = good(6, first=40, file="test.jsonl")
    rows = [*good(20), row(held_out[0].prompt, sentence(900), 21)]
    corpus = curate(rows, held_out, Config(), decide(("anna", held_out[0], "reject")))
    assert find(corpus, 41, "test.jsonl").verdict.reason == "rejected_by_reviewer"
    assert find(corpus, 21).verdict.kept, "what nobody is measured on gives nothing away"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("As an AI, I cannot sail.", "boilerplate"),
        ("429 Too Many Requests", "error"),
        ("Mail a@b.example now.", "secret"),
        ("Aye.", "too_short"),
    ],
)
def test_a_kept_row_stays_in_spite_of_a_noise_filter(reply: str, reason: str) -> None:
    noisy = row("what now", reply, 21)
    rows = [*good(20), noisy]
    assert find(curate(rows, [], Config()), 21).verdict.reason == reason
    kept = find(curate(rows, [], Config(), decide(("anna", noisy, "keep"))), 21)
    assert kept.verdict.kept
    assert kept.verdict.evidence["over"] == [reason]
    assert kept.verdict.evidence["reviewer"] == "anna"


def test_a_row_with_nothing_to_train_on_cannot_be_kept() -> None:
    empty = row("what now", "  ", 21)
    corpus = curate([*good(20), empty], [], Config(), decide(("anna", empty, "keep")))
    verdict = find(corpus, 21).verdict
    assert (verdict.kept, verdict.reason) == (False, "empty_reply")
    assert verdict.evidence["cannot"] == "there is nothing to train on"


@pytest.mark.parametrize("kind", ["near_duplicate", "exact_duplicate"])
def test_a_kept_duplicate_stays_beside_its_twin(kind: str) -> None:
    rows = good(20)
    reply = rows[3].reply + " Aye!" if kind == "near_duplicate" else rows[3].reply
    twin = row(sentence(500, 6), reply, 21)
    (gone,) = curate([*rows, twin], [], Config()).rejected
    assert gone.verdict.reason == kind
    corpus = curate([*rows, twin], [], Config(), decide(("anna", gone.conversation, "keep")))
    assert corpus.rejected == ()
    kept = find(corpus, gone.conversation.source.line)
    assert kept.verdict.evidence["over"] == [kind]
    other = find(corpus, 4 if kept.conversation is twin else 21)
    assert kept.group == other.group, "so that no split stands between them"
    assert kept.split == other.split


def test_the_same_conversation_is_kept_once() -> None:
    rows = good(20)
    copy = row(rows[3].prompt.upper(), rows[3].reply.upper(), 21)
    same = row(rows[4].prompt, rows[4].reply, 22)
    said = decide(("anna", copy, "keep"), ("anna", rows[3], "keep"), ("anna", same, "keep"))
    corpus = curate([*rows, copy, same], [], Config(), said)
    assert Counter(r.verdict.reason for r in corpus.rejected) == {"exact_duplicate": 2}
    for gone in corpus.rejected:
        assert gone.verdict.evidence["cannot"] == "the same conversation is kept once"


def test_kept_rows_take_the_places_of_those_selected_last() -> None:
    config = override(Config(), "curate", target=12)
    rows = good(40)
    before = curate(rows, [], config)
    out = [r.conversation for r in before.rejected if r.verdict.reason == "not_selected"][:2]
    after = curate(rows, [], config, decide(*(("anna", c, "keep") for c in out)))
    train = after.split("train")
    assert len(train) == 12
    assert set(out) <= set(train)
    last = {r.conversation for r in before.kept if r.verdict.evidence.get("rank", 0) > 10}
    assert set(before.split("train")) - set(train) == last
    ranks = sorted(r.verdict.evidence["rank"] for r in after.kept if r.split == "train")
    assert ranks == list(range(1, 13))
    for c in out:
        assert find(after, c.source.line).verdict.evidence["over"] == ["not_selected"]
    gave = [r for r in after.rejected if "gave_way_to" in r.verdict.evidence]
    assert {r.conversation for r in gave} == last
    assert {r.verdict.evidence["gave_way_to"] for r in gave} == {c.id for c in out}
    for name in ("validation", "test"):
        assert after.split(name) == before.split(name)  # type: ignore[arg-type]


def test_more_kept_rows_than_the_target_has_places_all_stay() -> None:
    config = override(Config(), "curate", target=5)
    rows = good(40)
    said = decide(*(("anna", c, "keep") for c in rows))
    corpus = curate(rows, [], config, said)
    assert corpus.rejected == ()
    ranks = sorted(r.verdict.evidence["rank"] for r in corpus.kept if r.split == "train")
    assert ranks == list(range(1, len(ranks) + 1))


def test_what_is_held_out_cannot_be_kept_in_training() -> None:
    held_out = good(6, first=40, file="test.jsonl")
    leak = row(held_out[0].prompt.upper(), sentence(900), 21)
    said = decide(("anna", leak, "keep"), ("anna", held_out[1], "keep"))
    corpus = curate([*good(20), leak, row("x", held_out[1].reply, 22)], held_out, Config(), said)
    verdict = find(corpus, 21).verdict
    assert (verdict.kept, verdict.reason) == (False, "in_held_out")
    assert verdict.evidence["cannot"] == "what is held out cannot be kept in training"
    assert verdict.evidence["twin"] == held_out[0].id
    test = find(corpus, 42, "test.jsonl")
    assert (test.split, "cannot" in test.verdict.evidence) == ("test", True)
    assert leak not in corpus.split("train")


def test_another_reply_to_a_held_out_prompt_cannot_be_kept_either() -> None:
    rows = [
        row(sentence(i, 6), sentence(3000 + 10 * i + k), 4 * i + k)
        for i in range(10)
        for k in range(4)
    ]
    before = curate(rows, [], Config())
    gone = before.rejected[0].conversation
    corpus = curate(rows, [], Config(), decide(("anna", gone, "keep")))
    verdict = find(corpus, gone.source.line).verdict
    assert (verdict.kept, verdict.reason) == (False, "same_prompt")
    assert "held out" in verdict.evidence["cannot"]
    assert prompt_key(gone) not in {prompt_key(c) for c in corpus.split("train")}


def test_an_edit_replaces_the_text_and_names_the_original() -> None:
    rows = [*good(20), row("what now", "As an AI, I cannot sail.", 21)]
    said = decide(("anna", rows[20], "edit"), words="We sail at dawn, as ever.")
    edited = find(curate(rows, [], Config(), said), 21)
    assert edited.verdict.kept
    assert edited.conversation.reply == "We sail at dawn, as ever."
    assert edited.verdict.id == edited.conversation.id != rows[20].id
    evidence = edited.verdict.evidence
    assert (evidence["action"], evidence["original"]) == ("edit", rows[20].id)
    assert "over" not in evidence, "the new words need no exception"
    # The same original read again, from another file and line, finds its edit.
    moved = [*good(20), row("what now", "As an AI, I cannot sail.", 7, "b.jsonl")]
    again = find(curate(moved, [], Config(), said), 7, "b.jsonl")
    assert again.conversation.turns == edited.conversation.turns


def test_an_edit_that_still_leaks_stays_out() -> None:
    held_out = good(6, first=40, file="test.jsonl")
    rows = good(20)
    said = decide(("anna", rows[3], "edit"), words=held_out[2].reply)
    verdict = find(curate(rows, held_out, Config(), said), 4).verdict
    assert (verdict.kept, verdict.reason) == (False, "in_held_out")
    assert verdict.evidence["original"] == rows[3].id


def test_disagreement_is_told() -> None:
    rows = good(20)
    said = decide(("anna", rows[3], "reject"), ("bob", rows[3], "keep"))
    verdict = find(curate(rows, [], Config(), said), 4).verdict
    assert verdict.reason == "rejected_by_reviewer"
    assert verdict.evidence["reviewer"] == "anna"
    assert verdict.evidence["disagreement"] == {"anna": "reject", "bob": "keep"}


def test_an_id_knows_what_decisions_do_and_not_who_made_them() -> None:
    rows = good(20)

    def id_of(said: dict[str, Ruling]) -> str:
        assert curate(rows, [], Config(), said).id == corpus_id(rows, [], Config(), said)
        return corpus_id(rows, [], Config(), said)

    none = corpus_id(rows, [], Config())
    reject = id_of(decide(("anna", rows[3], "reject")))
    assert id_of({}) == none
    assert id_of(decide(("anna", good(1, first=77)[0], "reject"))) == none, "it is not about these"
    others = {
        reject,
        id_of(decide(("anna", rows[3], "keep"))),
        id_of(decide(("anna", rows[4], "reject"))),
        id_of(decide(("anna", rows[3], "edit"), words="Half a pot of broth.")),
        id_of(decide(("anna", rows[3], "edit"), words="A whole pot of broth.")),
    }
    assert len(others | {none}) == 6
    assert id_of(decide(("bob", rows[9], "note"), ("bob", rows[3], "reject"))) == reject


@st.composite
def reviewed_rows(
    draw: st.DrawFn,
) -> tuple[list[Conversation], list[Conversation], dict[str, Ruling]]:
    rows = good(draw(st.integers(18, 24)))
    some = st.sampled_from(rows)
    extra = st.one_of(
        st.builds(lambda c, n: row(c.prompt, sentence(n)), some, st.integers(2000, 2099)),
        st.builds(lambda n, c: row(sentence(n), c.reply + " Aye!"), st.integers(2100, 2199), some),
        st.builds(lambda c: row(c.prompt, c.reply), some),
        st.builds(row, st.just("now"), st.sampled_from(["", "Aye.", "As an AI, I cannot sail."])),
    )
    rows += draw(st.lists(extra, max_size=10))
    rows = [row(c.prompt, c.reply, line) for line, c in enumerate(rows, 1)]
    held_out = good(5, first=40, file="test.jsonl") if draw(st.booleans()) else []
    if held_out:
        rows.append(row(held_out[0].prompt, sentence(3000), len(rows) + 1))
    about = draw(
        st.lists(st.sampled_from([*rows, *held_out]), max_size=12, unique_by=lambda c: c.id)
    )
    said = [("anna", c, draw(st.sampled_from(["keep", "reject", "edit"]))) for c in about]
    words = draw(st.sampled_from(["Clack, and welcome.", "As an AI, I cannot.", rows[0].reply]))
    return rows, held_out, decide(*said, words=words)


@settings(max_examples=15, deadline=None)
@given(reviewed_rows(), st.sampled_from([None, 5]))
def test_nothing_disappears_nothing_leaks_and_every_decision_is_accounted_for(
    made: tuple[list[Conversation], list[Conversation], dict[str, Ruling]], target: int | None
) -> None:
    rows, held_out, said = made
    try:
        corpus = curate(rows, held_out, override(Config(), "curate", target=target), said)
    except CheckFailed:
        return
    came_in = [*rows, *held_out]
    assert len(corpus.rows) == len(came_in)
    assert {r.verdict.reason for r in corpus.rejected} <= set(REASONS)
    held = {prompt_key(c) for name in ("validation", "test") for c in corpus.split(name)}  # type: ignore[arg-type]
    for original, r in zip(came_in, corpus.rows, strict=True):
        assert r.verdict.id == r.conversation.id
        assert r.conversation.source == original.source
        assert (r.split is not None) == r.verdict.kept
        evidence = r.verdict.evidence
        assert r.split != "train" or prompt_key(r.conversation) not in held
        ruling = said.get(original.id)
        if ruling is None:
            assert r.conversation == original
            assert "reviewer" not in evidence
            continue
        assert evidence["reviewer"] == "anna"
        assert evidence["decision"] == ruling.decision.id
        if not ruling.kept:
            assert (r.verdict.kept, r.verdict.reason) == (False, "rejected_by_reviewer")
        else:
            assert r.split == "train" or evidence["cannot"]
            assert r.verdict.reason not in (
                "not_selected",
                "near_duplicate",
                "boilerplate",
                "too_short",
            )
        assert evidence.get("original", r.conversation.id) == original.id or ruling.edit is None


def test_one_rejected_row_leaves_the_others_in_their_splits() -> None:
    rows = good(120)
    before = curate(rows, [], Config())
    sides = {r.conversation: r.split for r in before.kept}
    for gone in (before.split("train")[0], before.split("test")[0]):
        after = curate(rows, [], Config(), decide(("anna", gone, "reject")))
        moved = [r for r in after.kept if sides[r.conversation] != r.split]
        assert len(moved) <= 4, "the sizes may give way by one; nothing is drawn anew"


def test_what_a_person_kept_does_not_stop_training() -> None:
    noisy = row("what now", "As an AI, I cannot sail.", 21)
    rows = [*good(20), noisy]
    config = parse_config({"curate": {"seed": 1}})
    corpus = curate(rows, [], config, decide(("anna", noisy, "keep")))
    training = corpus.split("train")
    if noisy not in training:
        training = (*training, noisy)
    found = inspect(training, [], config, None)
    (hard,) = [f for f in found if f.code == "boilerplate"]
    assert hard.severity == "error"
    assert kept_by_person(corpus) == {"a.jsonl:21"}
    (soft,) = [f for f in soften(found, kept_by_person(corpus)) if f.code == "boilerplate"]
    assert (soft.severity, soft.rows) == ("note", ("a.jsonl:21",))
    assert soft.message.endswith("(kept by a reviewer)")
    # One more that nobody kept makes it an error again, and the merged list says the same.
    assert soften(found, set()) == found
    (merged,) = [f for f in merge(found, [soft]) if f.code == "boilerplate"]
    assert (merged.severity, merged.remaining) == ("note", 1)
    warning = msgspec.structs.replace(hard, code="low_trained_share")
    assert soften([warning], {"a.jsonl:21"}) == [warning], "a person has not looked at that"


def test_decisions_hold_for_rows_that_are_redacted() -> None:
    secret = row("where do I write", "To the keel, at ann.oar" + "@" + "reef.com, as ever.", 21)
    rows = [*good(20), secret]
    config = override(Config(), "curate", secrets="redact")
    kept = find(curate(rows, [], config, decide(("anna", secret, "keep"))), 21)
    assert kept.verdict.kept
    assert "reef.com" not in kept.conversation.reply
    # It was redacted, not edited: the decision is told as what it was.
    assert kept.verdict.evidence["action"] == "keep"
    assert kept.verdict.evidence["original"] == secret.id
    words = "To gull" + "@" + "reef.com, and mind the plank."
    edited = find(curate(rows, [], config, decide(("anna", secret, "edit"), words=words)), 21)
    assert "reef.com" not in edited.conversation.reply
    assert "mind the plank" in edited.conversation.reply
    assert edited.verdict.evidence["action"] == "edit"
    assert edited.verdict.evidence["original"] == secret.id
