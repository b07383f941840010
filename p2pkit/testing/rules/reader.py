"""Rules for readers of files."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from p2pkit.components import Reader
from p2pkit.testing.rule import Skip, require, rule
from p2pkit.testing.subject import Subject
from p2pkit.types import FileReader, ImageFile, optional

Ability = TypeVar("Ability")

_SHAPES = (5, 7), (6, 4, 3)
_TYPES = ("uint8", "uint16", "int16", "float32")


def _suffix(subject: Subject) -> str:
    component = subject.component
    assert isinstance(component, Reader)
    return component.suffixes[0]


@contextmanager
def _file(subject: Subject, name: str = "image") -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="p2pkit-testing-") as folder:
        yield Path(folder, f"{name}{_suffix(subject)}")


def _images() -> Iterator[NDArray[np.generic]]:
    dice = np.random.default_rng(0)
    for kind in _TYPES:
        for shape in _SHAPES:
            yield (dice.random(shape) * 200).astype(kind)


def _example(reader: FileReader, path: Path) -> None:
    """Write a small file: what the reader itself offers as an example, or an image."""
    example, write = optional.example(reader), optional.write(reader)
    if example is not None:
        example(path)
    elif write is not None:
        write(path, ImageFile(np.zeros((6, 4, 3), np.uint8)))
    else:
        raise Skip("it can't write, and has no `example(path)` that writes a small file")


def _read(reader: FileReader, path: Path) -> ImageFile:
    found: object = reader.read(path)
    require(isinstance(found, ImageFile), f"`read` returned a {type(found).__name__}: return a p2pkit.ImageFile.")
    assert isinstance(found, ImageFile)
    return found


@rule("reader")
def is_an_image(subject: Subject) -> None:
    """What it reads has two or three dimensions, of a volume four, the channels last, and holds numbers."""
    reader: FileReader = subject.build()
    with _file(subject) as path:
        _example(reader, path)
        pixels: object = _read(reader, path).pixels
    require(isinstance(pixels, np.ndarray), f"Its pixels are a {type(pixels).__name__}: return a NumPy array.")
    assert isinstance(pixels, np.ndarray)
    fits = pixels.ndim in (2, 3, 4) and pixels.dtype.kind in "biuf" and pixels.size > 0
    what = f"of shape {pixels.shape} and type {pixels.dtype}"
    require(fits, f"Its pixels are {what}: return (H, W) or (H, W, C) numbers, of a volume (D, H, W, C).")


@rule("reader")
def round_trip(subject: Subject) -> None:
    """What it writes it reads again: the same values, and what the file held beside them.

    A type or a number of channels that the format can't hold has to be refused, and not be narrowed.
    """
    reader: FileReader = subject.build()
    write = optional.write(reader)
    if write is None:
        raise Skip("it can't write")
    kept = 0
    with _file(subject) as path:
        for pixels in _images():
            path.unlink(missing_ok=True)
            try:
                write(path, ImageFile(pixels))
            except Exception:
                continue
            first = _read(reader, path)
            what = f"an image of shape {pixels.shape} and type {pixels.dtype}"
            same = np.array_equal(np.squeeze(first.pixels), np.squeeze(pixels))
            require(same, f"What it has written of {what} is read with other values: refuse what it can't hold.")
            write(path, first)
            again = _read(reader, path)
            require(
                np.array_equal(again.pixels, first.pixels), f"The file of {what}, read and written, has other values."
            )
            require(_alike(again.meta, first.meta), f"The `meta` of {what} is another once it was written and read.")
            kept += 1
    require(kept > 0, "It can write none of uint8, uint16, int16 and float32 with one or three channels.")


@rule("reader")
def damaged(subject: Subject) -> None:
    """It raises something for a file that is empty, and returns nothing else for one that is cut off."""
    reader: FileReader = subject.build()
    with _file(subject) as path:
        _example(reader, path)
        whole, content = _read(reader, path).pixels, path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with suppress(Exception):
            cut = reader.read(path).pixels
            require(cut.shape == whole.shape, "A file that was cut off is read as a smaller image: raise an error.")
        path.write_bytes(b"")
        try:
            reader.read(path)
        except Exception:
            return
    require(False, "An empty file is read as an image: raise an error.")


def _alike(first: object, second: object) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return bool(np.array_equal(first, second))
    return repr(first) == repr(second)


@contextmanager
def _able(
    subject: Subject, ability: Callable[[FileReader], Ability | None], without: str
) -> Iterator[tuple[FileReader, Ability, Path]]:
    """Yield a reader that can do a thing, what does it, and a file of its own; skip one that can't."""
    reader: FileReader = subject.build()
    able = ability(reader)
    if able is None:
        raise Skip(without)
    with _file(subject) as path:
        _example(reader, path)
        yield reader, able, path


_FOREIGN = (b"", b"\0", b"\x89PNG\r\n\x1a\n" + bytes(56), b"no image, but a line of text\n", bytes(4096))


@rule("reader")
def sniff(subject: Subject) -> None:
    """Where it tells files by how they begin, it knows its own, and says no to other files, empty ones too."""
    with _able(subject, optional.sniff, "it tells files by their names alone") as (_, asked, path):
        head = path.read_bytes()[:4096]
    require(asked(head) is True, "It does not know a file of its own by how it begins: return True.")
    own = subject.component.plugin == "p2pkit"  # whose pictures may be PNGs
    taken = [begins for begins in _FOREIGN if asked(begins) and not (own and begins)]
    require(not taken, f"It takes a file for its own that begins with {(taken or [b''])[0][:16]!r}.")


@rule("reader")
def rows(subject: Subject) -> None:
    """Where it opens files to be read by rows, these are the rows that it reads at once."""
    with _able(subject, optional.rows, "it reads files at once") as (reader, opened, path):
        whole = _read(reader, path).pixels
        whole = whole[..., None] if whole.ndim == 2 else whole
        with opened(path) as found:
            sizes = (found.height, found.width)
            require(sizes == whole.shape[:2], f"It says {sizes} of a file whose image is {whole.shape[:2]}.")
            part = found.read(1, found.height)
    require(np.array_equal(part, whole[1:]), "Rows that it reads differ from those of the whole image.")
