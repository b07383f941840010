"""The samples of several points, of the same held-out sources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2pkit.engine.evaluation.sample_sheet import Row
from p2pkit.engine.storage.evaluations import load_evaluation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pictures = dict[str, tuple[NDArray[np.uint8], ...]]


def sample_rows(sheets: Sequence[tuple[str, Path]]) -> tuple[list[Row], list[str]]:
    """Return a row of pictures for each validation image that all points have shown, and the columns' names.

    Args:
        sheets: The picture of each point's samples, under the point's label.

    Raises:
        ModelError: Sample pictures are gone.
    """
    drawn = [(label, pictures) for label, sheet in sheets if (pictures := _pictures(sheet))]
    first = drawn[0][1]
    names = [name for name in first if all(name in pictures for _, pictures in drawn)]
    rows = [
        Row(name, [first[name][0], first[name][2], *(pictures[name][1] for _, pictures in drawn)]) for name in names
    ]
    return rows, ["source", "target", *(label for label, _ in drawn)]


def _pictures(sheet: Path) -> Pictures:
    """Return source, fake and target by name."""
    _, samples = load_evaluation(sheet)
    thirds = (np.array_split(picture, 3, axis=1) for picture in samples.pictures)
    return {name: (third[0], third[1], third[2]) for name, third in zip(samples.names, thirds, strict=True)}
