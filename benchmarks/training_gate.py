"""How the training benchmark holds two systems in step: each child waits at a gate between steps.

The parent writes one JSON line for each command and reads one for each answer, so that both
systems stay loaded and warm while only one of them computes: A B A B within one minute, on a
machine whose speed changes from minute to minute.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Gate:
    """The child's side. A system calls `before` and `after` around each optimizer step."""

    def __init__(self) -> None:
        # Libraries print what they like; answers go to the descriptor that the parent reads.
        self._answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
        self.left = 0
        self._seconds = self._processor = 0.0
        self._begun = (0.0, 0.0)
        self._losses: list[float] = []
        self.evaluate: Any = None
        """Set by the system: gives the held-out loss of the weights as they are."""
        self.save: Any = None
        """Set by the system: writes the adapter as it is into a folder."""

    def before(self) -> None:
        """Wait until a step is wanted."""
        if not self.left:
            if self._losses:
                self._told()
            self._serve()
        self._begun = (time.perf_counter(), time.process_time())

    def after(self, loss: float) -> None:
        """A step is done."""
        self._seconds += time.perf_counter() - self._begun[0]
        self._processor += time.process_time() - self._begun[1]
        self._losses.append(loss)
        self.left -= 1

    def ready(self, **facts: Any) -> None:
        self._answer({"ready": True, **facts})

    def finish(self, **facts: Any) -> None:
        """Training is over: the last answer, and whatever else is asked."""
        self._told(finished=True, **facts)
        while True:
            self.left = 0
            self._serve()
            self._told(finished=True, **facts)

    def _serve(self) -> None:
        while not self.left:
            command = json.loads(sys.stdin.readline() or '{"end": true}')
            if command.get("end"):
                os._exit(0)
            if command.get("evaluate"):
                self._answer({"held_out": self.evaluate()})
            if command.get("save"):
                self.save(command["save"])
                self._answer({"saved": command["save"]})
            self.left = int(command.get("steps", 0))

    def _told(self, **facts: Any) -> None:
        took = {"seconds": self._seconds, "processor_seconds": self._processor}
        self._answer({**took, "losses": self._losses, **facts})
        self._losses, self._seconds, self._processor = [], 0.0, 0.0

    def _answer(self, answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)


class Peer:
    """The parent's side: a child process that trains."""

    def __init__(
        self, python: str, module: str, specification: Path, threads: int | None = None
    ) -> None:
        """`threads`: for matrix products; all of the machine's where nothing is said."""
        self.name = module
        self.done = 0
        """Optimizer steps taken."""
        self.process = subprocess.Popen(
            [python, "-m", module, str(specification)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {}),
        )
        self.facts = self._read()

    def steps(self, count: int) -> dict[str, Any]:
        """Take that many optimizer steps: their losses, and seconds in all, of the clock and of all
        processors."""
        answer = self._ask({"steps": count})
        self.done += count
        return answer

    def held_out(self) -> float:
        return float(self._ask({"evaluate": True})["held_out"])

    def save(self, folder: Path) -> None:
        """Write the adapter as it is now."""
        self._ask({"save": str(folder)})

    def end(self) -> None:
        if self.process.returncode is not None:
            return
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate('{"end": true}\n', timeout=60)

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.process.communicate()
            raise RuntimeError(f"{self.name} ended with code {self.process.returncode}; see above")
        answer: dict[str, Any] = json.loads(line)
        return answer
