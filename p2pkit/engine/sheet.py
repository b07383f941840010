"""The sample sheet: a labelled picture of source, fake and target."""

from __future__ import annotations

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
_INK = (40, 40, 40)


@dataclass(frozen=True, slots=True)
class Row:
    """One pair of a sheet: its name, and its pictures in the order of the columns, each uint8 (H, W, 3)."""

    name: str
    pictures: Sequence[NDArray[np.uint8]]


def side_by_side(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Join pictures of one height into one."""
    return np.concatenate(list(pictures), axis=1)


def draw_sheet(rows: Sequence[Row], columns: Sequence[str], path: Path) -> None:
    """Write a PNG with a row for each pair, under the columns' names; small images are enlarged.

    Args:
        rows: The pairs.
        columns: The columns' names.
        path: Where to; folders are made.
    """
    height, width = rows[0].pictures[0].shape[:2]
    factor = max(1, -(-_LEAST_CELL // height))
    cell_h, cell_w = height * factor, width * factor
    line = _TEXT + _GAP
    sheet = Image.new(
        "RGB", (_GAP + len(columns) * (cell_w + _GAP), line + _GAP + len(rows) * (cell_h + line)), "white"
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(_TEXT)
    for column, title in enumerate(columns):
        left = _GAP + column * (cell_w + _GAP)
        draw.text((left + cell_w / 2, _GAP / 2 + _TEXT / 2), title, fill=_INK, font=font, anchor="mm")
        for index, row in enumerate(rows):
            picture = Image.fromarray(row.pictures[column]).resize((cell_w, cell_h), Image.Resampling.NEAREST)
            sheet.paste(picture, (left, line + _GAP + index * (cell_h + line)))
    for index, row in enumerate(rows):
        top = line + _GAP + index * (cell_h + line) + cell_h
        draw.text((_GAP, top + 2), row.name, fill=_INK, font=font)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
