"""A project or loose chat files: what `check` and `duplicates` look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from molting.core.config import Config
from molting.core.conversation import Conversation
from molting.core.errors import UsageError
from molting.core.progress import Progress
from molting.core.project import CONFIG_FILE, Project, open_project


def project_of(paths: Sequence[Path]) -> Project | None:
    """The project when one folder (or its molting.toml) is given, None for chat files."""
    if len(paths) == 1 and (paths[0].is_dir() or paths[0].name == CONFIG_FILE):
        return open_project(paths[0])
    folders = [path for path in paths if path.is_dir()]
    if folders:
        raise UsageError(f"{folders[0]}: give one project folder, or chat files, not both")
    return None


def rows_of(paths: Sequence[Path], progress: Progress) -> tuple[list[Conversation], Config | None]:
    """All rows as they came, and the configuration when a project was given."""
    from molting.curate.formats import read_file
    from molting.flow import read_inputs

    project = project_of(paths)
    if project:
        return read_inputs(project, progress).conversations, project.config
    rows: list[Conversation] = []
    for path in paths:
        file = read_file(path)
        progress.say(f"{file.file}: {len(file.conversations)} rows, {file.format} format")
        rows += file.conversations
    return rows, None
