"""The contact sheet: what each point makes of the same held-out sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2pkit.compare.comparison import Comparison, Point
from p2pkit.engine.evaluation.sample_sheet import Row, draw_sheet
from p2pkit.engine.storage.evaluations import load_evaluation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pictures = dict[str, tuple[NDArray[np.uint8], ...]]


def draw_contact_sheet(comparison: Comparison, path: Path) -> None:
    """Draw a row for each validation image that all points have shown, and a column for each point.

    The fakes of a point are those of its first run.

    Args:
        comparison: The comparison.
        path: Where the PNG goes.

    Raises:
        ModelError: Sample pictures are gone.
    """
    rows, points = sheet_rows(comparison)
    draw_sheet(rows, ["source", "target", *(point.label.replace(" ", "\n") for point in points)], path)


def sheet_rows(comparison: Comparison) -> tuple[list[Row], list[Point]]:
    """Return a row of pictures for each validation image that all points have shown, and these points.

    Raises:
        ModelError: Sample pictures are gone.
    """
    shown = [(point, pictures) for point in comparison.points if (pictures := _pictures(comparison, point))]
    first = shown[0][1]
    names = [name for name in first if all(name in pictures for _, pictures in shown)]
    rows = [
        Row(name, [first[name][0], first[name][2], *(pictures[name][1] for _, pictures in shown)]) for name in names
    ]
    return rows, [point for point, _ in shown]


def _pictures(comparison: Comparison, point: Point) -> Pictures:
    """Return source, fake and target by name, of the point's first run that has been scored."""
    scored = next((scored for run in point.runs if (scored := comparison.shown(run)) is not None), None)
    if scored is None:
        return {}
    _, samples = load_evaluation(scored.sheet)
    thirds = (np.array_split(picture, 3, axis=1) for picture in samples.pictures)
    return {name: (third[0], third[1], third[2]) for name, third in zip(samples.names, thirds, strict=True)}
