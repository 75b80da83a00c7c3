"""docs/configuration.md, generated from the configuration types: one place for defaults.

python -m molting.core.schema docs/configuration.md            write it
python -m molting.core.schema --check docs/configuration.md    exit 1 when it is out of date
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from molting.core.artifacts import write_text
from molting.core.config import Config, config_keys
from molting.core.persona import Fact

_HEAD = """\
# Configuration

Every key of `molting.toml`, its default and its meaning. This page is generated from the types in
`src/molting/core/sections.py` and `persona.py` (`python -m molting.core.schema docs/configuration.md`).

An unknown key is an error with a suggestion. Any key can be overridden for one call with
`--set section.key=value`, for example `molting run --set train.epochs=3`.
"""


def document() -> str:
    """The page as Markdown."""
    parts = [_HEAD]
    for section, struct in config_keys(Config).items():
        if struct is not None:
            parts.append(f"## [{section}]\n\n{_summary(struct)}\n\n{_table(struct)}")
        if section == "persona":
            parts.append(f"### [[persona.facts]]\n\n{_summary(Fact)}\n\n{_table(Fact)}")
    return "\n".join(parts)


def _table(struct: type[msgspec.Struct]) -> str:
    lines = ["| key | default | meaning |", "| --- | --- | --- |"]
    hints = get_type_hints(struct, include_extras=True)
    lines += [
        f"| `{field.name}` | {_default(field)} | {_description(hints[field.name])} |"
        for field in msgspec.structs.fields(struct)
    ]
    return "\n".join(lines) + "\n"


def _default(field: Any) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is None:
        return "absent"
    return f"`{msgspec.json.encode(value).decode()}`"


def _description(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        for extra in get_args(hint)[1:]:
            if isinstance(extra, msgspec.Meta) and extra.description:
                return str(extra.description)
    return ""


def _summary(struct: type[msgspec.Struct]) -> str:
    return (struct.__doc__ or "").strip().splitlines()[0]


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    path = Path(next(a for a in arguments if not a.startswith("--")))
    if not check:
        write_text(path, document())
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == document():
        return 0
    print(f"{path} is out of date: python -m molting.core.schema {path}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
