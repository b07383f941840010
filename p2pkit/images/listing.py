"""Which names are those of images: one rule for data sets, translating and scoring."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import TypeVar

P = TypeVar("P", bound=PurePath)

_COMMON = (".png", ".jpg", ".jpeg", ".jfif", ".webp", ".avif", ".bmp", ".gif", ".tga")
IMAGE_SUFFIXES = frozenset({*_COMMON, ".jp2", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".npy", ".exr"})
"""What names of image files end with; in lower case."""
VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm"})
"""The same of videos, which are translated where they are named; a folder of images may hold others."""


SUFFIXES = set(IMAGE_SUFFIXES)
"""These, and those that plugins read."""


def suffix_of(path: str | PurePath) -> str:
    """Return what the name of a file ends with, in lower case: all of `.nii.gz` where a plugin reads such files."""
    name = PurePath(path).name.lower()
    known = [suffix for suffix in SUFFIXES if name.endswith(suffix) and len(name) > len(suffix)]
    return max(known, key=len, default=PurePath(name).suffix)


def without_suffix(path: P) -> P:
    """Return a path without what its name ends with."""
    suffix = suffix_of(path)
    return path.with_name(path.name[: -len(suffix)]) if suffix else path


def is_image_name(path: str | PurePath) -> bool:
    """Say whether a path below a folder is one of an image; hidden files and folders and those of archivers are not.

    Args:
        path: The path from the folder that was given, whose own name does not count.
    """
    pure = PurePath(path)
    hidden = any(part.startswith((".", "__MACOSX")) for part in pure.parts)
    return suffix_of(pure) in SUFFIXES and not hidden


def find_images(folder: Path, *, without: Path | None = None) -> list[Path]:
    """Find the images below a folder, sorted.

    Args:
        folder: Where to look; links to folders are not followed.
        without: A folder inside it that is left out.
    """
    left_out = without.resolve() if without is not None else None
    return sorted(path for path in _below(folder, left_out) if is_image_name(path.relative_to(folder)))


def _below(folder: Path, left_out: Path | None) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and Path(place, name).resolve() != left_out]
        yield from (Path(place, name) for name in names)


def image_key(path: PurePath) -> str:
    """Return a path without its suffix, as images are matched: one spelling for letters that have two."""
    return unicodedata.normalize("NFC", without_suffix(path).as_posix())
