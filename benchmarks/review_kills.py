"""Does a killed review lose a decision that it acknowledged?

    python -m benchmarks.review_kills                       100 kills, on a copy of the example
    python -m benchmarks.review_kills --kills 5 --rows 60   what the test suite runs

A scripted `molting review` gets an endless stream of keep, reject, edit, note, skip and undo on its
standard input and is killed with SIGKILL: one time in five while it starts, else at a random moment
of its writing (uniform over `--window` seconds from the first acknowledgement). After every kill
the journal is opened anew, and

  * every acknowledgement that the dead process had written names an entry that is there, with the
    same number, action and row,
  * at most one entry more than was acknowledged is there,
  * `Journal.verify` finds the chain whole and the last known entry in its place,
  * what was there before the session is unchanged.

Each session is a fork of a process that has imported everything, so that starting is cheap; it
runs the command's own `main`. The last line is one JSON object; the exit code is 1 on any fault.
SIGKILL leaves the system's buffers alone: that a power cut loses nothing either rests on SQLite's
synchronous=FULL, which `strace -f -e trace=fdatasync,write` shows before each acknowledgement.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from molting.core.journal import Journal
from molting.core.project import Project, open_project
from molting.core.rulings import Decision, rulings

EXAMPLE = Path(__file__).parent.parent / "examples" / "skerry"
_COMMANDS = 3000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=450, help="rows of the example to review")
    parser.add_argument("--window", type=float, default=0.6, help="seconds of writing to kill in")
    options = parser.parse_args()
    begun = time.perf_counter()
    root = Path(tempfile.mkdtemp(prefix="molting-review-kills-"))
    try:
        project = _project(root, options.rows)
        result = _kill(project, options.kills, options.seed, options.window)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    result["seconds"] = round(time.perf_counter() - begun, 1)
    print(json.dumps(result), flush=True)
    return 1 if result["faults"] else 0


def _project(root: Path, rows: int) -> Project:
    """The example's first rows, curated once so that a session finds its queue at once."""
    shutil.copytree(EXAMPLE, root / "p", ignore=shutil.ignore_patterns(".molting"))
    for file in (root / "p" / "data").iterdir():
        lines = file.read_text("utf-8").splitlines(keepends=True)
        file.write_text("".join(lines[:rows]), "utf-8")
    config = root / "p" / "molting.toml"
    # Likeness in meaning is nothing of the journal's, and its encoder takes ten seconds to load.
    text = config.read_text("utf-8").replace("[curate]\n", '[curate]\nsemantic = "off"\n')
    config.write_text(text, "utf-8")
    project = open_project(root / "p")
    # Importing everything that a session needs, in this process, is what makes a fork cheap.
    from molting.cli.stages import run_curate

    out = os.dup(1)
    with (root / "curate.txt").open("w") as quiet:
        os.dup2(quiet.fileno(), 1)
        run_curate(project.root, [], False, True)
        sys.stdout.flush()
    os.dup2(out, 1)
    import molting.cli.main
    import molting.cli.review
    import molting.cli.review_session
    import molting.curate.session  # noqa: F401

    # What is imported is nobody's garbage; a fork that looked through it would copy it all.
    gc.freeze()
    return project


def _kill(project: Project, kills: int, seed: int, window: float) -> dict[str, object]:
    choose = random.Random(seed)
    journal = Journal(project)
    faults: list[str] = []
    acknowledged = unacknowledged = ended = done = early = 0
    startup = 1.0
    before: list[Decision] = []
    while done < kills and ended < 20:
        starting = done % 5 == 4
        wait = choose.uniform(0, startup) if starting else choose.uniform(0, window)
        lines, killed, first = _session(
            project, _stream(choose), wait, starting=starting, log=project.root / "session.txt"
        )
        if first is not None:
            startup = first
        if not killed:
            # It came to the end of its queue first; another session takes its place.
            ended += 1
        else:
            done += 1
            early += not lines
        check = journal.verify()
        after = journal.decisions() if check.ok else []
        faults += [f"kill {done}: {text}" for text in _faults(before, after, lines)]
        if not check.ok:
            faults.append(f"kill {done}: {check.problem}")
        acknowledged += len(lines)
        unacknowledged += max(0, len(after) - len(before) - len(lines))
        rulings(after)
        before = after
        if done % 10 == 0 and killed:
            print(f"{done} kills: {acknowledged} acknowledged, {len(after)} entries, "
                  f"{len(faults)} faults", file=sys.stderr, flush=True)  # fmt: skip
    if done < kills:
        faults.append(f"only {done} sessions could be killed: the others had ended; lower --window")
    return {
        "kills": done,
        "killed_before_the_first_acknowledgement": early,
        "sessions_that_ended_first": ended,
        "acknowledged": acknowledged,
        "acknowledged_and_lost": sum("lost" in fault for fault in faults),
        "written_but_not_acknowledged": unacknowledged,
        "entries": len(before),
        "faults": faults,
        "seed": seed,
    }


def _faults(before: list[Decision], after: list[Decision], lines: list[str]) -> list[str]:
    found = []
    if after[: len(before)] != before:
        found.append("what was there before has changed")
    there = {decision.id: decision for decision in after}
    for line in lines:
        number, action, row, id = line.split(" ")
        decision = there.get(id)
        if decision is None:
            found.append(f"acknowledged and lost: {line}")
        elif (str(decision.number), decision.action, decision.row) != (number, action, row):
            found.append(f"acknowledged and different: {line}")
    if len(after) - len(before) - len(lines) > 1:
        found.append("more than one entry was not acknowledged")
    return found


def _session(
    project: Project, commands: bytes, wait: float, *, starting: bool, log: Path
) -> tuple[list[str], bool, float | None]:
    """(complete acknowledgements, whether it was killed, seconds to the first one)."""
    give, take = os.pipe(), os.pipe()
    begun = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.close(give[1])
        _run(project, give[0], take[1], log)
    os.close(give[0])
    os.close(take[1])
    feeder = os.fork()
    if feeder == 0:
        # A process of its own writes the stream, so that a full pipe stops nobody here.
        os.close(take[0])
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        with os.fdopen(give[1], "wb") as stream:
            stream.write(commands)
        os._exit(0)
    os.close(give[1])
    told = b""
    first = None
    if not starting:
        told = os.read(take[0], 65536)
        first = time.perf_counter() - begun if told else None
    time.sleep(wait)
    os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    while chunk := os.read(take[0], 65536):
        told += chunk
    os.close(take[0])
    os.kill(feeder, signal.SIGKILL)
    os.waitpid(feeder, 0)
    killed = os.WIFSIGNALED(status)
    # A line is an acknowledgement when it is whole.
    return told.decode().split("\n")[:-1], killed, first


def _run(project: Project, source: int, target: int, log: Path) -> None:
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, handle in ((0, source), (1, target), (2, errors)):
        os.dup2(handle, number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    code = 99
    try:
        sys.argv = ["molting", "review", str(project.root), "--again", "--count", "1000"]
        from molting.cli.main import main

        main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stderr.flush()
        os._exit(code)


def _stream(choose: random.Random) -> bytes:
    lines = ["k"]
    for n in range(_COMMANDS):
        kind = choose.choices("krensu", weights=(30, 25, 15, 10, 5, 15))[0]
        if kind == "e":
            words = " ".join(choose.choices(("crab", "kelp", "tide", "claw", "gull"), k=8))
            lines += ["e", f"Clack, shoreling number {n}: {words}.", "."]
        elif kind == "n":
            lines.append(f"n note {n}")
        elif kind == "r":
            lines.append(f"r reason {n}")
        else:
            lines.append(kind)
    return "\n".join([*lines, ""]).encode()


if __name__ == "__main__":
    sys.exit(main())
