"""Tables and pictures in HTML, for the page and for notebooks."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from p2pkit.compare.score_table import ScoreRow, ScoreTable
from p2pkit.engine.evaluation.sample_sheet import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NOTE = "Mean over the runs of a point, ± the standard deviation; the best of each column is marked."


def scores(shown: ScoreTable) -> str:
    """Return the scores as a table, and how they were measured."""
    heads = [cell(name, head=True) for name in shown.settings]
    heads += [cell(name, "number", head=True) for name in ("seeds", *shown.metrics, *shown.costs)]
    measured = "".join(
        f"<p class='dim'>{escape(f'{title}: ' if len(shown.measured) > 1 else 'measured with ')}{escape(how)}</p>"
        for title, how in shown.measured.items()
    )
    return f"{table(''.join(heads), [_row(row) for row in shown.rows])}<p class='dim'>{_NOTE}</p>{measured}"


def _row(row: ScoreRow) -> str:
    numbers = [(", ".join(row.seeds), False), *row.scores, *((text, False) for text in row.costs)]
    cells = [cell(text, "number best" if best else "number") for text, best in numbers]
    return "".join((*map(cell, row.settings), *cells))


def samples(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Return pictures as a table: a row for each pair, under the columns' names."""
    heads = "".join(cell(text, head=True) for text in ("", *names))
    return table(heads, [cell(row.name) + "".join(map(_sample, row.pictures)) for row in rows], "samples")


def _sample(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    drawn = io.BytesIO()
    Image.fromarray(pixels).save(drawn, format="png")
    return f"<td>{picture(drawn.getvalue(), 'png', '')}</td>"


def picture(data: bytes, kind: str, text: str) -> str:
    """Return a picture that needs no other file.

    Args:
        data: The file's content.
        kind: What kind of image that is.
        text: What the picture is, for those who don't see it.
    """
    inlined = base64.b64encode(data).decode()
    return f'<img alt="{escape(text)}" src="data:image/{kind};base64,{inlined}">'


def cell(text: str, kind: str = "", *, head: bool = False) -> str:
    """Return a cell of a table."""
    tag = "th" if head else "td"
    return f"<{tag} class='{kind}'>{escape(text)}</{tag}>" if kind else f"<{tag}>{escape(text)}</{tag}>"


def table(heads: str, rows: Sequence[str], kind: str = "") -> str:
    """Return a table that scrolls sideways where it is too wide."""
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    hint = "<p class='hint dim'>Scrolls sideways.</p>"
    return f"<div class='wide {kind}' tabindex='0'><table><tr>{heads}</tr>\n{body}</table></div>{hint}"
