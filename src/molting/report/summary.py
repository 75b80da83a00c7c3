"""Everything measured about a molt as one object: `molting show --json`. Unknown is null."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from molting.core.artifacts import file_hash, read_json
from molting.core.corpus import load_corpus
from molting.core.project import Molt, Project, shown_model
from molting.report.gates import weigh

BESIDE = (
    "likelihood_gain",
    "forced_choice",
    "robustness",
    "projection",
    "copying",
    "diversity",
)
"""Keys of the evaluation that stand beside the score."""
_SYSTEMS = ("base", "prompted", "tuned", "tuned_prompted")


def summarize(project: Project, molt: Molt) -> dict[str, Any]:
    """The keys of `molting show --json`, in a fixed order; what was not measured is null."""
    folder = project.molt_folder(molt.number)
    manifest = project.manifest(molt.number) or {}
    path = folder / "evaluation.json"
    result: dict[str, Any] = read_json(path)["result"] if path.exists() else {}
    corpus = load_corpus(project.corpora / molt.corpus.replace(":", "-"))
    personality = result.get("personality", {})
    report, asked = folder / "report.html", folder / "questionnaire.json"
    nothing: dict[str, Any] = {}
    return {
        "molt": molt.number,
        "persona": project.config.persona.name,
        "base": shown_model(name) if (name := manifest.get("base", nothing).get("name")) else None,
        "base_revision": manifest.get("base", nothing).get("revision"),
        "method": manifest.get("method"),
        "dtype": manifest.get("dtype"),
        "verdict": weigh(verdict(result, project.config.persona.name), result),
        "corpus": corpus.summary(),
        "train": _train(project, molt.number, manifest.get("train", nothing)),
        "perplexity": result.get("perplexity") or {"base": None, "tuned": None},
        "personality": {system: personality.get(system) for system in _SYSTEMS}
        | {"held_out_text": personality.get("held_out_text")},
        "voice": result.get("voice")
        or {"detector_auc": None, "measurable": None}
        | {key: None for system in _SYSTEMS for key in (system, f"{system}_body")},
        "retention": result.get("retention", {}),
        **{key: result.get(key) for key in BESIDE},
        "questionnaire": read_json(asked)["result"] if asked.exists() else None,
        "overlap": result.get("overlap") or {"train_eval_exact": None, "train_eval_near": None},
        "prompts": result.get("prompts"),
        "judge": _aside(folder, "judge.json"),
        "people": _aside(folder, "people.json"),
        "paths": {
            "adapter": project.shown(folder / "adapter"),
            "report": project.shown(report) if report.exists() else None,
            "transcripts": project.shown(folder / "transcripts.jsonl")
            if (folder / "transcripts.jsonl").exists()
            else None,
        },
    }


def _train(project: Project, number: int, train: dict[str, Any]) -> dict[str, Any] | None:
    """How it was trained; in fast mode the gap to exact mode too, null where it is not known."""
    told = {key: value for key, value in train.items() if key != "history"}
    if told.get("mode") == "fast":
        # Brings numpy, which a page without it does not need.
        from molting.train.gap import gap_to_exact

        told["gap_to_exact"] = gap_to_exact(project, number)
    return told or None


def _aside(folder: Path, name: str) -> dict[str, Any] | None:
    """What a judge or people said of the transcripts as they are; None when they said nothing."""
    transcripts, path = folder / "transcripts.jsonl", folder / name
    if not path.exists() or not transcripts.exists():
        return None
    found: dict[str, Any] = read_json(path)
    # Said of replies that are not the molt's any more.
    return found if found.get("transcripts") == file_hash(transcripts) else None


def verdict(result: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Did it work? A code and a sentence, from the intervals alone; None when not evaluated.

    Codes: `not_measurable`, `no_gain`, `not_better_than_prompt`, `caricature`, `partly`, `yes`.
    """
    if not result:
        return None
    voice = result["voice"]
    tuned, prompted, body = voice["tuned"], voice["prompted"], voice["tuned_body"]
    if not voice["measurable"]:
        auc = voice["detector_auc"]
        told = "unknown" if auc is None else f"{auc:.2f}"
        return {
            "code": "not_measurable",
            "sentence": f"{name}'s voice is too close to other text to be measured (detector AUC "
            f"{told}, 0.90 needed), so no claim about the voice is made.",
        }
    if tuned["low"] is None or prompted["high"] is None:
        # Unknown is no verdict: neither a gain nor the lack of one.
        return {
            "code": "not_measurable",
            "sentence": f"The untouched model and {name}'s own text are too close, or too few, "
            "for V to be measured, so no claim about the voice is made.",
        }
    v = _interval(tuned)
    if tuned["low"] <= 0:
        code, sentence = "no_gain", f"The tune has not moved the voice away from the base (V {v})."
    elif tuned["low"] <= prompted["high"]:
        code = "not_better_than_prompt"
        sentence = (
            f"The tune (V {v}) is not clearly better than a mere prompt "
            f"(V {_interval(prompted)}): it has not earned its keep."
        )
    elif tuned["low"] > 1.05:
        code = "caricature"
        sentence = (
            f"The tune overdoes it: V {v} lies beyond {name}'s own text (1.00). Train for fewer "
            "epochs, at a lower rate, or on more varied rows."
        )
    elif tuned["value"] < 0.7 or (body["value"] is not None and body["value"] < 0.6):
        code = "partly"
        sentence = (
            f"The tune has part of {name}'s voice (V {v}; body {_interval(body)}), and clearly "
            f"more than a mere prompt ({_interval(prompted)})."
        )
    else:
        code = "yes"
        sentence = (
            f"The tune has {name}'s voice: V {v}, where the untouched model is 0 and {name}'s own "
            f"text is 1; a mere prompt reaches {_interval(prompted)}."
        )
        if body["value"] is None:
            sentence += " What follows the first six words could not be measured."
    return {"code": code, "sentence": sentence + _knowledge(result, name)}


def _knowledge(result: dict[str, Any], name: str) -> str:
    """A voice is not yet a persona: said beside the verdict where the model does not know itself."""
    dimensions = ((result.get("personality") or {}).get("tuned") or {}).get("dimensions") or {}
    weak = [
        f"{key} {value:.1f} of 10"
        for key in ("identity", "facts")
        if (value := dimensions.get(key)) is not None and value < 5
    ]
    return f" It does not reliably know that it is {name}: {', '.join(weak)}." if weak else ""


def _interval(estimate: dict[str, Any]) -> str:
    if estimate["value"] is None or estimate["low"] is None:
        return "not measured"
    # Adding 0 turns what rounds to −0 into 0.
    value, low, high = (round(estimate[key], 2) + 0.0 for key in ("value", "low", "high"))
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
