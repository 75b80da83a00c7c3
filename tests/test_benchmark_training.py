"""The arithmetic of the training benchmark, its rows, and the gate that holds two systems in step."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.training_figures import (
    fast_figures,
    limit,
    ratio,
    reached,
    same_steps,
    seconds_for,
)
from benchmarks.training_gate import Peer
from benchmarks.training_rows import draw, from_json, persona_prompt, render, to_json

from molting.models.fake import fake_tokenizer


def answer(seconds: float, tokens: int, *losses: float) -> dict[str, Any]:
    """One processor is busy half the time."""
    return {
        "seconds": seconds,
        "processor_seconds": seconds / 2,
        "tokens": tokens,
        "losses": list(losses),
    }


def test_a_ratio_is_the_median_of_the_rounds_own() -> None:
    rounds = [
        {"trl": answer(10, 100), "molting": answer(2, 100)},
        {"trl": answer(30, 100), "molting": answer(10, 100)},
        {"trl": answer(8, 100), "molting": answer(2, 100)},
    ]
    found = ratio(rounds)
    assert (found["over_trl"], found["low"], found["high"], found["n_rounds"]) == (4, 3, 5, 3)
    assert found["tokens_per_second"] == {"trl": 10, "molting": 50}


def test_losses_that_differ_are_not_the_same_training() -> None:
    near = {"trl": answer(1, 1, 2.0, 3.0), "molting": answer(1, 1, 2.01, 3.0)}
    assert same_steps([near])["same_losses"] is True
    assert same_steps([near])["largest_loss_difference"] == pytest.approx(0.005)
    far = {"trl": answer(1, 1, 2.0), "molting": answer(1, 1, 2.05)}
    assert same_steps([near, far])["same_losses"] is False
    assert same_steps([near, far])["losses_compared"] == 3


@pytest.mark.parametrize(
    ("loss", "epochs"), [(3.0, 0.0), (2.5, 0.5), (2.0, 1.0), (1.9, 1.5), (1.8, 2.0), (1.7, None)]
)
def test_epochs_to_a_loss(loss: float, epochs: float | None) -> None:
    assert reached([3.0, 2.0, 1.8, 1.9], loss) == (
        None if epochs is None else pytest.approx(epochs)
    )


def test_seconds_of_part_of_a_run() -> None:
    assert seconds_for(0, [10, 2, 2]) == 0
    assert seconds_for(1.5, [10, 2, 2]) == 11
    assert seconds_for(3, [10, 2, 2]) == 14


def test_fast_mode_pays_for_filling_the_memory_and_for_the_epochs_it_needs_more() -> None:
    rounds = [{"trl": answer(10, 100), "molting": answer(1, 100)}] * 3
    first = answer(5, 100)
    none = fast_figures(rounds, first, [100, 100], {})
    assert none["over_trl"] is None
    assert none["over_trl_same_steps"] == pytest.approx(20 / 6, abs=1e-3)
    assert none["over_trl_once_remembered"] == 10
    # Exact mode is at 2.0, the best that fast mode reaches, after one epoch; fast needs both.
    curves = {"exact": [3.0, 2.0, 1.5], "fast": [3.0, 2.5, 2.0]}
    found = fast_figures(rounds, first, [100, 100], curves)
    assert found["held_out_loss_reached"] == 2.0
    assert found["over_trl"] == pytest.approx(10 / 6, abs=1e-3)


def test_the_limit_counts_four_operations_a_parameter() -> None:
    assert limit(100.0, 106_000_000, 28_000_000, 0.5) == pytest.approx(208.3, abs=0.1)


def rows_file(folder: Path) -> Path:
    file = folder / "someone.jsonl"
    lines = [
        {"messages": [{"role": "user", "content": f"question {i // 3}"},
                      {"role": "assistant", "content": f"answer {i}"}]}
        for i in range(90)
    ]  # fmt: skip
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_no_prompt_is_trained_on_and_held_out(tmp_path: Path) -> None:
    file = rows_file(tmp_path)
    train, held_out = draw(file, 40, 10, 0)
    assert (len(train), len(held_out)) == (40, 10)
    assert not {row.prompt for row in train} & {row.prompt for row in held_out}
    assert [row.id for row in draw(file, 40, 10, 0)[0]] == [row.id for row in train]
    with pytest.raises(ValueError, match="only 30 prompts"):
        draw(file, 90, 10, 0)


def test_rows_come_back_from_the_child_s_file_as_they_were(tmp_path: Path) -> None:
    tokenizer = fake_tokenizer()
    rows = render(tokenizer, *draw(rows_file(tmp_path), 8, 3, 0), 300)
    back = from_json(json.loads(json.dumps(to_json(rows.train))))
    assert [(row.ids, row.trained) for row in back] == [(r.ids, r.trained) for r in rows.train]
    assert rows.system == persona_prompt(tokenizer, 300)
    assert 200 < len(tokenizer(rows.system)["input_ids"]) <= 300


CHILD = """
import sys
from benchmarks.training_gate import Gate
gate = Gate()
print("chatter of a library")
gate.evaluate = lambda: 1.5
gate.ready(threads=1)
for step in range(5):
    gate.before()
    gate.after(float(step))
gate.finish(curve=[2.0, 1.0])
"""


def test_a_child_takes_the_steps_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_child.py").write_text(CHILD)
    root = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{root}:{root / 'src'}")
    peer = Peer(sys.executable, "a_child", tmp_path / "none")
    try:
        assert peer.facts == {"ready": True, "threads": 1}
        assert peer.steps(2)["losses"] == [0.0, 1.0]
        assert peer.held_out() == 1.5
        last = peer.steps(3)
        assert (last["losses"], last["curve"]) == ([2.0, 3.0, 4.0], [2.0, 1.0])
        assert peer.held_out() == 1.5
        assert peer.done == 5
        # There is no sixth step; what was found is told again.
        more = peer.steps(1)
        assert (more["losses"], more["curve"]) == ([], [2.0, 1.0])
    finally:
        peer.end()
    assert peer.process.returncode == 0


def test_a_child_that_dies_is_an_error_not_a_wait(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with code"):
        Peer(sys.executable, "no_such_module", tmp_path / "none")
