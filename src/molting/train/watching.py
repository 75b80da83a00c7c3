"""Where metrics go as they arise: metrics.jsonl, which is the truth, and trackers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from molting.core.artifacts import write_bytes
from molting.core.errors import UsageError
from molting.train.checkpoint import Position


class Watcher(Protocol):
    """Told of every step and every evaluation; it changes nothing."""

    def step(self, number: int, loss: float, rate: float, norm: float) -> None:
        """Step `number` (from 1): mean loss, learning rate, norm of the gradient."""

    def evaluated(self, position: Position) -> None:
        """The last record of `position.history` is new."""


class MetricsFile:
    """metrics.jsonl: a line a step, then a line an evaluation; whole after each evaluation."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def step(self, number: int, loss: float, rate: float, norm: float) -> None:
        return None

    def evaluated(self, position: Position) -> None:
        lines: list[dict[str, Any]] = [
            {"step": i, "train_loss": loss, "gradient_norm": norm}
            for i, (loss, norm) in enumerate(zip(position.losses, position.norms, strict=True), 1)
        ]
        raw = b"".join(msgspec.json.encode(line) + b"\n" for line in [*lines, *position.history])
        write_bytes(self.path, raw)


class Tracker:
    """A tracker behind one function that takes names with numbers, and a step."""

    def __init__(self, log: Any) -> None:
        self.log = log

    def step(self, number: int, loss: float, rate: float, norm: float) -> None:
        self.log({"train_loss": loss, "learning_rate": rate, "gradient_norm": norm}, number)

    def evaluated(self, position: Position) -> None:
        record = position.history[-1]
        numbers = {
            name: float(value)
            for name, value in record.items()
            if isinstance(value, int | float) and name not in ("epoch", "step")
        }
        self.log(numbers, record["step"])


def trackers(
    names: Sequence[str], folder: Path, run: str, settings: dict[str, Any]
) -> list[Watcher]:
    """The trackers named in `train.trackers`; they write under `folder`, or where they are set up to."""
    makers = {"tensorboard": _tensorboard, "trackio": _trackio, "mlflow": _mlflow}
    found: list[Watcher] = []
    for name in dict.fromkeys(names):
        try:
            found.append(Tracker(makers[name](folder, run, settings)))
        except ImportError:
            raise UsageError(
                f"train.trackers names {name}, which is not installed: "
                f"pip install 'molting-lm[{name}]'"
            ) from None
    return found


def _tensorboard(folder: Path, run: str, settings: dict[str, Any]) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"))

    def log(numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return log


def _trackio(folder: Path, run: str, settings: dict[str, Any]) -> Any:
    import trackio

    tracked = trackio.init(project="molting", name=run, config=settings, resume="allow")
    return lambda numbers, step: tracked.log(numbers, step=step)


def _mlflow(folder: Path, run: str, settings: dict[str, Any]) -> Any:
    import mlflow

    client = mlflow.MlflowClient()
    name = "molting"
    found = client.get_experiment_by_name(name)
    experiment = found.experiment_id if found else client.create_experiment(name)
    identifier = client.create_run(experiment, run_name=run).info.run_id
    for key, value in settings.items():
        client.log_param(identifier, key, value)

    def log(numbers: dict[str, float], step: int) -> None:
        for key, value in numbers.items():
            client.log_metric(identifier, key, value, step=step)

    return log
