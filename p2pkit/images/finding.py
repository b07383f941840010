"""What lies below a folder: one walk for data sets, translating and scoring."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from p2pkit.images.formats import head_of_path, is_image
from p2pkit.images.listing import is_hidden

_Identity = tuple[int, int]


def find_images(folder: Path, *, without: Path | None = None) -> list[Path]:
    """Find the images below a folder, sorted.

    Args:
        folder: Where to look.
        without: A folder inside it that is left out.
    """
    return sorted(path for path in files_below(folder, without=without) if _is_image(path, folder))


def files_below(folder: Path, *, deep: bool = True, without: Path | None = None) -> Iterator[Path]:
    """Yield the files below a folder, but for those of hidden folders; links to folders are followed, never in circles.

    Args:
        folder: Where to look.
        deep: Whether to look into the folders inside it.
        without: A folder inside it that is left out, by whichever name it is come upon.
    """
    left_out = _identity(without) if without is not None else None
    above = {os.fspath(folder): {_identity(folder)}}
    for place, folders, names in os.walk(folder, followlinks=True):
        held = above.pop(place)
        inside = {name: _identity(Path(place, name)) for name in folders if deep and not is_hidden(name)}
        folders[:] = [name for name, own in inside.items() if own not in (left_out, None) and own not in held]
        above |= {os.path.join(place, name): {*held, inside[name]} for name in folders}
        yield from (Path(place, name) for name in names)


def _identity(folder: Path) -> _Identity | None:
    """Return what a folder is by whichever name; None where it is not there, or nobody may look at it."""
    with suppress(OSError):
        facts = folder.stat()
        return facts.st_dev, facts.st_ino
    return None


def _is_image(path: Path, folder: Path) -> bool:
    return is_image(path.relative_to(folder), lambda: head_of_path(path))
