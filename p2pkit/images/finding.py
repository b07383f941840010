"""The images below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from p2pkit.images.formats import head_of_path, is_image


def find_images(folder: Path, *, without: Path | None = None) -> list[Path]:
    """Find the images below a folder, sorted.

    Args:
        folder: Where to look; links to folders are not followed.
        without: A folder inside it that is left out.
    """
    left_out = without.resolve() if without is not None else None
    return sorted(path for path in _below(folder, left_out) if _is_image(path, folder))


def _below(folder: Path, left_out: Path | None) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and Path(place, name).resolve() != left_out]
        yield from (Path(place, name) for name in names)


def _is_image(path: Path, folder: Path) -> bool:
    return is_image(path.relative_to(folder), lambda: head_of_path(path))
