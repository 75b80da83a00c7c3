"""`molting.toml` read into the types of core/sections.py; flags override single fields.

An unknown key is an error with a suggestion.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from molting.core.errors import ConfigError, InputError
from molting.core.persona import Fact, Persona
from molting.core.sections import (
    Base,
    Config,
    Curate,
    Data,
    Detect,
    Evaluate,
    Import,
    Judge,
    Memory,
    Review,
    Split,
    Train,
)

__all__ = [
    "Base",
    "Config",
    "Curate",
    "Data",
    "Detect",
    "Evaluate",
    "Import",
    "Judge",
    "Memory",
    "Review",
    "Split",
    "Train",
    "config_keys",
    "fingerprint",
    "load_config",
    "override",
    "parse_config",
    "read_text_input",
    "require_name",
]


def load_config(path: Path) -> Config:
    """Read `molting.toml`. Errors name the file, the key and, for a misspelling, the right one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(
            "no such file; `molting new DIR --name PERSONA --from FILE` makes a project", file=path
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=path) from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", file=path) from None
    config = parse_config(raw, path)
    require_name(config, path)
    return config


def require_name(config: Config, path: Path | None = None) -> None:
    """Raise ConfigError when the persona has no name: a project without one cannot be measured."""
    if not config.persona.name.strip():
        raise ConfigError(
            'the persona has no name; add `name = "…"` under [persona]',
            file=path,
            key="persona.name",
        )


def parse_config(raw: dict[str, Any], path: Path | None = None) -> Config:
    """Decode a parsed TOML table strictly."""
    _refuse_unknown(raw, Config, (), path)
    _refuse_infinite(raw, "", path)
    try:
        return msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at `")
        key = re.sub(r"^\$\.?", "", where.rstrip("`")) or None
        message = message[0].lower() + message[1:] + _choices(key)
        raise ConfigError(message, file=path, key=key) from None


def override(config: Config, section: str, **changes: Any) -> Config:
    """A configuration with some fields of a section replaced; `None` leaves a field alone."""
    changes = {key: value for key, value in changes.items() if value is not None}
    if not changes:
        return config
    raw = msgspec.to_builtins(config)
    raw[section].update(changes)
    # TOML has no null: absent is how a person writes it, so drop them before the strict check.
    return parse_config({k: _drop_none(v) for k, v in raw.items()})


def config_keys(struct: type[msgspec.Struct] = Config) -> dict[str, type[msgspec.Struct] | None]:
    """Field name → nested section type, or None for a plain value."""
    hints = get_type_hints(struct)
    return {
        name: hints[name]
        if isinstance(hints[name], type) and issubclass(hints[name], msgspec.Struct)
        else None
        for name in struct.__struct_fields__
    }


def fingerprint(*parts: Any) -> str:
    """`b2:` hash of configuration values and ids, independent of key order."""
    import hashlib

    raw = msgspec.json.encode(msgspec.to_builtins(parts), order="deterministic")
    return "b2:" + hashlib.blake2b(raw, digest_size=16).hexdigest()


def read_text_input(path: Path) -> str:
    """Text of an input file, or one clear line."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("no such file", file=path) from None
    except IsADirectoryError:
        raise InputError("is a folder, not a file", file=path) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"not UTF-8 text (byte {error.start}); save it as UTF-8", file=path
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", file=path) from None


def _refuse_unknown(
    raw: object, struct: type[msgspec.Struct], at: tuple[str, ...], path: Path | None
) -> None:
    if not isinstance(raw, dict):
        return
    known = config_keys(struct)
    for key, value in raw.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            elsewhere = [
                f"{section}.{key}"
                for section, nested in config_keys().items()
                if nested is not None and key in config_keys(nested)
            ]
            # The very key in another section tells more than a similar one in this.
            if elsewhere:
                hint = f"did you mean `{elsewhere[0]}`?"
            elif close:
                hint = f"did you mean `{close[0]}`?"
            else:
                hint = "known here: " + ", ".join(known)
            raise ConfigError(f"unknown key; {hint}", file=path, key=".".join((*at, key)))
        nested = known[key]
        if nested is not None:
            _refuse_unknown(value, nested, (*at, key), path)
        elif struct is Persona and key == "facts" and isinstance(value, list):
            for i, fact in enumerate(value):
                _refuse_unknown(fact, Fact, (*at, f"facts[{i}]"), path)


def _refuse_infinite(value: Any, at: str, path: Path | None) -> None:
    """TOML can write `inf` and `nan`; no setting has a use for them."""
    if isinstance(value, dict):
        for key, item in value.items():
            _refuse_infinite(item, f"{at}.{key}" if at else key, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError("must be a finite number", file=path, key=at)


def _choices(key: str | None) -> str:
    """The values to choose from, for a key that takes one of a few."""
    section, _, name = (key or "").partition(".")
    struct = config_keys().get(section)
    kind = get_type_hints(struct).get(name) if struct is not None else None
    return "; one of " + ", ".join(get_args(kind)) if get_origin(kind) is Literal else ""


def _drop_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _drop_none(item) for key, item in value.items() if item is not None}
    return value
