"""A comparison as one page that needs no other file and no script."""

from __future__ import annotations

import base64
import io
import tempfile
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from p2pkit.atomic_files import atomic_file
from p2pkit.compare.comparison import Column, Comparison, Point
from p2pkit.compare.plots import figures
from p2pkit.compare.settings import shown
from p2pkit.compare.sheet import draw_contact_sheet


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
        ("Plots", "".join(_plots(comparison))),
        ("Runs", _runs(comparison)),
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


def _scores(comparison: Comparison) -> str:
    heads = [_cell(key, head=True) for key in comparison.keys] + [_cell("runs", "number", head=True)]
    heads += [_cell(f"{column.title}{_arrow(column)}", "number", head=True) for column in comparison.columns]
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
    yield _cell(str(len(point.runs)), "number")
    for column in comparison.columns:
        summary = point.summary(column)
        yield _cell(str(summary or ""), "number best" if best[column] is point else "number")


def _arrow(column: Column) -> str:
    return {True: " ↑", False: " ↓", None: ""}[column.higher_is_better]


def _sheet(comparison: Comparison) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sheet.png"
        draw_contact_sheet(comparison, file)
        return _picture(file.read_bytes(), "png", "a row for each source, a column for each point")


def _plots(comparison: Comparison) -> Iterator[str]:
    for name, figure in figures(comparison):
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
        yield _picture(drawn.getvalue(), "svg+xml", f"scores {name}")


def _picture(data: bytes, kind: str, text: str) -> str:
    inlined = base64.b64encode(data).decode()
    return f'<figure><img alt="{escape(text)}" src="data:image/{kind};base64,{inlined}"></figure>'


def _runs(comparison: Comparison) -> str:
    rows = []
    for point in comparison.points:
        for run in point.runs:
            scored = comparison.shown(run)
            steps = str(scored.step) if scored else "not scored"
            cells = (_cell(point.label), _cell(str(run.seed), "number"), _cell(steps, "number"), _cell(str(run.folder)))
            rows.append("".join(cells))
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


def _table(heads: str, rows: Sequence[str]) -> str:
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<div class='wide'><table><tr>{heads}</tr>\n{body}</table></div>"
