"""Pairs from chats alone, the base's own replies remembered; neutral rows of its own, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from molting.core.config import Train
from molting.core.conversation import Conversation, Source, Turn
from molting.core.corpus import Corpus
from molting.core.errors import ConfigError, UsageError
from molting.core.progress import Silent
from molting.memory.store import Memory
from molting.models.base import LoadedModel, load_model
from molting.models.generate import Ended, Generated
from molting.models.likelihood import row_losses
from molting.models.render import Renderer
from molting.models.sources import find_model
from molting.signals.contrast import neutral_replies
from molting.train import material, mix, preference
from molting.train.loop import train
from molting.train.material import prepare
from molting.train.mix import everyday_prompts, neutral_rows
from molting.train.preference import preference_pairs

CONFIG = Train(method="dpo", dpo_reply_tokens=12)


def talk(prompt: str, reply: str, *before: str) -> Conversation:
    turns = [Turn("assistant" if i % 2 else "user", text) for i, text in enumerate(before)]
    return Conversation((*turns, Turn("user", prompt), Turn("assistant", reply)), Source("rows", 1))


ROWS = [
    talk("What of moss?", "Aye, moss it is."),
    talk("What of rain?", "Aye, rain."),
    talk("And owls?", "Aye, owls too.", "Hello", "Ahoy"),
]


@pytest.fixture(scope="module")
def base() -> LoadedModel:
    return load_model(find_model("fake"), "float32")


@pytest.fixture
def renderer(base: LoadedModel) -> Renderer:
    return Renderer(base.tokenizer)


def scripted(monkeypatch: pytest.MonkeyPatch, *replies: Any) -> list[int]:
    """The base says these; each call's number of prompts is kept."""
    asked: list[int] = []

    def own(base: Any, renderer: Any, prompts: Any, *_: Any) -> list[Generated]:
        asked.append(len(prompts))
        return [
            reply if isinstance(reply, Generated) else Generated(reply, Ended.stop, 3)
            for reply in replies[: len(prompts)]
        ]

    for module in (preference, mix):
        monkeypatch.setattr(module, "own_replies", own)
    return asked


def test_chosen_is_the_personas_reply_and_rejected_the_bases(
    base: LoadedModel, renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, "Moss is a plant.", "Rain is water.", "Owls are birds.")
    with Memory(tmp_path) as memory:
        made = preference_pairs(base, renderer, ROWS, CONFIG, memory, Silent())
    assert made.dropped == {}
    tokenizer = base.tokenizer
    for pair, row, other in zip(made.pairs, ROWS, ("plant", "water", "birds"), strict=True):
        said = [
            tokenizer.decode([i for i, t in zip(r.ids, r.trained, strict=True) if t])
            for r in (pair.chosen, pair.rejected)
        ]
        assert row.reply in said[0]
        assert other in said[1]
        # Both stand behind the same prompt, and only the last reply is compared.
        first = pair.chosen.first_trained
        assert pair.rejected.first_trained == first
        assert pair.chosen.ids[:first] == pair.rejected.ids[:first]
        assert pair.whole.trained_tokens >= pair.chosen.trained_tokens
        losses = row_losses(base.model, [pair.chosen, pair.rejected], 260)
        assert pair.chosen_nats == pytest.approx(losses[0].nats, rel=1e-5)
        assert pair.rejected_nats == pytest.approx(losses[1].nats, rel=1e-5)
    assert made.pairs[2].whole.trained_tokens > made.pairs[2].chosen.trained_tokens


def test_what_is_no_preference_is_dropped_with_its_reason(
    base: LoadedModel, renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, "aye,  MOSS it is.", "  ", "Owls are birds.")
    rows = [*ROWS, talk("x" * 2000, "Aye.")]
    with Memory(tmp_path) as memory:
        made = preference_pairs(base, renderer, rows, CONFIG, memory, Silent())
    assert len(made.pairs) == 1
    assert made.dropped == {"rejected_is_chosen": 1, "empty_rejected": 1, "prompt_too_long": 1}
    assert len(made.pairs) + sum(made.dropped.values()) == len(rows)


def test_a_reply_that_was_cut_off_is_not_blamed_for_its_end(
    base: LoadedModel, renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = (Generated("Moss is", Ended.length, 7), Generated("Rain is", Ended.stop, 7))
    scripted(monkeypatch, *replies)
    with Memory(tmp_path) as memory:
        cut, whole = preference_pairs(base, renderer, ROWS[:2], CONFIG, memory, Silent()).pairs
    assert not cut.rejected.stop_trained
    assert whole.rejected.stop_trained
    assert cut.rejected.trained_tokens == whole.rejected.trained_tokens - 1


def test_replies_are_generated_once_and_found_again_whatever_other_rows_there_are(
    base: LoadedModel, renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = [*ROWS, talk("What of moss?", "Moss again, arr.")]
    with Memory(tmp_path) as memory:
        first = preference_pairs(base, renderer, twice, CONFIG, memory, Silent())

        def fail(*_: Any, **__: Any) -> Any:
            raise AssertionError("computed again")

        monkeypatch.setattr("molting.memory.replies.generate", fail)
        monkeypatch.setattr("molting.memory.losses.row_losses", fail)
        again = preference_pairs(base, renderer, twice, CONFIG, memory, Silent())
        fewer = preference_pairs(base, renderer, ROWS[1:], CONFIG, memory, Silent())
    assert again == first
    assert fewer.pairs == first.pairs[1:3]
    # The same prompt for two rows is answered twice.
    assert first.pairs[0].rejected != first.pairs[3].rejected


def corpus() -> Corpus:
    from molting.core.conversation import Verdict
    from molting.core.corpus import Row

    kept = [Row(row, Verdict(row.id, True, "selected"), "train") for row in ROWS]
    held = talk("What of fog?", "Aye, fog.")
    return Corpus("c", (*kept, Row(held, Verdict(held.id, True, "selected"), "validation")), {})


def test_preference_tuning_learns_to_prefer(
    base: LoadedModel, renderer: Renderer, tmp_path: Path
) -> None:
    from molting.models.lora import attach_lora

    config = Train(
        method="dpo", dpo_reply_tokens=12, rank=4, learning_rate=0.02, epochs=6, batch_rows=3,
        dpo_after=1, patience=6,
    )  # fmt: skip
    with Memory(tmp_path / "memory") as memory:
        made = prepare(base, renderer, corpus(), config, memory, Silent())
    assert made.facts == {"pairs": 3, "held_out_pairs": 1, "dropped": {}}
    model = attach_lora(load_model(find_model("fake"), "float32").model, config, "fake", 0)
    outcome = train(
        model, made.rows, made.validation, config, 260, tmp_path, Silent(),
        pairs=made.pairs, held_out_pairs=made.pairs,
    )  # fmt: skip
    history = outcome.position.history
    assert history[-1]["preference_loss"] < history[0]["preference_loss"] - 0.1
    assert history[0]["preferred"] == 0.0
    assert history[-1]["preferred"] == 1.0
    # The first step is plain: nats a token, not the logarithm of two and a tenth of that.
    assert outcome.position.losses[0] > 5
    assert outcome.position.losses[1] < 2
    assert outcome.position.best_loss == min(r["preference_loss"] for r in history)


def test_without_a_single_pair_it_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no row gives a pair"):
        train(None, [], [], CONFIG, 260, tmp_path, Silent())


# The retention mix.


def test_the_share_of_neutral_rows_is_the_one_that_was_asked_for(
    base: LoadedModel, renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = [f"Answer {i}." if i % 3 else "  " for i in range(200)]
    asked = scripted(monkeypatch, *replies)
    config = Train(mix=0.25)
    with Memory(tmp_path) as memory:
        found = neutral_rows(base, renderer, 30, config, memory, Silent())
        many = neutral_rows(base, renderer, 300, config, memory, Silent())
        none = neutral_rows(base, renderer, 30, Train(), memory, Silent())
    assert len(found) == 10
    assert len(many) == 100
    assert none == []
    # A larger share goes round the prompts again.
    assert asked == [15, 100, 51]
    text = base.tokenizer.decode(found[0].ids)
    assert everyday_prompts()[1] in text
    assert "Answer 1." in text
    assert found[0].stop_trained


def test_a_mix_joins_the_training_rows_and_no_others(
    base: LoadedModel, renderer: Renderer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, *(f"Answer {i}." for i in range(200)))
    with Memory(tmp_path) as memory:
        made = material.prepare(base, renderer, corpus(), Train(mix=0.4), memory, Silent())
    assert (len(made.rows), len(made.validation), made.facts) == (5, 1, {"neutral_rows": 2})


def test_preference_tuning_takes_no_mix(
    base: LoadedModel, renderer: Renderer, tmp_path: Path
) -> None:
    with Memory(tmp_path) as memory, pytest.raises(ConfigError, match=r"train\.mix: is for lora"):
        prepare(base, renderer, corpus(), Train(method="dpo", mix=0.1), memory, Silent())


def test_everyday_prompts_are_none_that_evaluation_measures_with() -> None:
    measured = {row.prompt.casefold() for row in neutral_replies()}
    assert len(set(everyday_prompts())) == len(everyday_prompts()) == 100
    assert not {prompt.casefold() for prompt in everyday_prompts()} & measured
