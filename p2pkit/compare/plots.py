"""Plots of a comparison: metrics against what differs, and against the length of training."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from p2pkit.atomic_files import atomic_file
from p2pkit.compare.comparison import Comparison
from p2pkit.compare.points import Column, Point
from p2pkit.compare.records import Record, Scored
from p2pkit.compare.settings import label, short_names, shown
from p2pkit.untyped import Json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST = 40
_WIDE = 10  # values that span such a factor are shown on a logarithmic axis

_LETTERS = 28  # that fit beside a panel, and of names that fit side by side below it
_DIRECTION = {True: "higher is better", False: "lower is better", None: ""}

_LENGTHS: dict[str, Callable[[Scored], float]] = {"steps": lambda s: s.step, "minutes": lambda s: s.seconds / 60}


def figures(comparison: Comparison) -> Iterator[tuple[str, Figure]]:
    """Draw the plots: one for each key that differs, with a panel for each metric, and the metrics over steps and time.

    Args:
        comparison: The comparison.

    Yields:
        A file name without ending, and the figure.
    """
    for key in comparison.keys:
        yield f"by {key}", _panels(comparison.columns, partial(_against, comparison, key))
    for title, at in _LENGTHS.items():
        columns = [column for column in comparison.columns if any(_curve(run, column, at) for run in comparison.runs)]
        if columns:
            yield f"over {title}", _panels(columns, partial(_over, comparison, title))


def panels(comparison: Comparison) -> Iterator[tuple[str, Figure]]:
    """Draw the same as `figures`, each metric as a figure of its own, for pages that set them in rows as they fit."""
    for column in comparison.columns:
        for key in comparison.keys:
            yield f"{column.title} by {key}", _panels([column], partial(_against, comparison, key))
        for title, at in _LENGTHS.items():
            if any(_curve(run, column, at) for run in comparison.runs):
                yield f"{column.title} over {title}", _panels([column], partial(_over, comparison, title))


def save_plots(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the plots as PNG files, and return where they are."""
    files = []
    for name, figure in figures(comparison):
        files.append(folder / (re.sub(r"[^\w.=+-]+", "-", name)[:150] + ".png"))
        with atomic_file(files[-1]) as partial:
            figure.savefig(partial, dpi=120, format="png")
    return files


def _panels(columns: Sequence[Column], draw: Callable[[Axes, Column], None]) -> Figure:
    from matplotlib.figure import Figure

    across = min(3, len(columns))
    down = math.ceil(len(columns) / across)
    figure = Figure(figsize=(4.2 * across, 3.2 * down), layout="constrained")
    for index, column in enumerate(columns):
        axes = figure.add_subplot(down, across, index + 1)
        draw(axes, column)
        axes.set_ylabel("\n".join(textwrap.wrap(plain(column.title), _LETTERS)))
        axes.set_title(_DIRECTION[column.higher_is_better], fontsize=9)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=across, frameon=False, fontsize=9)
    return figure


def plain(name: str) -> str:
    """Write a name so that matplotlib sees no formula in it, and has room for it."""
    shown = "".join(letter if letter.isprintable() else " " for letter in name[:_LONGEST])
    return (shown + "..." * (len(name) > _LONGEST)).replace("$", r"\$")


def _against(comparison: Comparison, key: str, axes: Axes, column: Column) -> None:
    """Draw mean and spread against one key; a line for each setting of the other keys."""
    values = [point.settings[key] for point in comparison.points]
    numeric = _numeric(axes, values)
    place = numeric or _categories(axes, list(map(shown, values)))
    style = "-" if numeric else ""  # nothing lies between two names
    lines: dict[str, list[tuple[float, Point]]] = {}
    for point in comparison.points:
        rest = label({other: value for other, value in point.settings.items() if other != key})
        lines.setdefault(rest, []).append((place(point.settings[key]), point))
    for name, line in lines.items():
        found = [(x, summary) for x, point in line if (summary := point.summary(column)) is not None]
        found.sort(key=lambda pair: pair[0])
        means = [summary.mean for _, summary in found]
        spreads = [summary.spread for _, summary in found]
        xs, called = [x for x, _ in found], plain(name)
        axes.errorbar(xs, means, spreads, marker="o", markersize=5, capsize=3, linestyle=style, label=called)
    axes.set_xlabel(plain(short_names(comparison.keys)[key]))


def _numeric(axes: Axes, values: Sequence[Json]) -> Callable[[Json], float] | None:
    """Set the axis for numbers, logarithmic where they span a wide range; None where they are no numbers."""
    if not all(type(value) in (int, float) for value in values):
        return None
    ticks = sorted(set(values))
    positive = [value for value in values if value > 0]
    if len(positive) > 1 and min(values) >= 0 and max(positive) / min(positive) >= _WIDE:
        if len(positive) == len(values):
            axes.set_xscale("log")
        else:
            axes.set_xscale("symlog", linthresh=min(positive))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    return float


def _categories(axes: Axes, names: Sequence[str]) -> Callable[[Json], float]:
    order = list(dict.fromkeys(names))
    axes.set_xticks(range(len(order)), list(map(plain, order)))
    if sum(map(len, order)) > _LETTERS:
        for text in axes.get_xticklabels():
            text.set(rotation=30, horizontalalignment="right")
    axes.set_xlim(-0.5, len(order) - 0.5)
    return lambda value: float(order.index(shown(value)))


def _curve(run: Record, column: Column, at: Callable[[Scored], float]) -> list[tuple[float, float]]:
    """Return a metric over a run's own evaluations; nothing where there is only one."""
    scores = [scored for scored in run.history if scored.protocol == column.protocol]
    curve = [
        (at(scored), scored.report.metrics[column.metric])
        for scored in scores
        if column.metric in scored.report.metrics
    ]
    return curve if len(curve) > 1 else []


def _over(comparison: Comparison, title: str, axes: Axes, column: Column) -> None:
    """Draw a curve for each run, in one colour for each point."""
    for index, point in enumerate(comparison.points):
        curves = filter(None, (_curve(run, column, _LENGTHS[title]) for run in point.runs))
        for number, curve in enumerate(curves):
            name = None if number else plain(point.label)
            axes.plot(*zip(*curve, strict=True), color=f"C{index % 10}", marker=".", linewidth=1.2, label=name)
    axes.set_xlabel(title)
