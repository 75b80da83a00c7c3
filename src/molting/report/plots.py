"""The report's plots as SVG text to stand inside the page.

Figures are drawn with matplotlib's objects, never through pyplot, so a long-running process
keeps no figure. Colours are drawn as markers and then replaced by the page's CSS variables:
the same plot is right in light, in dark and on paper. Text stays text, set in the page's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_COLOURS = {"ink": "#010203", "soft": "#010204", "rule": "#010205", "accent": "#010206",
            "second": "#010207", "paper": "#010208"}  # fmt: skip
_WIDE = 560
"""From this width on, a plot has room for its numbers beside it."""
_NARROWEST, _WIDEST = -1.0, 2.2
"""V beyond these is drawn as an arrow at the edge; a wild interval must not flatten the rest."""

Interval = Mapping[str, Any]


class Row(NamedTuple):
    """One system in the forest plot; None where it was not measured."""

    label: str
    full: Interval | None
    body: Interval | None
    fixed: bool = False
    """By construction, not measured: a point without an interval."""


def forest(rows: Sequence[Row], width: int, name: str) -> str:
    """V of each system, whole reply and body, with intervals and the lines at 0 and 1."""
    from matplotlib.ticker import MultipleLocator

    wide = width >= _WIDE
    step = 50 if wide else 58
    top, bottom = 40, 40
    height = top + step * len(rows) + bottom
    figure = _figure(width, height)
    left, right = (150, 150) if wide else (12, 12)
    plot = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, step * len(rows) / height)
    )
    low, high = _limits(rows)
    plot.set_xlim(low, high)
    plot.set_ylim(len(rows), 0)
    for x, text in ((0, "untouched = 0"), (1, "own text = 1")):
        plot.axvline(x, color=_COLOURS["soft"], lw=1, ls=(0, (4, 3)), zorder=1)
        plot.text(x, -0.14, text, ha="center", va="bottom", fontsize=12, color=_COLOURS["soft"])
    for i, row in enumerate(rows):
        if i:
            plot.axhline(i, color=_COLOURS["rule"], lw=0.8, zorder=0, clip_on=False,
                         xmin=-left / (width - left - right) if wide else 0,
                         xmax=1 + (right / (width - left - right) if wide else 0))  # fmt: skip
        if wide:
            plot.text(-left / (width - left - right), i + 0.5, row.label, va="center", fontsize=14,
                      transform=plot.get_yaxis_transform(), color=_COLOURS["ink"])  # fmt: skip
        else:
            plot.text(0, i + 0.25, row.label, va="center", fontsize=13, zorder=5,
                      transform=plot.get_yaxis_transform(), color=_COLOURS["ink"],
                      bbox={"facecolor": _COLOURS["paper"], "edgecolor": "none", "pad": 2})  # fmt: skip
        for estimate, at, colour, marker, filled in (
            (row.full, 0.32 if wide else 0.52, "accent", "o", True),
            (row.body, 0.68 if wide else 0.78, "second", "D", False),
        ):
            _interval(plot, estimate, i + at, colour, marker, filled)
            if wide:
                plot.text(1 + 14 / (width - left - right), i + at, _told(estimate, row.fixed),
                          va="center", fontsize=12, transform=plot.get_yaxis_transform(),
                          color=_COLOURS["ink" if filled else "soft"])  # fmt: skip
    _frame(plot)
    plot.xaxis.set_major_locator(MultipleLocator(0.5))
    plot.set_yticks([])
    plot.spines["left"].set_visible(False)
    plot.set_xlabel("V", color=_COLOURS["soft"], fontsize=12, labelpad=2)
    return _svg(figure, name)


def loss_curve(
    steps: Sequence[float | None], history: Sequence[Mapping[str, Any]], best: int | None, name: str
) -> str:
    """Training loss of every step, light; validation loss of every epoch; the best one ringed."""
    figure, plot = _small()
    known = [(i, loss) for i, loss in enumerate(steps, 1) if loss is not None]
    if known:
        plot.plot(*zip(*known, strict=True), color=_COLOURS["second"], lw=1.1, alpha=0.55,
                  label="training, each step")  # fmt: skip
    points = [
        (item["step"], item["validation_loss"], item["epoch"])
        for item in history
        if item.get("validation_loss") is not None
    ]
    _epochs(plot, points, best, "validation, each epoch")
    plot.set_xlabel("step", color=_COLOURS["soft"], fontsize=12)
    plot.margins(y=0.12)
    plot.legend(frameon=False, fontsize=11.5, labelcolor=_COLOURS["ink"], loc="best",
                handlelength=1.6, borderaxespad=0.2)  # fmt: skip
    return _svg(figure, name)


def perplexity_curve(history: Sequence[Mapping[str, Any]], best: int | None, name: str) -> str:
    """Validation perplexity by epoch; epoch 0 is the untouched base."""
    from matplotlib.ticker import MaxNLocator

    figure, plot = _small()
    points = [
        (item["epoch"], item["validation_perplexity"], item["epoch"])
        for item in history
        if item.get("validation_perplexity") is not None
    ]
    _epochs(plot, points, best, None)
    if len(points) <= 12:
        heights = [y for _, y, _ in points]
        for i, (x, y, epoch) in enumerate(points):
            # Beside the line where it is steep, or it would strike the number through.
            slope = heights[max(i - 1, 0)] - heights[min(i + 1, len(heights) - 1)]
            aside = 11 if slope > 0 else -11
            plot.annotate(f"{y:.1f}", (x, y), (aside, 10), textcoords="offset points", ha="center",
                          fontsize=12, color=_COLOURS["ink"])  # fmt: skip
            if epoch == best:
                plot.annotate("kept", (x, y), (0, -20), textcoords="offset points", ha="center",
                              va="center", fontsize=12, color=_COLOURS["ink"])  # fmt: skip
    plot.set_xlabel("epoch (0: untouched base)", color=_COLOURS["soft"], fontsize=12)
    plot.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    plot.margins(x=0.08, y=0.2)
    return _svg(figure, name)


class Profile(NamedTuple):
    """One system's line in the profile plot: a value for each scale, None where not measured."""

    label: str
    estimates: Sequence[Interval | None]
    colour: str


def profile(scales: Sequence[str], lines: Sequence[Profile], name: str) -> str:
    """Answers of 1 to 5 on each scale, with intervals over items; the middle is dotted."""
    figure = _figure(560, 270)
    plot = figure.add_axes((0.07, 0.13, 0.91, 0.74))
    _frame(plot)
    plot.axhline(3, color=_COLOURS["soft"], lw=1, ls=(0, (1, 3)), zorder=0)
    for k, line in enumerate(lines):
        # Side by side, or intervals would hide each other.
        at = [i + 0.09 * (k - (len(lines) - 1) / 2) for i in range(len(scales))]
        known = [(x, e) for x, e in zip(at, line.estimates, strict=True) if e and e["value"]]
        colour = _COLOURS[line.colour]
        for x, estimate in known:
            if estimate["low"] is not None:
                plot.plot([x, x], [estimate["low"], estimate["high"]], color=colour, lw=1.6)
        plot.plot([x for x, _ in known], [e["value"] for _, e in known], "-o", color=colour, lw=1.2,
                  ms=5, label=line.label)  # fmt: skip
    plot.set_ylim(1, 5)
    plot.set_yticks(range(1, 6))
    plot.set_xlim(-0.5, len(scales) - 0.5)
    plot.set_xticks(range(len(scales)), scales)
    plot.legend(frameon=False, fontsize=11.5, labelcolor=_COLOURS["ink"], ncols=len(lines),
                loc="lower left", bbox_to_anchor=(0, 1), handlelength=1.6)  # fmt: skip
    return _svg(figure, name)


def _interval(
    plot: Any, estimate: Interval | None, y: float, colour: str, marker: str, filled: bool
) -> None:
    if estimate is None or estimate["value"] is None:
        return
    low, high = plot.get_xlim()
    value = float(estimate["value"])
    if estimate["low"] is not None and estimate["high"] > estimate["low"]:
        ends = [min(max(float(estimate[key]), low), high) for key in ("low", "high")]
        plot.plot(ends, [y, y], color=_COLOURS[colour], lw=2, solid_capstyle="round", zorder=3)
        for end, true, arrow in ((low, estimate["low"], "<"), (high, estimate["high"], ">")):
            if not low <= true <= high:
                plot.plot([end], [y], arrow, ms=7, color=_COLOURS[colour], clip_on=False, zorder=4)
    if low <= value <= high:
        plot.plot([value], [y], marker, ms=8 if filled else 7, mew=1.8, color=_COLOURS[colour],
                  mfc=_COLOURS[colour if filled else "paper"], clip_on=False, zorder=5)  # fmt: skip


def _told(estimate: Interval | None, fixed: bool) -> str:
    if estimate is None or estimate["value"] is None:
        return "not measured"
    if fixed:
        return f"{estimate['value']:.0f} by construction"
    if estimate["low"] is None:
        return f"{estimate['value']:.2f} (no interval)".replace("-", "−")
    # Adding 0 turns what rounds to −0 into 0.
    value, low, high = (
        round(some, 2) + 0.0 for some in (estimate["value"], estimate["low"], estimate["high"])
    )
    return f"{value:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")


def _limits(rows: Sequence[Row]) -> tuple[float, float]:
    ends = [
        float(estimate[key])
        for row in rows
        for estimate in (row.full, row.body)
        if estimate is not None
        for key in ("low", "value", "high")
        if estimate[key] is not None
    ]
    low, high = min([-0.15, *ends]) - 0.08, max([1.15, *ends]) + 0.08
    return max(low, _NARROWEST), min(high, _WIDEST)


def _epochs(
    plot: Any, points: Sequence[tuple[float, float, int]], best: int | None, label: str | None
) -> None:
    if not points:
        return
    xs, ys, epochs = zip(*points, strict=True)
    plot.plot(xs, ys, "-o", color=_COLOURS["accent"], lw=2, ms=5.5, zorder=3, label=label)
    for x, y, epoch in zip(xs, ys, epochs, strict=True):
        if epoch == best:
            plot.plot([x], [y], "o", ms=14, mfc="none", mec=_COLOURS["ink"], mew=1.5, zorder=4,
                      label=f"kept: epoch {epoch}")  # fmt: skip


def _figure(width: int, height: int) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # 72 points an inch: sizes below are the pixels of the SVG.
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasAgg(figure)
    figure.patch.set_visible(False)
    return figure


def _small() -> tuple[Any, Any]:
    figure = _figure(400, 270)
    plot = figure.add_axes((0.1, 0.165, 0.88, 0.8))
    _frame(plot)
    plot.grid(axis="y", color=_COLOURS["rule"], lw=0.8)
    plot.set_axisbelow(True)
    return figure, plot


def _frame(plot: Any) -> None:
    plot.patch.set_visible(False)
    for side in ("top", "right"):
        plot.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        plot.spines[side].set_color(_COLOURS["rule"])
    plot.tick_params(colors=_COLOURS["soft"], labelsize=12, length=0, pad=5)


def _svg(figure: Any, name: str) -> str:
    """The figure as an `<svg>` element without ids, fonts or addresses of its own."""
    import matplotlib as mpl

    out = io.StringIO()
    # Text as text, and ids from the content: equal numbers make an equal page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "molting"}):
        figure.savefig(
            out,
            format="svg",
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"), None),
        )
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # A style element in an inline SVG would rule the whole page.
    text = re.sub(r"<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\s(?:xmlns(?::\w+)?|version)="[^"]*"', "", text)
    text = text.replace("xlink:href", "href")
    # Several plots stand in one page: ids must differ.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    for key, colour in _COLOURS.items():
        text = text.replace(colour, f"var(--{key})")
    head, _, rest = text.partition(">")
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head)
    lines = (
        line.strip() for line in f'{head} aria-hidden="true" focusable="false">{rest}'.splitlines()
    )
    return "\n".join(line for line in lines if line)
