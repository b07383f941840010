"""Formats of image files that plugins read and write, by what a name ends with."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING

from p2pkit.errors import first_line
from p2pkit.images.limits import check_size
from p2pkit.images.listing import SUFFIXES, suffix_of
from p2pkit.types import FileReader, ImageFile, optional

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Make = Callable[[], FileReader]
_READERS: dict[str, dict[str, Make]] = {}
"""By suffix, and by the reader's full name, what makes the reader."""
_MADE: dict[tuple[str, Make], FileReader] = {}


def register(suffix: str, name: str, make: Make) -> None:
    """Let files whose names end so be read by a plugin's reader.

    Args:
        suffix: What names end with, in lower case.
        name: The reader's full name; one of the same name is replaced.
        make: Makes the reader, when the first file is read.
    """
    _READERS.setdefault(suffix, {})[name] = make
    SUFFIXES.add(suffix)


def reader_of(name: str | PurePath) -> FileReader | None:
    """Return the reader for files of a name; None where p2pkit reads them itself, or nobody does.

    Raises:
        OSError: Several plugins read such files, or the reader can't be made.
    """
    suffix = suffix_of(name)
    offered = _READERS.get(suffix, {})
    if len(offered) > 1:
        raise OSError(f"{' and '.join(sorted(offered))} both read {suffix} files; block one of them in registry.yaml")
    for full_name, make in offered.items():
        key = (full_name, make)
        if key not in _MADE:
            with _told_of(full_name, "can't be made"):
                _MADE[key] = make()
        return _MADE[key]
    return None


def writes(name: str | PurePath) -> bool:
    """Say whether a plugin's reader writes files of a name too."""
    reader = reader_of(name)
    return reader is not None and optional.write(reader) is not None


def read_by(reader: FileReader, file: Path | IO[bytes], suffix: str) -> ImageFile:
    """Let a plugin's reader read a file.

    Args:
        reader: The reader.
        file: A path, or an open file, whose content is then written to a file of its own.
        suffix: What the file's name ends with.

    Raises:
        OSError: The file can't be read; whatever the reader raises becomes one.
    """
    import numpy as np  # not where names are listed: it takes long

    if not isinstance(file, Path):
        with tempfile.TemporaryDirectory(prefix="p2pkit-") as folder:
            copy = Path(folder, f"image{suffix}")
            copy.write_bytes(file.read())
            return read_by(reader, copy, suffix)
    file.stat()  # its own error says more than the reader's
    with _told_of(suffix, "files' reader"):
        found: object = reader.read(file)
        image = found if isinstance(found, ImageFile) else ImageFile(np.asarray(found))
    if image.pixels.ndim in (2, 3):
        check_size(*image.pixels.shape)
    return image


def write_by(reader: FileReader, path: Path, pixels: NDArray[np.generic], meta: object) -> None:
    """Let a plugin's reader write a file.

    Args:
        reader: The reader.
        path: Where to.
        pixels: (H, W) or (H, W, C).
        meta: What the file that the image was made of held beside its pixels; None for nothing.

    Raises:
        OSError: It can't be written.
    """
    write = optional.write(reader)
    if write is None:
        raise OSError(f"{suffix_of(path)} files can be read, but not written")
    with _told_of(suffix_of(path), "files' reader"):
        write(path, ImageFile(pixels, meta))


@contextmanager
def _told_of(whose: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # a plugin may raise anything
        raise OSError(f"{whose} {what}: {first_line(error, typed=True)}") from error
