"""`molting curate --explain`: rows taken, the best rows left out, and the share of each topic."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE
from rich.table import Table

from molting.cli.console import out
from molting.core.corpus import Corpus
from molting.curate.explanation import Explained, explain

_SHOWN = 12


def print_explanation(corpus: Corpus) -> None:
    found = explain(corpus, _SHOWN)
    everything = explain(corpus)
    console = out()
    for title, rows, of in (
        ("taken, in order", found.taken, len(everything.taken)),
        ("left out, best first", found.left_out, len(everything.left_out)),
    ):
        if rows:
            console.print(_rows(f"{title} ({len(rows)} of {of}) · {found.selector}", rows))
    topics = Table("topic", "taken", "of", "words", title="topics", box=SIMPLE, pad_edge=False)
    for topic in found.topics:
        topics.add_row(str(topic.topic), str(topic.taken), str(topic.rows), topic.words)
    console.print(topics)


def _rows(title: str, rows: Sequence[Explained]) -> Table:
    table = Table(title=title, box=SIMPLE, pad_edge=False, show_header=True)
    table.add_column("", justify="right")
    table.add_column("score", justify="right")
    table.add_column("topic", justify="right")
    table.add_column("why; parts; text", overflow="fold")
    for row in rows:
        parts = ", ".join(
            f"{name} {'–' if value is None else f'{value:.2f}'}"
            for name, value in row.parts.items()
        )
        near = f"; nearest {row.nearest} {row.likeness:.2f}" if row.nearest else ""
        table.add_row(
            "" if row.rank is None else str(row.rank),
            f"{row.score:.2f}",
            str(row.topic),
            f"{row.source}: {row.because}\n{parts}{near}\n“{row.text[:100]}”",
        )
    return table
