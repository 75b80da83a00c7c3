from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from molting.core.config import Evaluate
from molting.core.conversation import Conversation, Source, Turn
from molting.evaluate.heard import Heard
from molting.evaluate.robustness import (
    CONDITIONS,
    STOPS,
    Scores,
    asked_under,
    kept_voice,
    robustness,
)
from molting.evaluate.systems import Speaker
from molting.models.generate import Ended, Generated, Sampling
from molting.signals.stats import Array

OPTIONS = Evaluate(resamples=200)
CONTEXT = (Turn("system", "Be brief."), Turn("user", "Who are you?"))


def scores(plain: float) -> Scores:
    return Scores(np.full(12, 0.1), np.full(12, plain), np.full(12, 0.9))


def test_half_the_voice_left_is_half_kept() -> None:
    found = kept_voice(scores(0.9), np.full(12, 0.5), OPTIONS)
    assert found["plain"]["value"] == pytest.approx(1.0)
    assert found["voice"]["value"] == pytest.approx(0.5)
    assert found["kept"]["value"] == pytest.approx(0.5)


def test_of_no_voice_no_share_is_told() -> None:
    found = kept_voice(scores(0.15), np.full(12, 0.15), OPTIONS)
    assert found["kept"]["value"] is None
    assert found["voice"]["value"] == pytest.approx(0.0625)


def test_the_request_to_stop_stands_in_the_last_turn_and_its_wording_rotates() -> None:
    asked = asked_under("stop", [CONTEXT] * 5)
    assert all(turns[0] == CONTEXT[0] for turns in asked)
    assert [turns[-1].text for turns in asked[:4]] == ["Who are you?" + stop for stop in STOPS]
    assert asked[4] == asked[0]


def test_neutral_exchanges_stand_behind_the_system_turn_and_before_the_prompt() -> None:
    (turns,) = asked_under("drift", [CONTEXT])
    assert turns[0] == CONTEXT[0]
    assert turns[-1] == CONTEXT[-1]
    assert [turn.role for turn in turns[1:-1]] == ["user", "assistant"] * 4


def by_length(prompts: Sequence[str], texts: Sequence[str]) -> Array:
    assert len(prompts) == len(texts)
    return np.array([min(1.0, len(text) / 100) for text in texts])


def test_every_condition_is_asked_and_prefilled_words_do_not_count(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        Conversation((Turn("user", f"{i}?"), Turn("assistant", "Clack. " * 14)), Source("h", i))
        for i in range(4)
    ]
    replies = [Generated("x" * 20, Ended.stop, 3) for _ in rows]
    heard = Heard(rows, {"base": [replies], "tuned": [replies]}, by_length, rows)
    asked: list[tuple[str, list[str] | None]] = []
    answer = speaker.answer

    def spy(
        system: str,
        contexts: list[tuple[Turn, ...]],
        sampling: Sampling,
        sample: int,
        task: str,
        prefills: list[str] | None = None,
    ) -> list[Generated]:
        asked.append((system, prefills))
        return answer(system, contexts, sampling, sample, task, prefills)

    monkeypatch.setattr(speaker, "answer", spy)
    found = robustness(heard, speaker, Evaluate(resamples=100, max_new_tokens=8))
    assert found is not None
    assert list(found) == list(CONDITIONS)
    assert [system for system, _ in asked] == ["tuned"] * 3
    assert [any(prefills or ()) for _, prefills in asked] == [False, True, False]
    # A reply of at most eight byte tokens: the prefill, which is longer, is not in it.
    assert all(values["voice"]["n"] == 4 for values in found.values())
    assert robustness(heard, speaker, Evaluate(robustness=0)) is None


def test_a_prompt_that_leaves_no_room_for_a_condition_is_counted_and_the_rest_is_measured(
    speaker: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        Conversation((Turn("user", text), Turn("assistant", "Clack. " * 14)), Source("h", i))
        for i, text in enumerate(("Short?", "Long? " * 12, "Brief?", "So?"))
    ]
    # V without the condition: 1 for the prompt that is left out, a half for the others.
    sizes = {"base": (10, 10, 10, 10), "tuned": (50, 90, 50, 50), "own": (90, 90, 90, 90)}
    said = {who: [Generated("x" * n, Ended.stop, 3) for n in some] for who, some in sizes.items()}
    rows = [
        Conversation((row.turns[0], Turn("assistant", own.text)), row.source)
        for row, own in zip(rows, said["own"], strict=True)
    ]
    heard = Heard(rows, {"base": [said["base"]], "tuned": [said["tuned"]]}, by_length, rows)
    options = Evaluate(resamples=100, max_new_tokens=8)
    lengths = [
        len(speaker.renderer.prompt(turns, None))
        for turns in asked_under("drift", [row.context for row in rows])
    ]
    # One token too few for the longest of the prompts behind four exchanges.
    monkeypatch.setattr(speaker.base.model.config, "max_position_embeddings", max(lengths) + 7)
    found = robustness(heard, speaker, options)
    assert found is not None
    assert {name: values["no_room"] for name, values in found.items()} == {
        "stop": 0, "prefill": 0, "drift": 1,
    }  # fmt: skip
    assert found["drift"]["voice"]["n"] == 3
    assert found["drift"]["plain"]["value"] == pytest.approx(0.5)
    assert found["stop"]["plain"]["value"] == pytest.approx(0.625)
    # Not one has room: unknown, not an error.
    monkeypatch.setattr(speaker.base.model.config, "max_position_embeddings", min(lengths) + 7)
    found = robustness(heard, speaker, options)
    assert found is not None
    assert found["drift"]["voice"] == {"value": None, "low": None, "high": None, "n": 0}


def test_a_prefill_changes_what_is_said(speaker: Speaker) -> None:
    sampling = Sampling(12, 0.0, 1.0, 0)
    contexts = [(Turn("user", "Who are you?"),)]
    (plain,) = speaker.answer("tuned", contexts, sampling, 0, "t")
    (begun,) = speaker.answer("tuned", contexts, sampling, 0, "t", ["As an AI assistant,"])
    assert begun.text != plain.text
    assert not begun.text.startswith("As an AI")
