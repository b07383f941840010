"""The sample sheet: a labelled picture of source, fake and target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from numpy.typing import NDArray


_LEAST_CELL = 128
_GAP = 8
_TEXT = 14
_LINE = _TEXT + _GAP
_INK = (40, 40, 40)
_FONT = ImageFont.load_default(_TEXT)


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of a sheet: its name, and its pictures in the order of the columns, each uint8 (H, W, 3)."""

    name: str
    pictures: Sequence[NDArray[np.uint8]]


def side_by_side(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Join pictures of one height into one."""
    return np.concatenate(list(pictures), axis=1)


def draw_sheet(rows: Sequence[Row], columns: Sequence[str], path: Path) -> None:
    """Write a PNG with a row for each pair, under the columns' names.

    Small images are enlarged without smoothing; many rows stand in several blocks side by side.

    Args:
        rows: The pairs.
        columns: The columns' names, of one line or more.
        path: Where to; folders are made.
    """
    height, width = rows[0].pictures[0].shape[:2]
    factor = max(1, math.ceil(_LEAST_CELL / height))
    cell = (width * factor, height * factor)
    block = (len(columns) * (cell[0] + _GAP) + _GAP, cell[1] + _LINE)
    blocks = max(1, round(math.sqrt(len(rows) * block[1] / block[0])))
    deep = math.ceil(len(rows) / blocks)
    head = _LINE * max(title.count("\n") + 1 for title in columns)
    sheet = Image.new("RGB", (math.ceil(len(rows) / deep) * block[0], head + deep * block[1] + _GAP), "white")
    for index, row in enumerate(rows):
        left, top = index // deep * block[0], head + index % deep * block[1]
        if index % deep == 0:
            _draw_titles(sheet, columns, left, cell[0])
        _draw_row(sheet, row, (left, top), cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _draw_titles(sheet: Image.Image, columns: Sequence[str], left: int, width: int) -> None:
    for index, title in enumerate(columns):
        middle = left + _GAP + index * (width + _GAP) + width / 2
        for line, text in enumerate(title.split("\n")):
            at = (middle, _LINE / 2 + line * _LINE)
            ImageDraw.Draw(sheet).text(at, _cut(text, width), fill=_INK, font=_FONT, anchor="mm")


def _cut(text: str, width: int) -> str:
    """Shorten a text in its middle to what fits, since names differ at their ends."""
    cut, keep = text, len(text)
    while keep > 2 and _FONT.getlength(cut) > width:
        keep -= 1
        cut = f"{text[: keep // 2]}..{text[-(keep // 2) :]}"
    return cut


def _draw_row(sheet: Image.Image, row: Row, corner: tuple[int, int], cell: tuple[int, int]) -> None:
    left, top = corner[0] + _GAP, corner[1]
    for index, picture in enumerate(row.pictures):
        enlarged = Image.fromarray(picture).resize(cell, Image.Resampling.NEAREST)
        sheet.paste(enlarged, (left + index * (cell[0] + _GAP), top))
    ImageDraw.Draw(sheet).text((left, top + cell[1] + 2), row.name, fill=_INK, font=_FONT)
