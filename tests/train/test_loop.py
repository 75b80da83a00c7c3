"""The loop on the fake model: it learns, keeps the best state, and can be stopped anywhere."""

from __future__ import annotations

import functools
import math
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from molting.core.config import Train
from molting.core.conversation import Conversation, Source, Turn
from molting.core.errors import CheckFailed, Interrupted, UsageError
from molting.core.progress import Silent
from molting.core.schedule import learning_rate, steps_per_epoch, warmup_and_total
from molting.models.fake import fake_model, fake_tokenizer
from molting.models.likelihood import mean_loss, row_losses
from molting.models.lora import adapter_state, attach_lora
from molting.models.render import Rendered, Renderer
from molting.train import loop
from molting.train.batches import epoch_batches
from molting.train.checkpoint import load_checkpoint
from molting.train.loop import Outcome, train
from molting.train.objectives import Pair
from molting.train.steppers import TunerStepper

PAD = 260


@functools.cache
def rows(first: int, last: int) -> tuple[Rendered, ...]:
    """A small voice: short rows of different lengths."""
    render = Renderer(fake_tokenizer())
    things = ("moss", "rain", "owls", "salt", "fog", "bread", "ink")
    return tuple(
        render.row(
            Conversation(
                (
                    Turn("user", "What of " + " and ".join(things[i % 7 : i % 7 + 1 + i % 3])),
                    Turn("assistant", f"Aye, {things[i % 7]} it is{'!' * (i % 4)} arr"),
                ),
                Source("rows", i + 1),
            ),
            1 << 10,
        )
        for i in range(first, last)
    )


TRAINING, VALIDATION = rows(0, 10), rows(10, 14)
CONFIG = Train(
    rank=4,
    alpha=8,
    targets=("q", "v", "up"),
    dropout=0.1,
    learning_rate=5e-3,
    batch_rows=4,
    epochs=3,
    patience=9,
    warmup_share=0.2,
    checkpoint_seconds=1e9,
    seed=7,
)
STEPS = 9


def configured(**changed: Any) -> Train:
    import msgspec

    return msgspec.structs.replace(CONFIG, **changed)


def fresh(config: Train = CONFIG, dtype: torch.dtype = torch.float32) -> Any:
    return attach_lora(fake_model().to(dtype), config, "fake", config.seed)


def run(
    folder: Path,
    config: Train = CONFIG,
    progress: Any = None,
    interrupted: Callable[[], bool] = lambda: False,
    model: Any = None,
    training: Sequence[Rendered] = TRAINING,
    validation: Sequence[Rendered] = VALIDATION,
) -> Outcome:
    return train(
        model or fresh(config),
        training,
        validation,
        config,
        PAD,
        folder,
        progress or Silent(),
        interrupted,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


# It learns, and hands over the best state.


def test_the_validation_loss_falls(folder: Path) -> None:
    config = configured(epochs=6, learning_rate=2e-2, targets=("all-linear",))
    outcome = run(folder, config)
    losses = [record["validation_loss"] for record in outcome.position.history]
    assert outcome.position.best_loss == min(losses) < losses[0] - 0.25
    assert (outcome.epochs_run, outcome.stopped_by) == (6, "epochs")
    train_losses = [record["train_loss"] for record in outcome.position.history[1:]]
    assert train_losses[-1] < train_losses[0] - 0.25


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_adapters_are_trained_and_handed_over_in_float32(
    folder: Path, dtype: torch.dtype
) -> None:
    model = fresh(dtype=dtype)
    frozen = {n: p.clone() for n, p in model.named_parameters() if not p.requires_grad}
    outcome = run(folder, model=model)
    assert all(torch.equal(p, frozen[n]) for n, p in model.named_parameters() if n in frozen)
    assert set(outcome.state) == set(adapter_state(fresh()))
    assert {tensor.dtype for tensor in outcome.state.values()} == {torch.float32}
    # The masters keep what the working copy rounds away.
    working = adapter_state(model)
    for name, tensor in outcome.state.items():
        assert torch.equal(tensor.to(dtype).float(), working[name])
        if dtype == torch.bfloat16:
            assert not torch.equal(tensor, working[name])


def test_the_history_has_a_record_for_the_untouched_model_and_for_each_epoch(folder: Path) -> None:
    outcome = run(folder, configured(dropout=0.0))
    position = outcome.position
    untouched = mean_loss(row_losses(fake_model(), VALIDATION, PAD))
    assert [record["epoch"] for record in position.history] == [0, 1, 2, 3]
    assert [record["step"] for record in position.history] == [0, 3, 6, 9]
    assert position.history[0]["train_loss"] is None
    assert position.history[0]["validation_loss"] == pytest.approx(untouched, rel=1e-5)
    for record, losses in zip(
        position.history[1:], (position.losses[i : i + 3] for i in (0, 3, 6)), strict=True
    ):
        assert record["train_loss"] == pytest.approx(sum(losses) / 3)
        assert record["validation_perplexity"] == pytest.approx(math.exp(record["validation_loss"]))
    assert position.tokens == 3 * sum(len(row.ids) for row in TRAINING)
    # The first step's loss is the untouched model's, over the tokens of its own batch.
    first = [TRAINING[i] for i in epoch_batches(TRAINING, 4, 1, CONFIG.seed)[0]]
    assert position.losses[0] == pytest.approx(
        mean_loss(row_losses(fake_model(), first, PAD)), rel=1e-5
    )


def said(reply: str) -> list[Rendered]:
    turns = (Turn("user", "What of moss"), Turn("assistant", reply))
    return [Renderer(fake_tokenizer()).row(Conversation(turns, Source("said", 1)), 1 << 10)]


def test_the_state_handed_over_gives_the_best_epochs_loss(folder: Path) -> None:
    from peft import set_peft_model_state_dict

    # Four rows learnt by heart in long steps: another voice gains at first, then comes and goes.
    between = 0
    for rate in (0.03, 0.06, 0.12, 0.24):
        config = configured(
            learning_rate=rate, epochs=7, batch_rows=2, targets=("all-linear",), dropout=0.0
        )
        other, model = said("Moss and owls"), fresh(config)
        outcome = run(
            folder / str(rate), config, model=model, training=TRAINING[:4], validation=other
        )
        losses = [record["validation_loss"] for record in outcome.position.history]
        best = outcome.position.best_epoch
        assert losses[best] == min(losses) == outcome.position.best_loss
        # The model in memory is in that state, and so is another one that is given it.
        assert mean_loss(row_losses(model, other, PAD)) == pytest.approx(losses[best], rel=1e-6)
        another = fresh(config)
        set_peft_model_state_dict(another, outcome.state)
        assert mean_loss(row_losses(another, other, PAD)) == pytest.approx(losses[best], rel=1e-5)
        between += 0 < best < outcome.epochs_run and losses[-1] > losses[best] + 1e-3
    assert between


def test_a_run_that_only_makes_things_worse_hands_over_the_untouched_model(folder: Path) -> None:
    config = configured(patience=2, epochs=9, learning_rate=0.05)
    outcome = run(folder, config, validation=said("zz#zz"))
    assert outcome.position.best_epoch == 0
    assert (outcome.stopped_by, outcome.epochs_run) == ("validation loss", 2)
    start = adapter_state(fresh(config))
    assert all(torch.equal(outcome.state[name], tensor) for name, tensor in start.items())


@settings(max_examples=12, deadline=None)
@given(
    losses=st.lists(st.sampled_from([1.0, 2.0, 3.0, 4.0, math.nan]), min_size=6, max_size=6),
    patience=st.integers(1, 3),
)
def test_law_training_stops_after_patience_and_keeps_the_first_best_epoch(
    losses: list[float], patience: int
) -> None:
    losses = [5.0, *losses]
    best, last = 0, 0
    for epoch, loss in enumerate(losses):
        last = epoch
        best = epoch if loss < losses[best] else best
        if epoch - best >= patience:
            break

    script = iter(losses)
    states: list[dict[str, torch.Tensor]] = []

    class Scripted(TunerStepper):
        def load(self, masters: dict[str, torch.Tensor]) -> None:
            self.loaded = {k.replace(".default", ""): v.clone() for k, v in masters.items()}
            super().load(masters)

        def losses(self, rows: Any) -> list[Any]:
            states.append(self.loaded)
            return []

    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(loop, "stepper_for", lambda model, *_: Scripted(model))
        patch.setattr(loop, "mean_loss", lambda _: next(script))
        outcome = run(Path(name), configured(epochs=6, patience=patience, batch_rows=10))
    assert outcome.epochs_run == last
    assert outcome.position.best_epoch == best
    assert outcome.position.best_loss == losses[best]
    stopped = last - best >= patience and last < 6
    assert outcome.stopped_by == ("validation loss" if stopped else "epochs")
    assert all(torch.equal(outcome.state[name], states[best][name]) for name in states[best])


# Stopped anywhere and resumed, it is the run that was left alone, bit for bit.


def assert_same(one: Outcome, other: Outcome) -> None:
    assert one.state.keys() == other.state.keys()
    for name, tensor in one.state.items():
        assert torch.equal(tensor, other.state[name]), name
    for field in ("step", "evaluated", "best_epoch", "best_loss", "tokens", "history", "losses"):
        assert getattr(one.position, field) == getattr(other.position, field), field
    assert (one.epochs_run, one.stopped_by) == (other.epochs_run, other.stopped_by)


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@functools.cache
def left_alone(dtype: str = "float32") -> Outcome:
    with tempfile.TemporaryDirectory() as name:
        return run(Path(name), model=fresh(dtype=DTYPES[dtype]))


def after(steps: int) -> Callable[[], bool]:
    """Asks to stop before the step behind `steps` more ones."""
    left = iter([False] * steps)
    return lambda: next(left, True)


def test_two_runs_left_alone_are_equal(folder: Path) -> None:
    assert_same(run(folder), left_alone())


def test_the_random_state_outside_does_not_matter(folder: Path) -> None:
    torch.manual_seed(123)
    model = fresh()
    torch.rand(5)
    assert_same(run(folder, model=model), left_alone())


@pytest.mark.parametrize("dtype", DTYPES)
@settings(max_examples=10, deadline=None)
@given(stops=st.lists(st.integers(0, STEPS), min_size=1, max_size=4))
def test_law_interrupted_anywhere_and_resumed_is_the_same_run(dtype: str, stops: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        done = 0
        for steps in stops:
            if done + steps >= STEPS:
                break
            done += steps
            with pytest.raises(Interrupted, match=f"step {done} of at most {STEPS}"):
                run(Path(name), interrupted=after(steps), model=fresh(dtype=DTYPES[dtype]))
        assert_same(run(Path(name), model=fresh(dtype=DTYPES[dtype])), left_alone(dtype))


class Killed(BaseException):
    pass


class KillAt(Silent):
    """The end without warning: nothing is saved on the way out."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, task: str, done: float, total: float, note: str = "") -> None:
        if done == self.at:
            raise Killed


@settings(max_examples=10, deadline=None)
@given(
    kills=st.lists(st.integers(1, STEPS), min_size=1, max_size=4),
    seconds=st.sampled_from([0.0, 1e9]),
)
def test_law_killed_anywhere_and_resumed_is_the_same_run(kills: list[int], seconds: float) -> None:
    config = configured(checkpoint_seconds=seconds)
    with tempfile.TemporaryDirectory() as name:
        for at in sorted(kills):
            try:
                run(Path(name), config, KillAt(at))
            except Killed:
                continue
            # Only a step that is done already cannot kill again.
            assert load_checkpoint(Path(name)) is not None
        assert_same(run(Path(name), config), left_alone())


class Copying(Silent):
    """Keeps every resume point there has been, as a backup would."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.found = folder, dict[int, bytes]()

    def step(self, task: str, done: float, total: float, note: str = "") -> None:
        self.take()

    def say(self, line: str) -> None:
        self.take()

    def take(self) -> None:
        resume = load_checkpoint(self.folder)
        if resume:
            (path,) = self.folder.iterdir()
            self.found[resume[0].step] = path.read_bytes()


@pytest.fixture(scope="module")
def resume_points(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    folder = tmp_path_factory.mktemp("resume")
    copying = Copying(folder)
    assert_same(run(folder, configured(checkpoint_seconds=0.0), copying), left_alone())
    copying.take()
    (file,) = folder.iterdir()
    return copying.found | {-1: file.name.encode()}


@pytest.mark.parametrize("step", range(STEPS + 1))
def test_any_resume_point_there_has_been_leads_to_the_same_end(
    step: int, resume_points: dict[int, bytes], folder: Path
) -> None:
    (folder / resume_points[-1].decode()).write_bytes(resume_points[step])
    assert_same(run(folder), left_alone())


def test_a_damaged_resume_point_starts_again(folder: Path) -> None:
    with pytest.raises(Interrupted):
        run(folder, interrupted=after(5))
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-10])
    assert_same(run(folder), left_alone())


def test_a_finished_run_that_is_asked_again_trains_no_more(folder: Path) -> None:
    first = run(folder)
    assert_same(run(folder, progress=KillAt(STEPS)), first)


def test_an_early_stop_that_is_asked_again_stays_stopped(folder: Path) -> None:
    config = configured(patience=1, epochs=9, learning_rate=0.3)
    first = run(folder, config)
    assert first.stopped_by == "validation loss"
    again = run(folder, config, interrupted=after(0))
    assert_same(again, first)


# Personality has a say, and preference tuning is stopped and resumed as plain tuning is.


def asked(model: Any) -> dict[str, Any]:
    """A personality that depends on the model's present state alone."""
    norm = sum(float(p.detach().norm()) for n, p in model.named_parameters() if "lora_B" in n)
    return {"voice": norm, "voice_n": 3, "personality": norm / (1 + norm)}


def run_asked(folder: Path, **more: Any) -> Outcome:
    config = configured(tolerance=10.0, dropout=0.0, epochs=3)
    return train(
        fresh(config), TRAINING, VALIDATION, config, PAD, folder, more.pop("progress", Silent()),
        evaluators=[asked], **more,
    )  # fmt: skip


def test_within_the_tolerance_the_state_with_the_best_personality_is_kept(folder: Path) -> None:
    outcome = run_asked(folder)
    history = outcome.position.history
    assert history[0].get("personality") is None
    values = [record["personality"] for record in history[1:]]
    assert values == sorted(values)
    # Whatever its loss: every epoch is within so wide a tolerance.
    assert outcome.position.best_epoch == 3
    assert outcome.position.best_loss == history[3]["validation_loss"]
    model = fresh()
    stem = {name.replace(".default", ""): p for name, p in model.named_parameters()}
    with torch.no_grad():
        for name, tensor in outcome.state.items():
            stem[name].copy_(tensor)
    assert asked(model)["personality"] == pytest.approx(values[-1], rel=1e-6)


@pytest.mark.parametrize("step", [2, 3, 5, 6, 8])
def test_killed_and_resumed_with_an_evaluator_it_is_the_same_run(step: int, folder: Path) -> None:
    with pytest.raises(Killed):
        run_asked(folder / "killed", progress=KillAt(step))
    assert_same(run_asked(folder / "killed"), run_asked(folder / "alone"))


class Heard:
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.epochs: list[int] = []

    def step(self, number: int, loss: float, rate: float, norm: float) -> None:
        assert loss > 0
        assert 0 < rate <= CONFIG.learning_rate
        assert norm > 0
        self.steps.append(number)

    def evaluated(self, position: Any) -> None:
        assert len(position.losses) == len(position.norms) == position.step
        self.epochs.append(position.history[-1]["epoch"])


def test_watchers_hear_of_every_step_and_every_evaluation(folder: Path) -> None:
    heard = Heard()
    assert_same(run_asked(folder / "a", watchers=[heard]), run_asked(folder / "b"))
    assert heard.steps == list(range(1, STEPS + 1))
    assert heard.epochs == [0, 1, 2, 3]


def preferring(folder: Path, progress: Any = None) -> Outcome:
    config = configured(method="dpo", dpo_after=1, dropout=0.0)
    others = rows(20, 34)
    made = [Pair(c, c, r, 60.0, 60.0) for c, r in zip(TRAINING, others, strict=False)]
    return train(
        fresh(config), (), VALIDATION, config, PAD, folder, progress or Silent(),
        pairs=made, held_out_pairs=made[:3],
    )  # fmt: skip


@pytest.mark.parametrize("step", [1, 3, 4, 8])
def test_preference_tuning_killed_and_resumed_is_the_same_run(step: int, folder: Path) -> None:
    with pytest.raises(Killed):
        preferring(folder / "killed", KillAt(step))
    assert_same(preferring(folder / "killed"), preferring(folder / "alone"))


# One step, against plain PEFT and torch.


class Seen:
    """What reaches the optimizer."""

    def __init__(self) -> None:
        self.gradients: list[list[torch.Tensor]] = []
        self.rates: list[float] = []


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()

    class Watched(torch.optim.AdamW):
        def step(self, closure: Any = None) -> Any:
            (group,) = self.param_groups
            found.gradients.append([p.grad.clone() for p in group["params"]])
            found.rates.append(group["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    return found


ONE_STEP = configured(epochs=1, batch_rows=10, dropout=0.0, clip_norm=1e9)


def stirred(model: Any) -> Any:
    """B starts at zero, and with it A's gradient; a test of gradients needs both."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2, generator=generator)
    return model


def reference_gradients() -> dict[str, torch.Tensor]:
    """PEFT's own wrapping, `transformers`' own loss, all logits, right padding."""
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    model = get_peft_model(
        fake_model(),
        LoraConfig(
            r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "up_proj"], task_type="CAUSAL_LM"
        ),
    )
    set_peft_model_state_dict(model, adapter_state(stirred(fresh(ONE_STEP))))
    width = max(len(row.ids) for row in TRAINING)
    batch = len(TRAINING)
    ids = torch.full((batch, width), PAD)
    attention, labels = torch.zeros_like(ids), torch.full((batch, width), -100)
    for b, row in enumerate(TRAINING):
        for t, (token, trained) in enumerate(zip(row.ids, row.trained, strict=True)):
            ids[b, t], attention[b, t] = token, 1
            if trained:
                labels[b, t] = token
    model.train()
    model(input_ids=ids, attention_mask=attention, labels=labels).loss.backward()
    return {n: p.grad for n, p in model.named_parameters() if p.requires_grad}


def assert_close(found: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor]) -> None:
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert b.abs().max() > 1e-4
        assert (a - b).abs().max() <= 1e-5 * b.abs().max().clamp(min=1)
        assert (a - b).norm() <= 1e-5 * b.norm()


@pytest.mark.filterwarnings("ignore:The PEFT config's .base_model_name_or_path. was renamed")
def test_the_gradient_of_a_step_is_that_of_plain_peft(folder: Path, seen: Seen) -> None:
    run(folder, ONE_STEP, model=stirred(fresh(ONE_STEP)))
    (found,) = seen.gradients
    assert_close(found, list(reference_gradients().values()))


@pytest.mark.parametrize("most_tokens", [1, 100, 200])
def test_splitting_a_step_to_fit_in_memory_does_not_change_its_gradient(
    most_tokens: int, folder: Path, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(folder / "a", ONE_STEP, model=stirred(fresh(ONE_STEP)))
    monkeypatch.setattr(loop, "MICRO_TOKENS", most_tokens)
    split = run(folder / "b", ONE_STEP, model=stirred(fresh(ONE_STEP)))
    assert_close(seen.gradients[1], seen.gradients[0])
    assert split.position.losses == pytest.approx(whole.position.losses, rel=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_every_step_has_a_dropout_of_its_own(dropout: float, folder: Path) -> None:
    # Steps over the same rows, too short to change anything else.
    config = configured(batch_rows=10, epochs=4, dropout=dropout, learning_rate=1e-12)
    losses = run(folder, config, model=stirred(fresh(config))).position.losses
    apart = [abs(a - b) for i, a in enumerate(losses) for b in losses[:i]]
    assert (min(apart) > 1e-5) if dropout else (max(apart) < 1e-5)


def test_a_gradient_is_clipped_to_its_norm(folder: Path, seen: Seen) -> None:
    run(folder, configured(clip_norm=1e-3))
    for gradients in seen.gradients:
        assert torch.stack([g.norm() for g in gradients]).norm() == pytest.approx(1e-3, rel=1e-3)


def test_each_step_has_the_learning_rate_of_the_schedule(folder: Path, seen: Seen) -> None:
    run(folder)
    warmup, total = warmup_and_total(len(TRAINING), CONFIG)
    assert total == STEPS == len(seen.rates)
    assert seen.rates == [learning_rate(5e-3, step, warmup, total) for step in range(total)]


def test_a_resumed_run_goes_on_with_the_schedule(folder: Path, seen: Seen) -> None:
    with pytest.raises(Interrupted):
        run(folder, interrupted=after(4))
    run(folder)
    warmup, total = warmup_and_total(len(TRAINING), CONFIG)
    assert seen.rates == [learning_rate(5e-3, step, warmup, total) for step in range(total)]


# What cannot be trained.


class Breaking(Silent):
    """Puts a number that is none into the frozen weights, as bad memory would."""

    def __init__(self, model: Any, step: int) -> None:
        self.model, self.at = model, step

    def step(self, task: str, done: float, total: float, note: str = "") -> None:
        if done == self.at:
            with torch.no_grad():
                self.model.get_base_model().model.norm.weight.fill_(math.nan)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_loss_that_is_no_number_fails_and_keeps_the_last_good_state(
    seconds: float, folder: Path
) -> None:
    config, model = configured(checkpoint_seconds=seconds), fresh()
    with pytest.raises(CheckFailed, match=r"not a number at step 4; lower train\.learning_rate"):
        run(folder, config, Breaking(model, 4), model=model)
    found = load_checkpoint(folder)
    assert found is not None
    assert all(torch.isfinite(tensor).all() for tensor in found[1].values())
    assert_same(run(folder, config), left_alone())


def test_rows_without_a_reply_token_are_left_out(folder: Path) -> None:
    empty = Rendered((5, 6, 7), (False, False, False), False)
    assert_same(run(folder, training=[empty, *TRAINING, empty]), left_alone())
    assert steps_per_epoch(len(TRAINING), CONFIG.batch_rows) * CONFIG.epochs == STEPS


@pytest.mark.parametrize("which", ["training", "validation"])
@pytest.mark.parametrize("count", [0, 2])
def test_nothing_to_train_on_or_to_measure_is_one_clear_line(
    which: str, count: int, folder: Path
) -> None:
    empty = [Rendered((5, 6), (False, False), False)] * count
    with pytest.raises(UsageError, match="molting check"):
        run(folder, **{which: empty})
