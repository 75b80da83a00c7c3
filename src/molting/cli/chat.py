"""`molting chat`: talk to a molt, and to the untouched model for comparison."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from molting.cli.console import Terminal, out
from molting.core.artifacts import write_json
from molting.core.conversation import Turn, as_messages
from molting.core.errors import CheckFailed, UsageError
from molting.core.project import open_project

_HELP = """\
/base          answer with the untouched model        /tuned    answer with the molt
/system TEXT   set a system prompt (empty: none)      /persona  set the persona's own prompt
/reset         forget the conversation                /save [FILE]  write it as one JSON row
/quit          leave (also Ctrl-D)"""


def run_chat(folder: Path, number: int | None, base: bool, system: str) -> None:
    """Read lines until /quit or the end of input; replies are streamed."""
    project = open_project(folder)
    molt = project.molt(number)
    manifest: dict[str, Any] = project.manifest(molt.number) or {}
    with Terminal() as terminal:
        from molting.models.base import load_model
        from molting.models.lora import load_adapter
        from molting.models.sources import find_model

        source = find_model(manifest["base"]["name"], manifest["base"]["revision"], terminal)
        if source.weights != manifest["base"]["weights"]:
            raise CheckFailed(
                f"{source.name}: not the weights that molt {molt.number} was trained on"
            )
        loaded = load_model(source, manifest["dtype"])
        model = load_adapter(loaded.model, project.molt_folder(molt.number) / "adapter")
    options = project.config.evaluate
    session = Session(loaded, model, tuned=not base, system=system, options=options)
    console = out()
    interactive = sys.stdin.isatty()
    name = project.config.persona.name
    if interactive:
        console.print(f"[bold]{name}[/bold] · molt {molt.number} · /help lists the commands")
    while True:
        label = name if session.tuned else "base"
        try:
            line = input("you: ") if interactive else sys.stdin.readline()
        except EOFError:
            break
        if not line and not interactive:
            break
        line = line.strip()
        if not line:
            continue
        if line.startswith("/"):
            if line.split()[0] in ("/quit", "/exit"):
                break
            said = _command(line, session, project.config.persona.system_prompt(), folder)
            console.print(said, style="dim", markup=False)
            continue
        console.print(f"{label}: ", style="bold", end="", markup=False)
        try:
            for piece in session.reply(line):
                sys.stdout.write(piece)
                sys.stdout.flush()
        except KeyboardInterrupt:
            if not interactive:
                raise
            session.stopped()
        sys.stdout.write("\n")
    if interactive:
        console.print("bye", style="dim")


class Session:
    """A conversation with one model, adapter on or off."""

    def __init__(self, base: Any, model: Any, *, tuned: bool, system: str, options: Any) -> None:
        from molting.models.generate import Sampling
        from molting.models.render import Renderer

        self.base, self.model, self.tuned, self.system = base, model, tuned, system
        self.renderer = Renderer(base.tokenizer)
        end = self.renderer.end_of_turn
        self.stop_ids = base.stop_ids | ({end} if end is not None else frozenset())
        self.sampling = Sampling(
            max(256, options.max_new_tokens), options.temperature, options.top_p, options.seed
        )
        self.turns: list[Turn] = []
        self._partial = ""

    def reply(self, text: str) -> Any:
        """Yield the reply in pieces and keep it in the conversation."""
        import contextlib

        from molting.models.generate import stream

        self.turns.append(Turn("user", text))
        room = self.base.context_tokens - self.sampling.max_new_tokens
        ids = self.renderer.prompt(self.turns, self.system or None)
        while len(ids) > room and len(self.turns) > 2:
            # The oldest exchange goes first, as in training.
            self.turns = self.turns[2:]
            ids = self.renderer.prompt(self.turns, self.system or None)
        if len(ids) > room:
            self.turns.pop()
            raise UsageError(
                f"that is longer than the model's context ({self.base.context_tokens} tokens)"
            )
        self._partial = ""
        name = f"chat:{len(self.turns)}:{time.time_ns()}"
        with contextlib.nullcontext() if self.tuned else self.model.disable_adapter():
            for piece in stream(self.base, self.model, ids, self.sampling, name, self.stop_ids):
                self._partial += piece
                yield piece
        self.stopped()

    def stopped(self) -> None:
        """Keep what was said so far as the reply."""
        self.turns.append(Turn("assistant", self._partial.strip()))


def _command(line: str, session: Session, persona_prompt: str, folder: Path) -> str:
    name, _, rest = line.partition(" ")
    rest = rest.strip()
    if name in ("/base", "/tuned"):
        session.tuned = name == "/tuned"
        return "the molt answers" if session.tuned else "the untouched model answers"
    if name in ("/system", "/persona"):
        session.system = persona_prompt if name == "/persona" else rest
        return f"system prompt: {session.system or 'none'}"
    if name == "/reset":
        session.turns.clear()
        return "conversation forgotten"
    if name == "/save":
        path = Path(rest) if rest else folder / f"chat-{time.strftime('%Y%m%d-%H%M%S')}.json"
        turns = [Turn("system", session.system)] if session.system else []
        write_json(path, {"messages": as_messages([*turns, *session.turns])})
        return f"saved {path}"
    return _HELP if name == "/help" else f"unknown command {name}\n{_HELP}"
