"""`molting`: the subcommands and what happens when one of them fails.

Standard output carries the result (with `--json` exactly one JSON object), standard error the
progress. Exit codes: 0 done, 1 a check failed, 2 usage or configuration, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from molting.cli import commands_data, commands_detect, commands_molts
from molting.cli.app import app
from molting.core.errors import MoltingError

__all__ = ["commands_data", "commands_detect", "commands_molts", "main"]


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
