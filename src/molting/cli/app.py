"""The application, its groups of subcommands, and the options that several of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
MoltNumber = Annotated[int | None, typer.Option("--molt", help="Which molt (default: the newest).")]
HERE = Path()


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
