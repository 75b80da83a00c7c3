"""`molting`: the subcommands and what happens when one of them fails.

Standard output carries the result (with `--json` exactly one JSON object), standard error the
progress. Exit codes: 0 done, 1 a check failed, 2 usage or configuration, 130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from molting.core.errors import MoltingError

app = typer.Typer(
    name="molting",
    help="Give a small language model a personality, and prove that it did.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
corpus_app = typer.Typer(
    help="Versions of the corpus: what there is, what changed; rows for other trainers.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(corpus_app, name="corpus")
memory_app = typer.Typer(
    help="What the frozen model has computed and the project remembers; safe to clear.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(memory_app, name="memory")
study_app = typer.Typer(
    help="Experiments on the project's own rows, each with a verdict.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(study_app, name="study")
detect_app = typer.Typer(
    help="Detect personality in text: a replaceable head over remembered features.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(detect_app, name="detect")

Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help="The project's folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="SECTION.KEY=VALUE", help="Override a key of molting.toml for this call."
    ),
]
Features = Annotated[
    str | None,
    typer.Option("--features", help="Base model, or the encoder minilm or static."),
]
Layer = Annotated[
    int | None, typer.Option("--layer", help="Layer of a base model (default: the middle one).")
]
Pooling = Annotated[str | None, typer.Option("--pooling", help="mean, last or max.")]
Windows = Annotated[int | None, typer.Option("--windows", help="Most windows of a writer.")]
Seeds = Annotated[int | None, typer.Option("--seeds", help="Cross-validations with other folds.")]
Rows = Annotated[int | None, typer.Option("--rows", min=1, help="Take a random part of the rows.")]
Types = Annotated[bool, typer.Option("--types", help="MBTI: sixteen types, not four axes.")]
MemoryFolder = Annotated[
    Path | None, typer.Option("--memory", help="Where features are kept (default: the cache).")
]
MoltNumber = Annotated[int | None, typer.Option("--molt", help="Which molt (default: the newest).")]
HERE = Path()


@app.command()
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    name: Annotated[str, typer.Option("--name", help="The persona's name.")] = "",
    target: Annotated[
        int | None, typer.Option("--target", help="How many rows to train on.")
    ] = None,
    files: Annotated[
        list[Path] | None, typer.Option("--from", metavar="FILE", help="Chat file(s) to copy in.")
    ] = None,
    example: Annotated[str, typer.Option("--example", help="Start from a shipped example.")] = "",
    as_json: Json = False,
) -> None:
    """Make a project: the persona's name, how many rows to keep, where they come from."""
    from molting.cli.new import new_project

    new_project(folder, name, target, files or [], example, as_json)


@app.command("import")
def import_(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE…", help="Chat exports (files, folders, .zip), or a Hub data set's id."
        ),
    ],
    name: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Which speaker is the persona.")
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="OUT.jsonl", help="Where to write (default: NAME.jsonl)."),
    ] = None,
    pause: Annotated[
        float | None,
        typer.Option("--pause", metavar="HOURS", help="A longer pause begins a new conversation."),
    ] = None,
    turns: Annotated[
        int | None, typer.Option("--turns", metavar="N", help="Most turns of a conversation.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Turn chat exports into rows: WhatsApp, Telegram, Discord, Slack, scripts, character cards."""
    from molting.cli.import_chats import run_import

    run_import(files, name, to, pause, turns, as_json)


@app.command()
def run(
    folder: Folder = HERE,
    settings: Settings = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Train although `molting check` found errors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Do everything: curate, check, train, evaluate, report. Resumes where it stopped."""
    from molting.cli.stages import run_all

    run_all(folder, settings or [], anyway, as_json)


@app.command()
def check(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR|FILE…]", help="A project, or chat files.")
    ] = None,
    settings: Settings = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Print a row with its trained tokens in colour.")
    ] = False,
    row: Annotated[int, typer.Option("--row", help="Which row to preview, from 1.")] = 1,
    model: Annotated[str, typer.Option("--model", help="Base model, when files are given.")] = "",
    as_json: Json = False,
) -> None:
    """Find what would go wrong, before training; estimate time and memory."""
    from molting.cli.check import run_check

    run_check(paths or [HERE], settings or [], preview, row, model, as_json)


@app.command()
def duplicates(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR|FILE…]", help="A project, or chat files.")
    ] = None,
    level: Annotated[
        Literal["conversation", "turn", "reply"],
        typer.Option("--level", help="What is compared: whole chats, single turns, or replies."),
    ] = "reply",
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", min=0.05, max=1, help="Jaccard similarity; with --pairs: probability."
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", metavar="FILE", help="Look across sets: held-out chat file(s)."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="FILE.tsv", help="Score these text pairs instead."),
    ] = None,
    semantic: Annotated[
        bool, typer.Option("--semantic", help="Also what says the same in other words.")
    ] = False,
    probability: Annotated[
        float | None,
        typer.Option(
            "--semantic-threshold", min=0.5, max=1, help="Probability of saying the same (0.8)."
        ),
    ] = None,
    encoder: Annotated[
        str,
        typer.Option(
            "--encoder",
            help="For --semantic and --pairs: minilm, static, trainee, folder or Hub id.",
        ),
    ] = "",
    kinds: Annotated[
        bool | None,
        typer.Option("--kinds/--no-kinds", help="Duplicates that only chats have, by name."),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option("--engine", help="All cores here, or a Ray cluster.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Threads (default: one a core).")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, help="Groups shown, largest first; --json has all.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """List duplicates in groups: which row stands for each and why, every pair and its score."""
    from molting.cli.pairs import refuse_alone, run_pairs

    refuse_alone(pairs, semantic, encoder, probability)
    if pairs is not None:
        run_pairs(pairs, encoder, threshold, as_json, paths[0] if paths else HERE)
        return
    from molting.cli.duplicates import Options, run_duplicates

    run_duplicates(
        paths or [HERE],
        Options(
            threshold, level, against or [], semantic, encoder, probability, kinds, engine,
            workers, limit, as_json,
        ),
    )  # fmt: skip


@app.command()
def signals(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR|FILE…]", help="A project, or chat files.")
    ] = None,
    settings: Settings = None,
    perplexity: Annotated[
        bool,
        typer.Option("--perplexity", help="Score every reply under the base model (IFD too)."),
    ] = False,
    every_row: Annotated[bool, typer.Option("--rows", help="One line for every row.")] = False,
    model: Annotated[str, typer.Option("--model", help="Base model, when files are given.")] = "",
    as_json: Json = False,
) -> None:
    """Describe every row: length, language, leftovers, secrets, toxicity, novelty, voice."""
    from molting.cli.signals import run_signals

    run_signals(paths or [HERE], settings or [], perplexity, every_row, model, as_json)


@app.command()
def curate(
    folder: Folder = HERE,
    target: Annotated[
        int | None, typer.Option("--target", help="How many rows to train on.")
    ] = None,
    selector: Annotated[
        str, typer.Option("--selector", help="quality, facility, random or longest.")
    ] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say of rows why they were taken or left out.")
    ] = False,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Make a corpus: why each row stayed or went."""
    from molting.cli.stages import run_curate

    chosen = [f"curate.target={target}"] if target is not None else []
    chosen += [f'curate.selector="{selector}"'] if selector else []
    run_curate(folder, [*(settings or []), *chosen], explain, as_json)


@app.command()
def review(
    folder: Folder = HERE,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="How many rows the queue has.")
    ] = None,
    reviewer: Annotated[str | None, typer.Option("--reviewer", help="Who decides.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Ask about decided rows too.")] = False,
    decide: Annotated[
        tuple[str, str] | None,
        typer.Option("--decide", metavar="ID keep|reject|note|undo", help="Decide about one row."),
    ] = None,
    note: Annotated[str, typer.Option("--note", help="A note for --decide.")] = "",
    listing: Annotated[bool, typer.Option("--list", help="List what was decided.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Is the journal whole and unchanged?")
    ] = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", metavar="A B", help="Do two reviewers agree? (Cohen's kappa)"),
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Decide about the rows in doubt: keep, reject, edit, note, undo."""
    from molting.cli.review import Options, run_review

    run_review(
        folder,
        settings or [],
        Options(count, reviewer, again, decide, note, listing, verify, compare, as_json),
    )


@corpus_app.command("log")
def corpus_log(folder: Folder = HERE, as_json: Json = False) -> None:
    """List the versions, newest first, and what each one's recipe changed."""
    from molting.cli.corpus import run_log

    run_log(folder, as_json)


@corpus_app.command("diff")
def corpus_diff(
    one: Annotated[str, typer.Argument(metavar="A", help="A version: v1, or an id.")],
    other: Annotated[str, typer.Argument(metavar="B", help="Another version.")],
    folder: Folder = HERE,
    as_json: Json = False,
) -> None:
    """Show row by row what changed between two versions."""
    from molting.cli.corpus import run_diff

    run_diff(one, other, folder, as_json)


@corpus_app.command("show")
def corpus_show(
    version: Annotated[str, typer.Argument(metavar="ID", help="A version: v1, or an id.")],
    folder: Folder = HERE,
    row: Annotated[int | None, typer.Option("--row", help="Show one row, from 1.")] = None,
    as_json: Json = False,
) -> None:
    """Show a version, or one of its rows."""
    from molting.cli.corpus import run_show

    run_show(version, folder, row, as_json)


@app.command()
def train(
    folder: Folder = HERE,
    settings: Settings = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Train although `molting check` found errors.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a molt (resumes an unfinished one)."""
    from molting.cli.stages import run_train

    run_train(folder, settings or [], anyway, as_json)


@app.command()
def evaluate(
    folder: Folder = HERE,
    number: MoltNumber = None,
    replies: Annotated[
        Path | None,
        typer.Option("--replies", metavar="FILE", help="Score these rows (prompt, reply) instead."),
    ] = None,
    base_replies: Annotated[
        Path | None,
        typer.Option("--base-replies", metavar="FILE", help="With --replies: the base's answers."),
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--write-prompts", metavar="FILE", help="Write what to ask another model."),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind-ab", help="People compare its replies; `blind-ab` has more.")
    ] = False,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Measure a molt, or replies made elsewhere: the personality score, against the base."""
    if blind:
        from molting.cli.blind import Options, refuse_other_replies, run_blind

        refuse_other_replies(replies, base_replies, prompts)
        run_blind(folder, number, Options(as_json=as_json), settings or [])
        return
    from molting.cli.evaluate import run_evaluate

    run_evaluate(folder, number, replies, base_replies, prompts, settings or [], as_json)


@app.command()
def judge(
    folder: Folder = HERE,
    number: MoltNumber = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="API: an OpenAI-compatible base URL, or Anthropic's."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model's name there.")] = None,
    provider: Annotated[
        str | None,
        typer.Option("--provider", help="openai or anthropic (default: by the address)."),
    ] = None,
    key_env: Annotated[
        str | None, typer.Option("--key-env", help="Environment variable that holds the key.")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option("--prompts", min=1, help="How many held-out prompts are judged.")
    ] = None,
    fake: Annotated[
        str, typer.Option("--fake", help="A judge without a model: fair or sycophant.")
    ] = "",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Let a language model compare replies, blind; test it with known-bad ones first."""
    from molting.cli.judge import Which, run_judge

    which = Which(url, model, provider, key_env, prompts, fake)
    run_judge(folder, number, which, settings or [], as_json)


@app.command("blind-ab")
def blind_ab(
    folder: Folder = HERE,
    number: MoltNumber = None,
    page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE.html", help="Write the sheet as a page.")
    ] = None,
    votes: Annotated[
        list[Path] | None, typer.Option("--votes", metavar="FILE", help="Take saved votes in.")
    ] = None,
    report: Annotated[bool, typer.Option("--report", help="Only say how it stands.")] = False,
    voter: Annotated[str, typer.Option("--voter", help="Who votes in the terminal.")] = "voter",
    prompts: Annotated[
        int | None, typer.Option("--prompts", min=1, help="How many prompts a new sheet has.")
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Let people compare the tune with base and prompt, not knowing which is which."""
    from molting.cli.blind import Options, run_blind

    options = Options(page, votes or [], report, voter, prompts, as_json)
    run_blind(folder, number, options, settings or [])


@app.command()
def questionnaire(
    folder: Folder = HERE,
    number: MoltNumber = None,
    items: Annotated[
        Path | None,
        typer.Option("--items", metavar="FILE.json", help="Other items than the IPIP-NEO-120."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Let a molt describe itself (IPIP-NEO-120): a description, no part of the score."""
    from molting.cli.questionnaire import run_questionnaire

    run_questionnaire(folder, number, items, as_json)


@app.command()
def show(folder: Folder = HERE, number: MoltNumber = None, as_json: Json = False) -> None:
    """Show everything measured about a molt."""
    from molting.cli.show import run_show

    run_show(folder, number, as_json)


@app.command()
def chat(
    folder: Folder = HERE,
    number: MoltNumber = None,
    base: Annotated[bool, typer.Option("--base", help="Start with the untouched model.")] = False,
    system: Annotated[str, typer.Option("--system", help="System prompt to start with.")] = "",
) -> None:
    """Talk to a molt; /base and /tuned switch, /help lists the rest."""
    from molting.cli.chat import run_chat

    run_chat(folder, number, base, system)


@corpus_app.command("export")
def corpus_export(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write.")],
    kind: Annotated[
        str,
        typer.Option("--format", metavar="FORMAT", help="messages, sharegpt, alpaca or parquet."),
    ],
    folder: Folder = HERE,
    split: Annotated[
        str, typer.Option("--split", help="train, validation, test, or all kept rows.")
    ] = "train",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Write the corpus for another trainer: TRL, Axolotl, LLaMA-Factory, Unsloth."""
    from molting.cli.export_corpus import run_export

    run_export(folder, to, kind, split, settings or [], as_json)


@study_app.command("layers")
def study_layers(
    folder: Folder = HERE,
    depths: Annotated[
        list[int] | None,
        typer.Option("--top", metavar="K", min=1, help="A number of top layers to try (repeat)."),
    ] = None,
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Train one epoch with some top layers and with all: what fast mode costs and saves."""
    from molting.cli.study import run_layers

    run_layers(folder, depths or [], settings or [], as_json)


@memory_app.command("stats")
def memory_stats(folder: Folder = HERE, as_json: Json = False) -> None:
    """Show what is remembered: entries, bytes, hits and misses by kind."""
    from molting.cli.memory import run_stats

    run_stats(folder, as_json)


@memory_app.command("verify")
def memory_verify(folder: Folder = HERE, as_json: Json = False) -> None:
    """Check every entry against its checksum; damaged ones are dropped (exit code 1)."""
    from molting.cli.memory import run_verify

    run_verify(folder, as_json)


@memory_app.command("clear")
def memory_clear(folder: Folder = HERE, as_json: Json = False) -> None:
    """Forget everything and say what was removed; it is computed again when needed."""
    from molting.cli.memory import run_clear

    run_clear(folder, as_json)


@detect_app.command("train")
def detect_train(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Labelled texts (.jsonl, .csv).")],
    to: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the detector goes.")],
    head: Annotated[
        str,
        typer.Option("--head", help="logistic, centroid, mlp, gru, lstm, cnn or transformer."),
    ] = "",
    features: Features = None,
    layer: Layer = None,
    pooling: Pooling = None,
    windows: Windows = None,
    seeds: Seeds = None,
    rows: Rows = None,
    types: Types = False,
    masked: Annotated[
        bool, typer.Option("--masked/--unmasked", help="Hide names that give the label away.")
    ] = True,
    memory: MemoryFolder = None,
    as_json: Json = False,
) -> None:
    """Cross-validate a head over frozen features, fit it and write it."""
    from molting.cli.detect import How, run_train

    how = How(features, layer, pooling, windows, seeds, types, rows, memory)
    run_train(file, head, to, how, masked, as_json)


@detect_app.command("predict")
def detect_predict(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A trained detector.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Texts (.jsonl, .csv).")],
    memory: MemoryFolder = None,
    similar: Annotated[
        float | None,
        typer.Option(
            "--similar",
            metavar="COSINE",
            min=0.5,
            max=1,
            help="From this likeness on take an earlier text's features, with the error told "
            "(default: never).",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Name the class of every text, with calibrated probabilities."""
    from molting.cli.detect import run_predict

    run_predict(folder, file, memory, similar, as_json)


@detect_app.command("bench")
def detect_bench(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Labelled texts.")],
    heads: Annotated[
        list[str] | None, typer.Option("--head", help="Only this head; may be given again.")
    ] = None,
    features: Features = None,
    layer: Layer = None,
    pooling: Pooling = None,
    windows: Windows = None,
    seeds: Seeds = None,
    rows: Rows = None,
    types: Types = False,
    masked: Annotated[
        bool | None, typer.Option("--masked/--unmasked", help="Only one of the two.")
    ] = None,
    memory: MemoryFolder = None,
    as_json: Json = False,
) -> None:
    """Compare all heads with length, words and the commonest class, masked and unmasked."""
    from molting.cli.detect import How, run_bench

    how = How(features, layer, pooling, windows, seeds, types, rows, memory)
    run_bench(files, heads or [], how, masked, as_json)


def _version(value: bool) -> None:
    if value:
        from molting import __version__

        typer.echo(f"molting {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    return None


def main() -> None:
    """Run the command; whatever a person can cause ends as one line and the right exit code."""
    try:
        code = app(standalone_mode=False)
    except MoltingError as error:
        _fail(str(error), error.exit_code)
    except _USAGE as error:
        # `molting` alone has shown the help and has nothing more to say.
        said = error.format_message()  # type: ignore[attr-defined]
        _fail(f"{said} (`molting --help` lists what there is)" if said else "", 2)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # The reader (`| head`) has had enough.
        sys.stderr.close()
        sys.exit(0)
    except MemoryError:
        _fail(_MEMORY, 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}; the state on disk is whole", 2)
    except RuntimeError as error:
        # PyTorch's own word for a full memory.
        if "allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        _fail(_MEMORY, 2)
    if code == 130:
        # Typer turns Ctrl-C into a bare exit code.
        _fail("interrupted; finished stages are kept, the same command goes on from there", 130)
    sys.exit(code or 0)


_USAGE: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]
"""Click's UsageError, which Typer exports only through its child."""
_MEMORY = "out of memory; lower train.batch_rows or train.max_tokens, or close programs"


def _fail(line: str, code: int) -> NoReturn:
    if line:
        print("molting: " + " ".join(line.split()), file=sys.stderr)
    sys.exit(code)
