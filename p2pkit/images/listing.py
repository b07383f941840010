"""Which names are those of images: one rule for data sets, translating and scoring."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import PurePath
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
    """Return what the name of a file ends with, in lower case: all of `.nii.gz` where a plugin reads such files.

    A number is no suffix: files of DICOM are called 1.2.840.1.
    """
    name = PurePath(path).name.lower()
    known = [suffix for suffix in SUFFIXES if name.endswith(suffix) and len(name) > len(suffix)]
    ends = PurePath(name).suffix
    return max(known, key=len, default="" if ends[1:].isdecimal() else ends)


def without_suffix(path: P) -> P:
    """Return a path without what its name ends with."""
    suffix = suffix_of(path)
    return path.with_name(path.name[: -len(suffix)]) if suffix else path


def is_image_name(path: str | PurePath) -> bool:
    """Say whether a path below a folder is one of an image; hidden files and folders and those of archivers are not.

    Args:
        path: The path from the folder that was given, whose own name does not count.
    """
    return suffix_of(path) in SUFFIXES and not is_hidden(path)


def is_hidden(path: str | PurePath) -> bool:
    """Say whether a path below a folder is hidden, or an archiver's own."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePath(path).parts)


def hashed_share(name: str) -> float:
    """Return a number from 0 to 1 that is a name's own, for splits in which further names move none of the others.

    Args:
        name: The name; by a hash of it the numbers of many are spread evenly, and are the same everywhere.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64


def image_key(path: PurePath) -> str:
    """Return a path without its suffix, as images are matched: one spelling for letters that have two."""
    return unicodedata.normalize("NFC", without_suffix(path).as_posix())
