"""`--set section.key=value`: overrides with the same strictness as molting.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from molting.core.config import Config, parse_config, require_name
from molting.core.errors import UsageError
from molting.core.project import Project, open_project


def open_with(folder: Path, settings: Sequence[str]) -> Project:
    """The project, with overrides applied to its configuration."""
    project = open_project(folder)
    config = apply_settings(project.config, settings)
    require_name(config)
    return msgspec.structs.replace(project, config=config)


def apply_settings(config: Config, settings: Sequence[str]) -> Config:
    if not settings:
        return config
    raw = _without_none(msgspec.to_builtins(config))
    for setting in settings:
        path, equals, text = setting.partition("=")
        section, dot, key = path.strip().partition(".")
        if not (equals and dot and key):
            raise UsageError(f"--set {setting}: must look like section.key=value")
        raw.setdefault(section, {})[key] = _value(text.strip())
    return parse_config(raw)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_without_none(item) for item in value]
    return value
