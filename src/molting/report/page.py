"""report.html: everything known of a molt on one page, for a person who was not there.

`collect` gathers plain values, `render` makes the page of them. The page is one file: no script,
no address, no path of this machine. What models and people wrote is data: it is escaped by the
template, and secrets and personal data in it are named, not shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from molting.core.artifacts import read_json, write_text
from molting.core.config import Config
from molting.core.conversation import Turn, content_id
from molting.core.corpus import Corpus, Row, load_corpus
from molting.core.project import Molt, Project, shown_model
from molting.report.beside import render_beside
from molting.report.summary import summarize

SYSTEMS = {
    "base": "Untouched base",
    "prompted": "Base + prompt",
    "tuned": "Tuned",
    "tuned_prompted": "Tuned + prompt",
}
OWN_TEXT = "held_out_text"
_IN_SIGHT = 12
"""Held-out prompts that are shown open; the others are folded."""
_EXAMPLES = 2
_EXCERPT = 220
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""Characters that UTF-8 or HTML cannot hold."""


def write_report(project: Project, molt: Molt) -> Path:
    """Write `.molting/molts/<n>/report.html` and say where it is."""
    path = project.molt_folder(molt.number) / "report.html"
    write_text(path, render(collect(project, molt)))
    return path


def collect(project: Project, molt: Molt) -> dict[str, Any]:
    """All that the page says, as plain values without a path of this machine."""
    folder = project.molt_folder(molt.number)
    manifest = project.manifest(molt.number) or {}
    corpus = load_corpus(project.corpora / molt.corpus.replace(":", "-"))
    transcripts = _lines(folder / "transcripts.jsonl")
    metrics = _lines(folder / "metrics.jsonl")
    when = datetime.fromtimestamp(molt.finished or molt.created, UTC)
    data = {
        "summary": summarize(project, molt),
        "date": f"{when.day} {when:%B %Y}",
        "iso_date": f"{when:%Y-%m-%d}",
        "manifest": manifest,
        "steps": [line["train_loss"] for line in metrics if "epoch" not in line],
        "history": manifest.get("train", {}).get("history", []),
        "rejections": _rejections(corpus),
        "conversations": _conversations(transcripts, corpus),
        "probes": _probes(transcripts, project.config),
        "system_prompt": _clean(project.config.persona.system_prompt()),
        "config": _config(project, folder / "config.json"),
    }
    shown: dict[str, Any] = _without_paths(data, project.root)
    return shown


def render(data: Mapping[str, Any]) -> str:
    """The page. `data` is what `collect` gives."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": _number,
        "whole": _whole,
        "estimate": _estimate,
        "estimate_of_score": lambda score: _estimate(score, key="score", digits=1),
        "percent": _percent,
        "change": _change,
    }
    source = resources.files("molting.report").joinpath("template.html").read_text("utf-8")
    evaluate = next(section for section in data["config"] if section["name"] == "evaluate")
    page = environment.from_string(source).render(
        **data,
        systems=SYSTEMS,
        own_text=OWN_TEXT,
        options={item["key"]: item["value"] for item in evaluate["values"]},
        plots=_plots(data),
        beside=Markup(render_beside(data["summary"])),
    )
    return page.lstrip()


def _plots(data: Mapping[str, Any]) -> dict[str, Any]:
    """SVG by name, None where there is nothing to draw."""
    from markupsafe import Markup

    from molting.report import plots

    voice = data["summary"]["voice"]
    made: dict[str, Any] = {"forest": None, "forest_narrow": None, "loss": None, "perplexity": None}
    if any(voice.get(system) for system in SYSTEMS):
        one = {"value": 1.0, "low": None, "high": None}
        rows = [
            plots.Row(label, voice.get(key), voice.get(f"{key}_body"), fixed=key == "base")
            for key, label in SYSTEMS.items()
        ]
        rows.append(plots.Row("Persona’s own text", one, one, fixed=True))
        made["forest"] = plots.forest(rows, 720, "forest")
        made["forest_narrow"] = plots.forest(rows, 350, "forest-narrow")
    history, best = data["history"], (data["summary"]["train"] or {}).get("best_epoch")
    if data["steps"] or history:
        made["loss"] = plots.loss_curve(data["steps"], history, best, "loss")
    if any(item.get("validation_perplexity") is not None for item in history):
        made["perplexity"] = plots.perplexity_curve(history, best, "perplexity")
    return {name: None if svg is None else Markup(svg) for name, svg in made.items()}


def _rejections(corpus: Corpus) -> list[dict[str, Any]]:
    """Every reason that rows were rejected for: how many, what it means, two examples."""
    from molting.curate.filters import REASONS

    sources = {row.conversation.id: str(row.conversation.source) for row in corpus.rows}
    rows: dict[str, list[Row]] = {}
    for row in corpus.rejected:
        rows.setdefault(row.verdict.reason, []).append(row)
    return [
        {
            "reason": reason,
            "count": len(found),
            "meaning": _sentence(REASONS.get(reason, "not described")),
            "examples": [_example(row, sources) for row in found[:_EXAMPLES]],
        }
        for reason, found in sorted(rows.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _example(row: Row, sources: Mapping[str, str]) -> dict[str, Any]:
    """A rejected row. Of one that holds a secret, whatever its reason, no text is shown."""
    from molting.signals.secrets import find_secrets

    conversation, evidence = row.conversation, dict(row.verdict.evidence)
    secret = row.verdict.reason == "secret" or any(find_secrets(t.text) for t in conversation.turns)
    if secret:
        # `matched` and `ends` quote the row.
        evidence = {k: v for k, v in evidence.items() if k not in ("matched", "ends")}
    twin = evidence.pop("twin", None)
    if twin is not None:
        evidence["twin"] = evidence.pop("twin_source", None) or sources.get(twin, twin)
    return {
        "source": str(conversation.source),
        "evidence": [(key.replace("_", " "), _plain(value)) for key, value in evidence.items()],
        "text": None if secret else [_excerpt(conversation.prompt), _excerpt(conversation.reply)],
    }


def _conversations(transcripts: Sequence[dict[str, Any]], corpus: Corpus) -> list[dict[str, Any]]:
    """Held-out prompts with the persona's own reply and the systems' replies.

    The prompts in sight are taken evenly from the list, so nobody chose them by how they look.
    """
    own = {content_id(row.context): row.reply for row in corpus.split("test")}
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for item in transcripts:
        if item["kind"] != "held_out":
            continue
        turns = tuple(Turn(turn["role"], turn["text"]) for turn in item["prompt"])
        key = (content_id(turns), item["sample"])
        entry = found.setdefault(
            key,
            {
                "turns": [(turn.role, _clean(turn.text)) for turn in turns],
                "sample": item["sample"],
                "own": _clean(own[key[0]]) if key[0] in own else None,
                "replies": {},
                "in_sight": False,
            },
        )
        entry["replies"][item["system"]] = _reply(item)
    entries = list(found.values())
    for number, entry in enumerate(entries, 1):
        entry["number"] = number
    first = [entry for entry in entries if entry["sample"] == 0]
    for i in range(min(_IN_SIGHT, len(first))):
        first[i * len(first) // min(_IN_SIGHT, len(first))]["in_sight"] = True
    return entries


def _probes(transcripts: Sequence[dict[str, Any]], config: Config) -> list[dict[str, Any]]:
    """Questions about itself: for each one the systems' replies, marked right or wrong."""
    answers = {fact.ask: fact.answer for fact in config.persona.facts}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for item in transcripts:
        if item["kind"] == "held_out":
            continue
        question = item["prompt"][-1]["text"]
        entry = found.setdefault(
            (item["kind"], question),
            {
                "kind": item["kind"],
                "question": _clean(question),
                "answer": _clean(answers[question]) if question in answers else None,
                "replies": {system: [] for system in SYSTEMS},
            },
        )
        entry["replies"].setdefault(item["system"], []).append(_reply(item))
    return list(found.values())


def _reply(item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "text": _clean(item["reply"]),
        "cut": item["ended"] != "stop",
        "right": item.get("right"),
    }


def _config(project: Project, path: Path) -> list[dict[str, Any]]:
    """Sections of the molt's configuration as TOML writes them, and what is not the default.

    The molt keeps what it was trained with; persona and evaluation are asked later, and anew.
    """
    # Through JSON, as the kept one was: lists on both sides, so that equal values are equal.
    now = msgspec.json.decode(msgspec.json.encode(project.config))
    kept = read_json(path) if path.exists() else now
    default = msgspec.json.decode(msgspec.json.encode(Config()))
    sections = []
    for section, values in now.items():
        shown = dict(values if section in ("persona", "evaluate") else kept.get(section, values))
        if section == "data":
            for key in ("files", "held_out"):
                shown[key] = [project.shown(project.root / name) for name in shown.get(key, ())]
        if section == "base":
            shown["model"] = shown_model(shown["model"])
        sections.append(
            {
                "name": section,
                "values": [
                    {
                        "key": key,
                        "value": _clean(_toml(value)),
                        "changed": value != default.get(section, {}).get(key),
                    }
                    for key, value in shown.items()
                ],
            }
        )
    return sections


def _toml(value: Any) -> str:
    if value is None:
        return "absent"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return repr(value) if isinstance(value, float) else msgspec.json.encode(value).decode()


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines() if line.strip()]


def _clean(text: str) -> str:
    """Text that may be shown: secrets and personal data are named instead."""
    from molting.signals.secrets import redact

    return redact(text).text


def _excerpt(text: str) -> str:
    text = _clean(" ".join(text.split()))
    return text if len(text) <= _EXCERPT else text[:_EXCERPT].rstrip() + " …"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return _excerpt(value)
    if isinstance(value, (list, tuple)):
        return "–".join(str(item) for item in value)
    if isinstance(value, float):
        return f"{value:.3g}"
    return "not measured" if value is None else str(value)


def _without_paths(value: Any, root: Path) -> Any:
    """`value` with the project's folder and the home folder written as `.` and `~`.

    This is the last gate before the page, so unfit characters are replaced here too.
    """
    homes = {str(Path.home()), str(Path.home().resolve()), os.environ.get("HOME", "")}
    names = {str(path): "." for path in (root.absolute(), root.resolve())}
    names |= {home.rstrip("/\\"): "~" for home in homes if home not in names}
    ordered = sorted((name for name in names if len(name) > 1), key=len, reverse=True)
    pattern = re.compile("|".join(rf"{re.escape(name)}(?![\w-])" for name in ordered) or r"(?!)")

    def walk(item: Any) -> Any:
        if isinstance(item, str):
            item = _UNFIT.sub("\N{REPLACEMENT CHARACTER}", item)
            return pattern.sub(lambda match: names[match.group()], item)
        if isinstance(item, Mapping):
            return {walk(key): walk(inner) for key, inner in item.items()}
        if isinstance(item, Iterable):
            return [walk(inner) for inner in item]
        return item

    return walk(value)


def _number(value: float | None, digits: int = 2) -> str:
    """A number, or the words; nothing else stands for unknown."""
    if value is None:
        return "not measured"
    # Adding 0 turns what rounds to −0 into 0.
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")


def _whole(value: int | None) -> str:
    return "not measured" if value is None else f"{value:,}"


def _estimate(value: Mapping[str, Any] | None, key: str = "value", digits: int = 2) -> str:
    if value is None or value[key] is None:
        return "not measured"
    told = _number(value[key], digits)
    if value["low"] is None or value["high"] is None:
        return f"{told} (no interval)"
    return f"{told} [{_number(value['low'], digits)}, {_number(value['high'], digits)}]"


def _percent(ratio: float) -> str:
    """A ratio as a change: 0.74 is −26 %."""
    change = round(100 * (ratio - 1))
    return f"{'−' if change < 0 else '+' if change else ''}{abs(change)} %"


def _change(low: float | None, high: float | None, reference: float = 1.0) -> str:
    """What an interval says against a reference."""
    if low is None or high is None:
        return "unknown"
    return "lower" if high < reference else "higher" if low > reference else "unclear"
