"""`molting judge`: a language model compares replies, and is itself tested first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from molting.cli.console import Terminal, out, print_json
from molting.cli.settings import open_with
from molting.core.artifacts import file_hash, write_json
from molting.core.config import Judge, override
from molting.core.corpus import Corpus
from molting.core.errors import CheckFailed, UsageError
from molting.core.project import project_lock
from molting.evaluate.comparisons import read_pairs
from molting.evaluate.fake_judges import FAKE_JUDGES
from molting.evaluate.judge import ask, make_items, own_lines, report
from molting.flow import molt_corpus
from molting.models.teachers import ApiTeacher, Teacher, key_from
from molting.signals.voice import VoiceDetector, fit_detector


class Which(NamedTuple):
    """The flags that say who judges; None and empty where molting.toml holds."""

    url: str | None
    model: str | None
    provider: str | None
    key_env: str | None
    prompts: int | None
    fake: str


def run_judge(
    folder: Path, number: int | None, which: Which, settings: Sequence[str], as_json: bool
) -> None:
    """Ask, test the judge, write judge.json; exit code 1 when the judge fails its test."""
    project = open_with(folder, settings)
    config = override(
        project.config, "judge", url=which.url, model=which.model, provider=which.provider,
        key_env=which.key_env, prompts=which.prompts,
    )  # fmt: skip
    molt = project.molt(number)
    teacher, shown = _teacher(config.judge, which.fake)
    transcripts = project.molt_folder(molt.number) / "transcripts.jsonl"
    pairs = read_pairs(transcripts, config.judge.prompts, config.judge.seed)
    with Terminal() as terminal, project_lock(project):
        from molting.memory.store import project_memory
        from molting.report.page import write_report

        corpus = molt_corpus(project, molt)
        train = corpus.split("train")
        items = make_items(pairs, corpus.split("test"), config.persona, config.judge)
        with project_memory(project) as memory:
            judged, calls = ask(
                items,
                teacher,
                config.persona,
                own_lines(train, config.judge.seed),
                memory,
                terminal,
            )
        voice = voice_detector(corpus)
        options = config.evaluate
        found = report(
            judged, calls, pairs, voice.score if voice else None, options.resamples, options.seed
        )
        result: dict[str, Any] = {
            "molt": molt.number,
            "judge": shown,
            "prompts": len({pair.prompt for pair in pairs}),
            "seed": config.judge.seed,
            "transcripts": file_hash(transcripts),
            **found,
        }
        write_json(project.molt_folder(molt.number) / "judge.json", result)
        terminal.say(f"report: {write_report(project, molt)}")
    if as_json:
        print_json(result)
    else:
        _print(result)
    if not found["calibration"]["passed"]:
        raise CheckFailed(
            "the judge failed its test: it " + "; it ".join(found["calibration"]["reasons"])
        )


def voice_detector(corpus: Corpus) -> VoiceDetector | None:
    """A detector from the training rows; None where there are too few.

    The evaluation's own is not kept. This one has not seen the base's replies, so its view of two
    replies differs a little from the V that is reported.
    """
    from molting.signals.contrast import neutral_replies, other_personas

    texts = [row.reply for row in corpus.split("train")]
    if len(texts) < 8:
        return None
    return fit_detector(
        texts,
        {
            "neutral": [row.reply for row in neutral_replies()],
            "personas": [row.reply for row in other_personas()],
        },
    )


def _teacher(options: Judge, fake: str) -> tuple[Teacher, dict[str, Any]]:
    """Who judges, and what of that may be stored: never the key."""
    if fake:
        if fake not in FAKE_JUDGES:
            raise UsageError(f"no fake judge {fake!r}; one of {', '.join(FAKE_JUDGES)}")
        if options.url is not None and options.model is not None:
            raise UsageError("give --fake, or --url and --model, not both")
        return FAKE_JUDGES[fake](), {"provider": "fake", "model": fake, "host": None}
    if options.url is None or options.model is None:
        raise UsageError(
            "no judge; give --url and --model (or set judge.url and judge.model), or --fake fair"
        )
    teacher = ApiTeacher(
        options.url, options.model, key_from(options.key_env), options.provider,
        options.timeout_seconds,
    )  # fmt: skip
    shown = {"provider": teacher.provider, "model": options.model, "host": teacher.host}
    return teacher, shown


def _print(result: dict[str, Any]) -> None:
    console = out()
    calibration = result["calibration"]
    judge = result["judge"]
    console.print(f"judge {judge['model']} ({judge['host'] or judge['provider']})", markup=False)
    if calibration["passed"]:
        console.print(f"passed its test on {calibration['n']} known-bad replies")
    else:
        console.print("[bold]failed its test[/bold]: its numbers below are no evidence, because it")
        for reason in calibration["reasons"]:
            console.print(f"  · {reason}", markup=False)
    table = Table("", "grade 0–10", "tuned preferred to it")
    for name, grade in result["grades"].items():
        table.add_row(
            name.replace("_", " "), interval(grade), interval(result["wins_over"].get(name))
        )
    console.print(table)
    agreement = result["agreement_with_voice"]
    console.print(
        f"κ between the two orders {interval(calibration['kappa'])}, place bias "
        f"{interval(calibration['place_bias'])}; agrees with the voice detector in "
        f"{interval(agreement['share']) if agreement else 'not measured'} of the pairs\n"
        f"calls: {result['calls']['made']} made, {result['calls']['remembered']} remembered, "
        f"{result['calls']['failed']} failed, {result['calls']['unreadable']} unreadable",
        markup=False,
    )


def interval(estimate: dict[str, Any] | None) -> str:
    """Value, interval and n; empty where there is nothing to say."""
    if estimate is None:
        return ""
    if estimate["value"] is None:
        return "not measured"
    if estimate["low"] is None:
        return f"{estimate['value']:.2f} (n={estimate['n']})"
    return "{value:.2f} [{low:.2f}, {high:.2f}] (n={n})".format(**estimate)
