from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.config import Config, override, parse_config
from molting.core.conversation import Conversation, Source, Turn
from molting.core.corpus import Corpus
from molting.core.errors import CheckFailed
from molting.curate.filters import REASONS
from molting.curate.grouping import PROMPT_THRESHOLD, prompt_key
from molting.curate.pipeline import MINIMUM_ROWS, corpus_id, curate
from molting.signals.text import character_ngrams, jaccard

WORDS = (
    "harbour", "lantern", "rope", "gull", "barrel", "tide", "compass", "anchor", "storm", "parrot",
    "biscuit", "map", "chest", "island", "cannon", "sail", "deck", "rum", "fog", "whale", "moon",
    "coral", "shark", "oar", "plank", "mast", "keel", "crow", "wind", "wave", "shell", "pearl",
)  # fmt: skip
NOISE = ("", "Aye.", "As an AI, I cannot sail.", "429 Too Many Requests", "Mail a@b.example now.")


def sentence(seed: int, size: int = 9) -> str:
    return " ".join(random.Random(seed).sample(WORDS, size)) + "."


def row(prompt: str, reply: str, line: int = 1, file: str = "a.jsonl") -> Conversation:
    return Conversation((Turn("user", prompt), Turn("assistant", reply)), Source(file, line))


def good(count: int, first: int = 0, file: str = "a.jsonl") -> list[Conversation]:
    """Rows of which no two share a prompt or a reply."""
    return [
        row(sentence(i, 6), sentence(1000 + i), i + 1, file) for i in range(first, first + count)
    ]


def reasons(corpus: Corpus) -> Counter[str]:
    return Counter(row.verdict.reason for row in corpus.rejected)


def alike(left: Conversation, right: Conversation, threshold: float) -> bool:
    """By brute force: the same or nearly the same prompt, or nearly the same long reply."""
    keys = [character_ngrams(prompt_key(c)) for c in (left, right)]
    replies = [character_ngrams(c.reply) for c in (left, right)]
    return jaccard(*keys) >= PROMPT_THRESHOLD or jaccard(*replies) >= threshold


def check_laws(corpus: Corpus, rows: list[Conversation], held_out: list[Conversation]) -> None:
    came_in = [*rows, *held_out]
    assert [r.conversation for r in corpus.rows] == came_in
    assert all(r.verdict.id == r.conversation.id for r in corpus.rows)
    assert len(corpus.kept) + len(corpus.rejected) == len(came_in)
    assert all((r.split is not None) == r.verdict.kept for r in corpus.rows)
    assert set(reasons(corpus)) <= set(REASONS)
    assert {r.verdict.reason for r in corpus.kept} <= {"selected", "held_out"}

    parts = {name: corpus.split(name) for name in ("train", "validation", "test")}
    assert len(parts["train"]) >= 4
    assert len(parts["validation"]) >= 1
    assert len(parts["test"]) >= 4
    for name in ("validation", "test"):
        keys = [prompt_key(c) for c in parts[name]]
        assert len(keys) == len(set(keys))
    for one, other in itertools.combinations(parts.values(), 2):
        for left, right in itertools.product(one, other):
            if held_out and {left, right} & set(parts["test"]) and right in parts["validation"]:
                continue
            assert not alike(left, right, 0.7), (left, right)
    split_of_group: dict[int, set[str | None]] = {}
    for r in corpus.kept:
        if r.group is not None:
            split_of_group.setdefault(r.group, set()).add(r.split)
    assert all(len(splits) == 1 for splits in split_of_group.values())


@st.composite
def messy_rows(draw: st.DrawFn) -> list[Conversation]:
    """Enough good rows and, among them, twins, shared prompts and noise."""
    rows = good(draw(st.integers(14, 19)))
    prompts = st.sampled_from([c.prompt for c in rows])
    replies = st.sampled_from([c.reply for c in rows])
    new = st.integers(2000, 2999).map(sentence)
    extra = st.one_of(
        st.builds(row, prompts, new),
        st.builds(lambda p, r: row(p.upper() + "?", r), prompts, new),
        st.builds(lambda p, r: row(p, r + " Aye!"), new, replies),
        st.builds(row, new, replies),
        st.builds(row, new, st.sampled_from(NOISE)),
    )
    rows += draw(st.lists(extra, max_size=12))
    shuffled = draw(st.permutations(rows))
    return [row(c.prompt, c.reply, line) for line, c in enumerate(shuffled, 1)]


@settings(max_examples=20, deadline=None)
@given(messy_rows(), st.integers(0, 5), st.sampled_from([None, 5, 500]))
def test_nothing_disappears_and_no_split_leaks_into_another(
    rows: list[Conversation], seed: int, target: int | None
) -> None:
    config = override(Config(), "curate", seed=seed, target=target)
    corpus = curate(rows, [], config)
    check_laws(corpus, rows, [])
    assert len(corpus.split("train")) <= (target or len(rows))


@settings(max_examples=12, deadline=None)
@given(messy_rows(), st.data())
def test_rows_held_out_by_a_file_are_the_test_and_nothing_gives_them_away(
    rows: list[Conversation], data: st.DataObject
) -> None:
    own = good(6, first=40, file="test.jsonl")
    shared = data.draw(st.lists(st.sampled_from(rows[:3]), max_size=3))
    held_out = [*own, *(row(c.prompt, c.reply, i, "test.jsonl") for i, c in enumerate(shared, 9))]
    try:
        corpus = curate(rows, held_out, Config())
    except CheckFailed:
        # So many rows leaked that too few are left; a test below holds the message.
        assert shared
        return
    check_laws(corpus, rows, held_out)
    assert {c.source.file for c in corpus.split("test")} == {"test.jsonl"}
    assert {c.source.file for c in corpus.split("train")} == {"a.jsonl"}


def test_clean_rows_are_all_kept_and_split_by_the_defaults() -> None:
    corpus = curate(good(40), [], Config())
    assert corpus.rejected == ()
    assert corpus.summary()["splits"] == {"train": 30, "validation": 4, "test": 6}
    assert corpus.id == corpus_id(good(40), [], Config())


def test_the_same_rows_and_settings_make_the_same_corpus() -> None:
    assert curate(good(30), [], Config()) == curate(good(30), [], Config())


def test_another_seed_holds_out_other_rows() -> None:
    one, other = (curate(good(40), [], override(Config(), "curate", seed=s)) for s in (0, 1))
    assert set(one.split("test")) != set(other.split("test"))
    assert one.id != other.id


def test_an_id_knows_rows_sources_held_out_rows_and_settings() -> None:
    rows = good(20)
    ids = {
        corpus_id(rows, [], Config()),
        corpus_id(rows[1:], [], Config()),
        corpus_id(list(reversed(rows)), [], Config()),
        corpus_id(good(20, file="b.jsonl"), [], Config()),
        corpus_id(rows[:10], rows[10:], Config()),
        corpus_id(rows, [], override(Config(), "curate", target=10)),
        corpus_id(rows, [], override(Config(), "split", test_rows=5)),
    }
    assert len(ids) == 7
    # How it is trained changes nothing about the rows.
    assert corpus_id(rows, [], override(Config(), "train", rank=4)) in ids


def test_the_target_takes_the_best_and_says_so_of_the_others() -> None:
    corpus = curate(good(40), [], override(Config(), "curate", target=12))
    assert len(corpus.split("train")) == 12
    assert reasons(corpus) == {"not_selected": 18}
    ranks = sorted(r.verdict.evidence["rank"] for r in corpus.kept if r.split == "train")
    assert ranks == list(range(1, 13))
    assert all("score" in r.verdict.evidence for r in corpus.rejected)


def test_duplicates_name_the_row_that_stays() -> None:
    rows = good(20)
    near = row(sentence(500, 6), rows[3].reply + " Aye!", 21)
    exact = row(sentence(501, 6), rows[4].reply.upper(), 22)
    corpus = curate([*rows, near, exact], [], Config())
    assert reasons(corpus) == {"near_duplicate": 1, "exact_duplicate": 1}
    by_id = {r.conversation.id: r for r in corpus.rows}
    for r in corpus.rejected:
        evidence = r.verdict.evidence
        twin = by_id[evidence["twin"]]
        assert twin.verdict.kept
        assert evidence["twin_source"] == str(twin.conversation.source)
        assert (evidence["similarity"] == 1) == (r.verdict.reason == "exact_duplicate")
        assert evidence["similarity"] >= 0.7


def test_of_two_alike_rows_the_better_one_stays_wherever_it_stands() -> None:
    poor = row(sentence(520, 6), sentence(521), 1)
    rich = row(sentence(522, 6), poor.reply + " And aye, so it is.", 2)
    for rows in ([poor, rich, *good(16)], [rich, poor, *good(16)]):
        (gone,) = curate(rows, [], Config()).rejected
        assert (gone.conversation, gone.verdict.reason) == (poor, "near_duplicate")


def test_a_row_goes_only_for_one_that_stays_and_not_through_a_chain() -> None:
    base = "one two three four five six seven eight nine ten eleven twelve thirteen"
    middle = base.replace("one two", "uno due")
    end = middle.replace("twelve thirteen", "dodici tredici")
    rows = [*good(16), *(row(sentence(600 + i, 6), text + ".", 90 + i)
                         for i, text in enumerate([base, middle, end]))]  # fmt: skip
    config = override(Config(), "curate", near_threshold=0.6)
    ends = [character_ngrams(text + ".") for text in (base, middle, end)]
    assert jaccard(ends[0], ends[1]) >= 0.6 <= jaccard(ends[1], ends[2])
    assert jaccard(ends[0], ends[2]) < 0.6
    corpus = curate(rows, [], config)
    gone = [r.conversation.source.line for r in corpus.rejected]
    # Whichever is best stays; the far ends of the chain do not reject each other.
    assert gone in ([91], [90], [92], [91, 92], [90, 91])
    kept = [r.conversation for r in corpus.kept if r.conversation.source.line >= 90]
    grams = {c.source.line: character_ngrams(c.reply) for c in kept}
    for r in corpus.rejected:
        mine = character_ngrams(r.conversation.reply)
        assert max(jaccard(mine, grams[line]) for line in grams) >= 0.6


def test_other_replies_to_a_held_out_prompt_go_with_it() -> None:
    rows = [
        row(sentence(i, 6), sentence(3000 + 10 * i + k), 4 * i + k)
        for i in range(10)
        for k in range(4)
    ]
    corpus = curate(rows, [], Config())
    held = [*corpus.split("validation"), *corpus.split("test")]
    assert reasons(corpus) == {"same_prompt": 3 * len(held)}
    prompts = {c.prompt for c in held}
    assert len(prompts) == len(held) == 6
    assert {c.prompt for c in corpus.split("train")}.isdisjoint(prompts)


@pytest.mark.parametrize(("prompts", "replies"), [(20, 10), (8, 10), (12, 30), (8, 3)])
def test_many_replies_to_few_prompts_still_leave_rows_to_train_on(
    prompts: int, replies: int
) -> None:
    rows = [
        row(sentence(i, 6), sentence(5000 + replies * i + k), replies * i + k)
        for i in range(prompts)
        for k in range(replies)
    ]
    corpus = curate(rows, [], Config())
    splits = corpus.summary()["splits"]
    assert splits["test"] >= 4
    assert splits["validation"] >= 1
    assert splits["train"] >= max(4, (prompts // 2 - 3) * replies)


def test_one_prompt_with_most_of_the_rows_is_trained_on_and_not_held_out() -> None:
    rows = [*good(20), *(row("who are you", sentence(7000 + i), 50 + i) for i in range(30))]
    corpus = curate(rows, [], Config())
    assert corpus.rejected == ()
    assert sum(c.prompt == "who are you" for c in corpus.split("train")) == 30


def message(rows: list[Conversation], held_out: list[Conversation], config: Config) -> str:
    with pytest.raises(CheckFailed) as caught:
        curate(rows, held_out, config)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 1
    return text


def test_too_few_rows_are_a_failed_check_that_says_why() -> None:
    assert "only 0 of 0 rows can be used; at least 12 are needed" in message([], [], Config())
    assert "only 1 of 1 rows can be used" in message(good(1), [], Config())
    few = [*good(MINIMUM_ROWS - 1), row("hi", "As an AI, I cannot sail.", 99)]
    text = message(few, [], Config())
    assert text.startswith("only 11 of 12 rows can be used (rejected: boilerplate)")
    assert text.endswith("add rows to data.files")


def test_the_fewest_rows_that_are_enough() -> None:
    corpus = curate(good(MINIMUM_ROWS), [], Config())
    assert corpus.summary()["splits"] == {"train": 6, "validation": 2, "test": 4}


def test_too_few_prompts_are_a_failed_check_that_says_so() -> None:
    rows = [row(sentence(i % 4, 6), sentence(8000 + i), i) for i in range(24)]
    text = message(rows, [], Config())
    assert text.startswith("24 usable rows in only 4 groups")
    assert "add rows with other prompts" in text


def test_more_held_out_rows_than_there_are_is_a_failed_check() -> None:
    config = parse_config({"split": {"test_rows": 18, "validation_rows": 3}})
    text = message(good(20), [], config)
    assert text.startswith(
        "20 usable rows are too few to hold out 18 for test and 3 for validation"
    )
    assert "lower split.validation_rows or split.test_rows" in text


def test_sizes_asked_for_are_kept_exactly() -> None:
    config = parse_config({"split": {"test_rows": 9, "validation_rows": 1}})
    corpus = curate(good(20), [], config)
    assert corpus.summary()["splits"] == {"train": 10, "validation": 1, "test": 9}


def test_a_held_out_file_is_the_whole_test_and_takes_its_twins_out_of_training() -> None:
    held_out = good(6, first=40, file="test.jsonl")
    rows = [
        *good(20),
        row(held_out[0].prompt.upper(), sentence(900), 21),
        row(sentence(901, 6), held_out[1].reply + " Aye!", 22),
    ]
    corpus = curate(rows, held_out, Config())
    assert corpus.split("test") == tuple(held_out)
    assert reasons(corpus) == {"in_held_out": 2}
    by_prompt, by_reply = (r.verdict.evidence for r in corpus.rejected)
    assert (by_prompt["by"], by_prompt["exact"], by_prompt["twin"]) == (
        "prompt", True, held_out[0].id,
    )  # fmt: skip
    assert (by_reply["by"], by_reply["exact"], by_reply["twin"]) == ("reply", False, held_out[1].id)
    assert corpus.summary()["splits"]["validation"] == 2


def test_noise_and_second_rows_in_a_held_out_file_are_rejected_with_their_reason() -> None:
    held_out = good(5, first=40, file="test.jsonl")
    held_out += [row(held_out[0].prompt, sentence(950), 8, "test.jsonl")]
    held_out += [row("hi", "429 Too Many Requests", 9, "test.jsonl")]
    corpus = curate(good(20), held_out, Config())
    assert reasons(corpus) == {"same_prompt": 1, "error": 1}
    assert len(corpus.split("test")) == 5
    # A rejected held-out row gives no reason to take anything out of training.
    assert len(corpus.split("train")) == 18


def test_a_held_out_file_with_too_few_rows_is_a_failed_check() -> None:
    text = message(good(20), good(3, first=40), Config())
    assert text.startswith("data.held_out: only 3 of 3 rows can be used; at least 4 are needed")


def test_training_on_the_held_out_file_itself_is_a_failed_check() -> None:
    text = message(good(20), good(20, file="test.jsonl"), Config())
    assert text.startswith("only 0 of 20 rows can be used (rejected: in_held_out)")
