"""A comparison as one page that needs no other file and no script."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from urllib.parse import quote

from p2pkit.atomic_files import atomic_file
from p2pkit.compare import html
from p2pkit.compare.comparison import Comparison
from p2pkit.compare.plots import panels
from p2pkit.compare.samples import sample_rows
from p2pkit.compare.settings import shown


def write_page(comparison: Comparison, path: Path, *, title: str = "Runs compared") -> None:
    """Write the page: table, contact sheet, plots, and what the runs have in common.

    Args:
        comparison: The comparison.
        path: Where the HTML file goes; folders are made.
        title: The page's heading.
    """
    sections = [
        ("Scores", html.scores(comparison.table)),
        ("What they make of the same sources", html.samples(*sample_rows(comparison.sheets))),
        ("Plots", f"<div class='plots'>{''.join(_plots(comparison))}</div>"),
        ("Runs", _runs(comparison, path.parent)),
        ("What they have in common", _common(comparison)),
    ]
    template = resources.files("p2pkit.compare").joinpath("page.html").read_text(encoding="utf-8")
    text = Template(template).substitute(
        style=resources.files("p2pkit").joinpath("style.css").read_text(encoding="utf-8"),
        title=escape(title),
        subtitle=escape(_subtitle(comparison)),
        sections="\n".join(f"<section>\n<h2>{heading}</h2>\n{body}\n</section>" for heading, body in sections),
    )
    with atomic_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _subtitle(comparison: Comparison) -> str:
    keys = ", ".join(comparison.keys) or "nothing but the seed"
    return f"{len(comparison.runs)} runs, {len(comparison.points)} points; they differ in {keys}"


def _plots(comparison: Comparison) -> Iterator[str]:
    for name, figure in panels(comparison):
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None}, transparent=True)
        yield f"<figure>{html.picture(drawn.getvalue(), 'svg+xml', name)}</figure>"


def _runs(comparison: Comparison, beside: Path) -> str:
    rows = []
    for point in comparison.points:
        for run in point.runs:
            scored = comparison.shown(run)
            steps = str(scored.step) if scored else "not scored"
            where = quote(Path(os.path.relpath(run.folder, beside)).as_posix())
            link = f'<td><a href="{where}/">{escape(str(run.folder))}</a></td>'
            rows.append(
                "".join((html.cell(point.label), html.cell(str(run.seed), "number"), html.cell(steps, "number"), link))
            )
    heads = (
        html.cell("point", head=True),
        html.cell("seed", "number", head=True),
        html.cell("steps", "number", head=True),
    )
    implied = ""
    if comparison.implied:
        names = ", ".join(comparison.implied)
        implied = f"<p class='dim'>Follows from these and has no column: {escape(names)}.</p>"
    return html.table("".join((*heads, html.cell("folder", head=True))), rows) + implied


def _common(comparison: Comparison) -> str:
    differ = {*comparison.keys, *comparison.implied}
    settings = {key: value for key, value in comparison.runs[0].settings.items() if key not in differ}
    lines = "\n".join(f"{key}: {shown(value)}" for key, value in settings.items())
    inside = f"<div class='inside'><pre>{escape(lines)}</pre></div>"
    return f"<details><summary><b>{len(settings)} keys</b></summary>{inside}</details>"
