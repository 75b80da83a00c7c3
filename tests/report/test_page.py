"""The report page, built from an invented molt: no model is loaded here."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from molting.core.artifacts import write_bytes, write_json
from molting.core.conversation import Conversation, Source, Turn, Verdict
from molting.core.corpus import Corpus, Row, save_corpus
from molting.core.project import Molt, Project, open_project
from molting.report import plots
from molting.report.page import collect, render, write_report

SYSTEMS = ("base", "prompted", "tuned", "tuned_prompted")
SECRET = "sk-live-abcdef0123456789abcd"
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


def interval(value: float | None, width: float = 0.1, n: int = 20) -> dict[str, Any]:
    if value is None:
        return {"value": None, "low": None, "high": None, "n": n}
    return {"value": value, "low": value - width, "high": value + width, "n": n}


def score(value: float, **dimensions: float | None) -> dict[str, Any]:
    known = {"identity": 5.0, "facts": None, "voice": 8.0, "cleanliness": 10.0, "quality": 7.0}
    return {
        "score": value,
        "low": value - 1,
        "high": value + 1,
        "n": 20,
        "dimensions": known | dimensions,
    }


def evaluation() -> dict[str, Any]:
    values = {"base": 0.0, "prompted": 0.2, "tuned": 0.9, "tuned_prompted": 0.95}
    voice: dict[str, Any] = {
        "detector_auc": 0.961,
        "auc_by_kind": {"base": 0.97, "neutral": 0.99, "personas": 0.961},
        "measurable": True,
    }
    for system, value in values.items():
        voice |= {system: interval(value), f"{system}_body": interval(value - 0.03)}
    return {
        "perplexity": {
            "base": 20.0,
            "prompted": 19.0,
            "tuned": 12.5,
            "tuned_prompted": 12.0,
            "n": 15,
            "tuned_over_base": interval(0.62, 0.05, 15),
        },
        "voice": voice,
        "personality": {system: score(10 * value) for system, value in values.items()}
        | {"held_out_text": score(9.9, identity=None)},
        "retention": {
            "neutral_perplexity": {"base": 20.0, "tuned": 25.0, "low": 24.0, "high": 26.0, "n": 120}
        },
        "overlap": {
            "train_eval_exact": 0,
            "train_eval_near": 3,
            "probes_exact": 0,
            "probes_near": 0,
        },
        "prompts": {
            "held_out": 15,
            "voice": 15,
            "naming_the_persona": 2,
            "identity": 1,
            "facts": 1,
        },
    }


def conversation(line: int, prompt: str, reply: str) -> Conversation:
    return Conversation((Turn("user", prompt), Turn("assistant", reply)), Source("c.jsonl", line))


def corpus() -> Corpus:
    def row(line: int, prompt: str, reply: str, reason: str, split: Any = None, **why: Any) -> Row:
        made = conversation(line, prompt, reply)
        return Row(made, Verdict(made.id, split is not None, reason, why), split)

    rows = [row(i, f"train prompt {i}", "Arr.", "selected", "train") for i in range(1, 9)]
    rows += [row(i, f"validation {i}", "Arr.", "held_out", "validation") for i in range(9, 12)]
    rows += [
        row(i, f"test prompt {i}", f"own reply {i}", "held_out", "test") for i in range(12, 27)
    ]
    twin = rows[0].conversation
    rows += [
        row(27, "my key?", f"It is {SECRET} mate", "secret", kind="api_key", turn=1, span=[6, 34]),
        # Rejected for something else first, and it holds a secret all the same.
        row(28, "again", f"Sure! {SECRET}", "cut_off", turn=1, ends=SECRET[-12:]),
        row(29, "like one", HOSTILE, "near_duplicate", twin=twin.id, similarity=0.8123),
    ]
    rows += [row(i, f"extra {i}", "Well.", "not_selected", score=0.5) for i in range(30, 34)]
    return Corpus("b2:c0ffee", tuple(rows), {})


def transcripts(root: Path) -> list[dict[str, Any]]:
    items = []
    for i in range(12, 27):
        for system in SYSTEMS:
            reply = f"{system} says {i}"
            if (system, i) == ("tuned", 12):
                reply = HOSTILE
            if (system, i) == ("tuned", 13):
                reply = f"see {root}/notes.txt and {Path.home()}/.ssh, call me at a@b.example.com"
            items.append(
                {
                    "kind": "held_out",
                    "system": system,
                    "prompt": [{"role": "user", "text": f"test prompt {i}"}],
                    "sample": 0,
                    "reply": reply,
                    "ended": "length" if i == 14 else "stop",
                    "right": None,
                }
            )
    for kind, question in (("identity", "Who are you?"), ("fact", "What is your ship?")):
        items += [
            {
                "kind": kind,
                "system": system,
                "prompt": [{"role": "user", "text": question}],
                "sample": 0,
                "reply": "I am Ann.",
                "ended": "stop",
                "right": system.startswith("tuned"),
            }
            for system in SYSTEMS
        ]
    return items


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    home = tmp_path / "people" / "ann"
    root = home / "work" / "pirate"
    root.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    (root / "molting.toml").write_text(
        '[persona]\nname = "Ann <Bonny>"\n'
        '[[persona.facts]]\nask = "What is your ship?"\nanswer = "The Revenge"\n'
        f'[data]\nfiles = ["c.jsonl", "{root}/d.jsonl"]\n'
        f'[base]\nmodel = "{home}/models/tiny"\n[train]\nepochs = 3\n',
        encoding="utf-8",
    )
    return open_project(root)


def grow(project: Project, result: dict[str, Any] | None) -> Molt:
    save_corpus(corpus(), project.corpora)
    molt = project.claim_molt("f", "b2:c0ffee")
    folder = project.molt_folder(molt.number)
    folder.mkdir(parents=True)
    history = [
        {
            "epoch": epoch,
            "step": 2 * epoch,
            "train_loss": None if epoch == 0 else 3.0 - epoch / 2,
            "validation_loss": loss,
            "validation_perplexity": 2.7**loss,
        }
        for epoch, loss in enumerate([3.0, 2.5, 2.6])
    ]
    steps = [{"step": i, "train_loss": 3.0 - i / 5} for i in range(1, 5)]
    write_json(folder / "config.json", msgspec.to_builtins(project.config))
    write_bytes(
        folder / "metrics.jsonl",
        b"".join(msgspec.json.encode(line) + b"\n" for line in [*steps, *history]),
    )
    write_json(
        folder / "manifest.json",
        {
            "molt": molt.number,
            "molting": "0.1.0",
            "corpus": "b2:c0ffee",
            "base": {
                "name": "tiny",
                "weights": "b2:beef",
                "origin": f"{Path.home()}/models/tiny",
                "revision": None,
            },
            "dtype": "float32",
            "method": "lora",
            "adapter": "b2:ada97e4",
            "train": {
                "trainable_parameters": 10,
                "total_parameters": 100,
                "epochs_run": 2,
                "best_epoch": 1,
                "steps": 4,
                "tokens": 1234,
                "seconds": 5.0,
                "tokens_per_second": 246.8,
                "stopped_by": "validation loss",
                "history": history,
            },
        },
    )
    if result is not None:
        write_json(folder / "evaluation.json", {"key": "b2:0", "result": result})
        write_bytes(
            folder / "transcripts.jsonl",
            b"".join(msgspec.json.encode(t) + b"\n" for t in transcripts(project.root)),
        )
    project.finish_molt(molt.number)
    return project.molt(molt.number)


class Outline(HTMLParser):
    """Elements, attributes and text of a page; refuses tags that do not nest."""

    _VOID = frozenset({"meta", "link", "br", "img", "path", "use"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not set(self.open) & {"style", "svg", "title"}:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def page(project: Project) -> str:
    return write_report(project, grow(project, evaluation())).read_text(encoding="utf-8")


def test_the_report_lies_in_the_molts_folder_and_show_names_it(project: Project) -> None:
    molt = grow(project, evaluation())
    path = write_report(project, molt)
    assert path == project.root / ".molting/molts/1/report.html"
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []
    assert collect(project, molt)["summary"]["paths"]["report"] == ".molting/molts/1/report.html"


def test_equal_molts_give_equal_pages(project: Project) -> None:
    molt = grow(project, evaluation())
    first = write_report(project, molt).read_bytes()
    assert write_report(project, molt).read_bytes() == first


def test_verdict_stands_in_the_page_in_words(page: str) -> None:
    text = Outline(page).text
    assert "The tune has Ann <Bonny>'s voice: V 0.90 [0.80, 1.00]" in text
    assert "8 rows trained on, of 33 that came in" in text
    assert "What is V?" in text


def test_no_path_of_this_machine_stands_in_the_page(project: Project, page: str) -> None:
    for path in {project.root, project.root.resolve(), Path.home(), Path.home().resolve()}:
        assert str(path) not in page
    assert "d.jsonl" in page


def test_reply_with_a_script_is_shown_as_text(page: str) -> None:
    outline = Outline(page)
    assert "&lt;script&gt;alert(" in page
    assert HOSTILE in outline.text
    assert outline.all("script") == []
    assert outline.all("img") == []


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    outline = Outline(page)
    for tag, attrs in outline.tags:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "action", "data", "srcset"):
                assert value is not None
                assert value.startswith(("#", "data:,"))
    assert not re.search(r"@import|url\((?!#)", page)
    policy = next(m for m in outline.all("meta") if "http-equiv" in m)["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_secret_is_nowhere_in_the_page_and_its_row_is_still_counted(page: str) -> None:
    assert SECRET not in page
    assert SECRET[-12:] not in page
    assert "a@b.example.com" not in page
    text = Outline(page).text
    assert "c.jsonl:27 · kind api_key · turn 1" in text
    assert "c.jsonl:28 · turn 1 text withheld" in text
    assert "my key?" not in text


def test_every_rejected_row_is_counted_with_meaning_and_at_most_two_examples(
    project: Project,
) -> None:
    found = collect(project, grow(project, evaluation()))["rejections"]
    assert {r["reason"]: r["count"] for r in found} == {
        "not_selected": 4,
        "cut_off": 1,
        "near_duplicate": 1,
        "secret": 1,
    }
    assert found[0]["reason"] == "not_selected"
    assert [e["source"] for e in found[0]["examples"]] == ["c.jsonl:30", "c.jsonl:31"]
    assert all(r["meaning"] != "Not described" for r in found)


def test_twin_of_a_duplicate_is_named_by_file_and_line(page: str) -> None:
    assert "c.jsonl:29 · similarity 0.812 · twin c.jsonl:1" in Outline(page).text


def test_a_dozen_prompts_are_in_sight_and_the_others_folded(project: Project, page: str) -> None:
    shown = collect(project, project.molt())["conversations"]
    assert len(shown) == 15
    assert sum(entry["in_sight"] for entry in shown) == 12
    assert "The other 3 of 15" in page
    assert all(page.count(f">base says {i}<") == 1 for i in range(12, 27))


def test_each_held_out_prompt_stands_beside_the_personas_own_reply(project: Project) -> None:
    for entry in collect(project, grow(project, evaluation()))["conversations"]:
        number = entry["turns"][0][1].rsplit(" ", 1)[1]
        assert entry["own"] == f"own reply {number}"
        assert set(entry["replies"]) == set(SYSTEMS)


def test_cut_off_replies_say_so(page: str) -> None:
    assert page.count("cut off at the length limit") == 4


def test_probes_have_right_and_wrong_in_words(page: str) -> None:
    text = Outline(page).text
    assert "Answer: The Revenge ✗ wrong ✗ wrong ✓ right ✓ right" in text
    assert "Right, of all 0 of 2 0 of 2 2 of 2 2 of 2" in text


def test_unmeasured_dimension_is_words_and_never_zero(page: str) -> None:
    row = re.search(r"<tr class=\"tuned\"><th scope=\"row\">Tuned</th>.*?</tr>",
                    page[page.index("dimension-table\"><b>"):], re.DOTALL)  # fmt: skip
    assert row is not None
    cells = re.findall(r'data-label="(\w+)">(.*?)</td>', row.group())
    assert "not measured" in dict(cells)["Facts"]
    assert dict(cells)["Voice"].startswith("8.0")


def test_numbers_go_with_interval_and_n(page: str) -> None:
    text = Outline(page).text
    assert "0.90 [0.80, 1.00] 0.87 [0.77, 0.97] 9.0 [8.0, 10.0] 20" in text
    assert "by −38 % [−43 %, −33 %]" in text
    assert "On neutral text the change is +25 % [+20 %, +30 %]" in text
    assert "Held-out prompts 0 3 15" in text
    assert "other personas 0.96" in text


def test_unevaluated_molt_says_not_measured_and_claims_nothing(project: Project) -> None:
    molt = grow(project, None)
    page = write_report(project, molt).read_text(encoding="utf-8")
    text = Outline(page).text
    assert "trained, but not measured yet" in text
    assert text.count("not measured") > 20
    scores = page[page.index('id="score-table"') : page.index('id="perplexity-table"')]
    assert not re.findall(r"<td[^>]*>\s*0", scores)
    assert 'style="width:0' not in scores
    # What is known is shown all the same.
    assert "4 steps, 1,234 tokens" in text
    assert "33 rows in" in text


def test_voice_without_interval_or_value_still_gives_a_page(project: Project) -> None:
    result = evaluation()
    result["voice"] |= {system: interval(None) for system in SYSTEMS}
    result["voice"] |= {"measurable": False, "detector_auc": None, "auc_by_kind": {}}
    result["voice"]["tuned_body"] |= {"low": None, "high": None}
    result["perplexity"]["tuned_over_base"] = interval(None)
    result["personality"]["tuned"] = score(0.0) | {"score": None, "low": None, "high": None}
    text = Outline(render(collect(project, grow(project, result)))).text
    assert "Not measurable" in text
    assert "0.87 (no interval)" in text


def test_what_was_lost_stands_in_the_verdict_and_in_the_table(project: Project) -> None:
    result = evaluation()
    result["retention"]["grammar"] = {
        "measure": "accuracy", "base": 0.9, "tuned": 0.6, "low": 0.5, "high": 0.7, "n": 84,
        "margin": 0.05, "passed": False,
    }  # fmt: skip
    page = render(collect(project, grow(project, result)))
    assert "The voice, at a cost" in page
    assert "cost more than the margin allows: grammar 90 % → 60 %" in page
    assert page.count('<section id="cost"') == 1
    # A gate of accuracy is no perplexity.
    perplexities = page.partition('id="perplexity-table"')[2].partition("</table>")[0]
    assert "grammar" not in perplexities


def test_configuration_is_exact_and_says_what_was_set(project: Project, page: str) -> None:
    values = {
        (section["name"], item["key"]): (item["value"], item["changed"])
        for section in collect(project, project.molt())["config"]
        for item in section["values"]
    }
    assert values["train", "epochs"] == ("3", True)
    assert values["train", "learning_rate"] == ("absent", False)
    assert values["data", "files"] == ('["c.jsonl", "d.jsonl"]', True)
    assert values["data", "held_out"] == ("[]", False)
    assert values["base", "model"] == ('"tiny"', True)
    assert values["curate", "target"] == ("absent", False)
    for exact in ("b2:ada97e4", "b2:beef", "b2:c0ffee", "molting-lm==0.1.0", "molting run ."):
        assert exact in page


def test_page_is_accessible(page: str) -> None:
    outline = Outline(page)
    assert outline.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in outline.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    assert len(outline.all("caption")) == len(outline.all("table"))
    assert all("scope" in attrs for attrs in outline.all("th"))
    images = [attrs for _, attrs in outline.tags if attrs.get("role") == "img"]
    assert len(images) == len(outline.all("svg")) == 4
    assert all(attrs["aria-label"] for attrs in images)
    ids = [attrs["id"] for _, attrs in outline.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in outline.tags:
        for name in ("aria-labelledby", "href"):
            target = (attrs.get(name) or "").removeprefix("#")
            if target and not target.startswith("data:"):
                assert target in ids


def test_reply_with_unfit_characters_gives_a_page_that_can_be_written(project: Project) -> None:
    molt = grow(project, evaluation())
    data = collect(project, molt)
    lone = project.molt_folder(1) / "transcripts.jsonl"
    write_bytes(lone, lone.read_bytes().replace(b"base says 12", b"nul \\u0000 bell \\u0007"))
    page = write_report(project, molt).read_text(encoding="utf-8")
    assert "nul \N{REPLACEMENT CHARACTER} bell \N{REPLACEMENT CHARACTER}" in page
    assert render(data) != page


def test_wild_interval_ends_at_the_edge_and_leaves_the_scale_readable() -> None:
    wild = {"value": 0.5, "low": -40.0, "high": 60.0, "n": 3}
    for width in (350, 720):
        drawing = plots.forest([plots.Row("Tuned", wild, None)], width, "f")
        zero, one = re.findall(r'd="M ([\d.]+) [^"]*"[^>]*stroke-dasharray', drawing)
        assert float(one) - float(zero) > width / 10
        numbers = [float(x) for x in re.findall(r"[ML] (-?[\d.]+) -?[\d.]+", drawing)]
        assert max(numbers) <= width
    assert "0.50 [−40.00, 60.00]" in drawing
    assert "not measured" in drawing


def test_plots_take_their_colours_from_the_page_and_leave_no_global_state() -> None:
    code = (
        # Not the key "backend": reading it loads pyplot.
        "import matplotlib as m\n"
        "settings = lambda: {k: m.rcParams[k] for k in m.rcParams if k != 'backend'}\n"
        "before = settings()\n"
        "from molting.report import plots\n"
        "h = [dict(epoch=e, step=e, validation_loss=2.0 - e, validation_perplexity=7.0 - e)"
        " for e in range(2)]\n"
        "svg = plots.loss_curve([2.0, None, 1.0], h, 1, 'a') + plots.perplexity_curve(h, 1, 'b')\n"
        "import sys\n"
        "assert settings() == before\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "print(svg)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert "var(--accent)" in done.stdout
    assert not re.search(r"#[0-9a-f]{6}\b", done.stdout)
    assert "http" not in done.stdout
    assert "<style" not in done.stdout
    assert "kept: epoch 1" in done.stdout


def test_importing_the_page_loads_neither_matplotlib_nor_jinja() -> None:
    code = (
        "import sys, molting.report.page\n"
        "print([m for m in ('matplotlib', 'jinja2', 'torch', 'numpy', 'pyarrow')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
