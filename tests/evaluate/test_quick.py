"""The small measure of voice during training: base replies are 0, the persona's own are 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.corpus import Corpus, Row
from molting.core.progress import Silent
from molting.evaluate import quick
from molting.evaluate.quick import VoiceCheck
from molting.memory.store import Memory
from molting.models.base import LoadedModel, load_model
from molting.models.generate import Ended, Generated
from molting.models.sources import find_model
from molting.signals.contrast import neutral_replies, other_personas

VOICE = other_personas()[:60]
PLAIN = [row.reply for row in neutral_replies()]


def row(i: int, reply: str) -> Conversation:
    return Conversation((Turn("user", f"Question {i}?"), Turn("assistant", reply)), Source("r", i))


def corpus(validation: int) -> Corpus:
    rows = [row(i, line.reply) for i, line in enumerate(VOICE)]
    split = ["validation"] * validation + ["train"] * (len(rows) - validation)
    return Corpus(
        "c",
        tuple(Row(r, Verdict(r.id, True, "selected"), s) for r, s in zip(rows, split, strict=True)),  # type: ignore[arg-type]
        {},
    )


@pytest.fixture(scope="module")
def base() -> LoadedModel:
    return load_model(find_model("fake"), "float32")


@pytest.fixture
def check(base: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VoiceCheck:
    def own(memory: Any, base: Any, model: Any, adapter: str, prompts: Any, *_: Any) -> Any:
        return [Generated(PLAIN[i % len(PLAIN)], Ended.stop, 9) for i in range(len(prompts))]

    monkeypatch.setattr(quick, "remembered_replies", own)
    with Memory(tmp_path) as memory:
        return VoiceCheck(base, corpus(12), 10, 0, memory, Silent())


def test_the_bases_replies_are_zero_and_the_personas_own_are_one(check: VoiceCheck) -> None:
    assert len(check.rows) == 10
    own = check.voice([r.reply for r in check.rows])
    assert own == {"voice": pytest.approx(1.0), "voice_body": pytest.approx(1.0)}
    plain = check.voice(PLAIN[:10])
    assert plain == {"voice": pytest.approx(0.0), "voice_body": pytest.approx(0.0)}


@pytest.mark.parametrize(
    ("said", "low", "high"),
    [("own", 0.999, 1.0), ("base", 0.0, 0.001), ("half", 0.1, 0.9), ("prefixed", 0.0, 0.45)],
)
def test_personality_is_the_weaker_of_the_two_voices(
    check: VoiceCheck, said: str, low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [r.reply for r in check.rows]
    texts = {
        "own": own,
        "base": PLAIN[:10],
        "half": own[:5] + PLAIN[5:10],
        # Persona words stuck on in front of neutral text move the voice, not the body's.
        "prefixed": [f"{o[:20]} {p}" for o, p in zip(own, PLAIN, strict=False)],
    }[said]
    replies = [Generated(text, Ended.stop, 9) for text in texts]
    monkeypatch.setattr(VoiceCheck, "replies", lambda *_: replies)
    found = check(None)
    assert found["voice_n"] == 10
    assert low <= found["personality"] <= high
    if said == "prefixed":
        assert found["voice_body"] < found["voice"]


def test_the_model_itself_is_asked(check: VoiceCheck, base: LoadedModel) -> None:
    found = check(base.model)
    assert found["personality"] is not None
    assert 0 <= found["personality"] < 0.5


def test_a_voice_that_cannot_be_told_is_unknown_and_not_zero(
    check: VoiceCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    check.one = check.zero
    monkeypatch.setattr(VoiceCheck, "replies", lambda *_: [])
    monkeypatch.setattr(VoiceCheck, "voice", lambda *_: {"voice": None, "voice_body": None})
    assert check(None)["personality"] is None
