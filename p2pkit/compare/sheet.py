"""The contact sheet: what each point makes of the same held-out sources."""

from __future__ import annotations

from pathlib import Path

from p2pkit.compare.comparison import Comparison
from p2pkit.compare.samples import sample_rows
from p2pkit.engine.evaluation.sample_sheet import draw_sheet


def draw_contact_sheet(comparison: Comparison, path: Path) -> None:
    """Draw a row for each validation image that all points have shown, and a column for each point.

    The fakes of a point are those of its first run.

    Args:
        comparison: The comparison.
        path: Where the PNG goes.

    Raises:
        ModelError: Sample pictures are gone.
    """
    rows, names = sample_rows(comparison.sheets)
    draw_sheet(rows, [name.replace(" ", "\n") for name in names], path)
