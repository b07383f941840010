"""A comparison as one page that needs no other file and no script."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import quote

from p2pkit.atomic_files import atomic_file
from p2pkit.compare.comparison import Column, Comparison, Point
from p2pkit.compare.plots import panels
from p2pkit.compare.settings import short_names, shown
from p2pkit.compare.sheet import sheet_rows
from p2pkit.engine.storage.costs import cost

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def write_page(comparison: Comparison, path: Path, *, title: str = "Runs compared") -> None:
    """Write the page: table, contact sheet, plots, and what the runs have in common.

    Args:
        comparison: The comparison.
        path: Where the HTML file goes; folders are made.
        title: The page's heading.
    """
    sections = [
        ("Scores", _scores(comparison)),
        ("What they make of the same sources", _sheet(comparison)),
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


def tables(comparison: Comparison) -> str:
    """Return the scores and the contact sheet as they stand on the page."""
    return _scores(comparison) + _sheet(comparison)


def _subtitle(comparison: Comparison) -> str:
    keys = ", ".join(comparison.keys) or "nothing but the seed"
    return f"{len(comparison.runs)} runs, {len(comparison.points)} points; they differ in {keys}"


def _scores(comparison: Comparison) -> str:
    heads = [_cell(name, head=True) for name in short_names(comparison.keys).values()] + [
        _cell("seeds", "number", head=True)
    ]
    heads += [_cell(column.head, "number", head=True) for column in comparison.columns]
    heads += [_cell(name, "number", head=True) for name in comparison.costs]
    best = {column: comparison.best(column) for column in comparison.columns}
    rows = ["".join(_row(comparison, point, best)) for point in comparison.points]
    protocols = comparison.protocols.described()
    measured = "".join(
        f"<p class='dim'>{escape(f'{title}: ' if len(protocols) > 1 else 'measured with ')}"
        f"{escape(', '.join(f'{name} {value}' for name, value in fields.items()))}</p>"
        for title, fields in protocols.items()
    )
    note = (
        "<p class='dim'>Mean over the runs of a point, ± the standard deviation; the best of each column is marked.</p>"
    )
    return _table("".join(heads), rows) + note + measured


def _row(comparison: Comparison, point: Point, best: dict[Column, Point | None]) -> Iterator[str]:
    for value in point.settings.values():
        yield _cell(shown(value))
    yield _cell(", ".join(str(run.seed) for run in point.runs), "number")
    for column in comparison.columns:
        summary = point.summary(column)
        yield _cell(str(summary or ""), "number best" if best[column] is point else "number")
    for name in comparison.costs:
        spent = point.costs.get(name)
        yield _cell("" if spent is None else cost(name, spent), "number")


def _sheet(comparison: Comparison) -> str:
    rows, points = sheet_rows(comparison)
    heads = "".join(_cell(text, head=True) for text in ("", "source", "target", *(point.label for point in points)))
    return _table(heads, [_cell(row.name) + "".join(map(_sample, row.pictures)) for row in rows], "samples")


def _sample(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    drawn = io.BytesIO()
    Image.fromarray(pixels).save(drawn, format="png")
    return f"<td>{_picture(drawn.getvalue(), 'png', '')}</td>"


def _plots(comparison: Comparison) -> Iterator[str]:
    for name, figure in panels(comparison):
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None}, transparent=True)
        yield f"<figure>{_picture(drawn.getvalue(), 'svg+xml', name)}</figure>"


def _picture(data: bytes, kind: str, text: str) -> str:
    inlined = base64.b64encode(data).decode()
    return f'<img alt="{escape(text)}" src="data:image/{kind};base64,{inlined}">'


def _runs(comparison: Comparison, beside: Path) -> str:
    rows = []
    for point in comparison.points:
        for run in point.runs:
            scored = comparison.shown(run)
            steps = str(scored.step) if scored else "not scored"
            where = quote(Path(os.path.relpath(run.folder, beside)).as_posix())
            link = f'<td><a href="{where}/">{escape(str(run.folder))}</a></td>'
            rows.append("".join((_cell(point.label), _cell(str(run.seed), "number"), _cell(steps, "number"), link)))
    heads = (_cell("point", head=True), _cell("seed", "number", head=True), _cell("steps", "number", head=True))
    implied = ""
    if comparison.implied:
        names = ", ".join(comparison.implied)
        implied = f"<p class='dim'>Follows from these and has no column: {escape(names)}.</p>"
    return _table("".join((*heads, _cell("folder", head=True))), rows) + implied


def _common(comparison: Comparison) -> str:
    differ = {*comparison.keys, *comparison.implied}
    settings = {key: value for key, value in comparison.runs[0].settings.items() if key not in differ}
    lines = "\n".join(f"{key}: {shown(value)}" for key, value in settings.items())
    inside = f"<div class='inside'><pre>{escape(lines)}</pre></div>"
    return f"<details><summary><b>{len(settings)} keys</b></summary>{inside}</details>"


def _cell(text: str, kind: str = "", *, head: bool = False) -> str:
    tag = "th" if head else "td"
    return f"<{tag} class='{kind}'>{escape(text)}</{tag}>" if kind else f"<{tag}>{escape(text)}</{tag}>"


def _table(heads: str, rows: Sequence[str], kind: str = "") -> str:
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    hint = "<p class='hint dim'>Scrolls sideways.</p>"
    return f"<div class='wide {kind}' tabindex='0'><table><tr>{heads}</tr>\n{body}</table></div>{hint}"
