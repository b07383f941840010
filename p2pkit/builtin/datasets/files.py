"""Image files below a folder or in a .zip archive, which is read without unpacking."""

from __future__ import annotations

import io
import os
import stat
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Literal

from torch import Tensor

import p2pkit
from p2pkit.untyped import Untyped

SPLITS = ("train", "val", "test")
Half = Literal["whole", "left", "right"]
_LARGE = 2**26
_BEGINNING = 4096
LARGEST = 2**30
"""Bytes that are read of what an archive holds, which may be of zeros and compressed to nothing."""


@dataclass(frozen=True, slots=True)
class File:
    """One file.

    Args:
        root: The folder or archive it is in.
        name: Its path below `root`, with slashes.
        archived: Whether `root` is an archive.
        reader: Who reads it, where that is not told by its name and content.
    """

    root: Path
    name: str
    archived: bool = False
    reader: p2pkit.ReaderChoice | None = None

    def __str__(self) -> str:
        return readable(str(self.root / self.name))

    def read(self, *, indexed: bool = False) -> Tensor:
        """Read the image; `OSError` where that fails."""
        how: dict[str, Untyped] = {"indexed": indexed, "reader": self.reader}
        if not self.archived:
            return p2pkit.read_image(self.root / self.name, **how)
        try:
            archive = _open(self.root)
            size = archive.getinfo(self.name).file_size
            if size > LARGEST:
                raise OSError(f"is of {size} bytes when it is unpacked, more than the {LARGEST} that are read")
            if size > _LARGE:  # may be one that unpacks to more than memory holds
                with archive.open(self.name) as stream:
                    return p2pkit.read_image(stream, name=self.name, **how)
            content = archive.read(self.name)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, KeyError) as error:
            raise OSError(f"the archive's entry can't be read: {error}") from None
        return p2pkit.read_image(io.BytesIO(content), name=self.name, **how)

    def head(self) -> bytes:
        """Return how the file begins, by which a reader may know it; `OSError` where it can't be read."""
        return _head(self.root, self.name, self.archived)

    def fault(self) -> str:
        """Say what is wrong with the file as far as it can be told without reading it; empty for nothing."""
        try:
            size = _open(self.root).getinfo(self.name).file_size if self.archived else self._facts().st_size
        except (OSError, KeyError) as error:
            return str(getattr(error, "strerror", None) or error)
        return "" if size else "the file is empty"

    def _facts(self) -> os.stat_result:
        facts = (self.root / self.name).stat()
        if not stat.S_ISREG(facts.st_mode):
            raise OSError("is no file, but a folder, a pipe or a device")
        return facts

    def stamp(self) -> str:
        """Return a short text that changes when the file does, without reading it."""
        if self.archived:
            return f"{_open(self.root).getinfo(self.name).CRC:08x}"
        try:
            facts = (self.root / self.name).stat()
        except OSError:
            return "missing"
        return f"{facts.st_size}:{facts.st_mtime_ns}"


@dataclass(frozen=True, slots=True)
class FilePart:
    """An image on disk: a file, or one half of it.

    Args:
        file: The file.
        half: Which part of its width.
    """

    file: File
    half: Half = "whole"

    def cut(self, image: Tensor) -> Tensor:
        """Take this part of the file's image; `OSError` where it has no halves.

        Shape: (C, H, W) -> (C, H, W) or (C, H, W / 2).
        """
        return p2pkit.cut_half(image, self.half)


class Tree:
    """The images below a folder or in an archive; in an archive, one folder that holds all the rest is passed over.

    Args:
        root: A folder, or a .zip file.

    Raises:
        p2pkit.ComponentError: There is nothing of the kind.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser()
        self.archived = self.root.is_file()
        if not self.root.exists():
            near = next(parent for parent in self.root.absolute().parents if parent.exists())
            remedy = f"a relative path starts at the working directory; the nearest folder that exists is {near}"
            raise _blame(f"there is no folder or archive {self.root}", remedy)
        if self.archived and not zipfile.is_zipfile(self.root):
            raise _blame(f"{self.root} is neither a folder nor a .zip archive", "give the folder that holds the images")

    @cached_property
    def _entries(self) -> dict[str, str]:
        """The archive's images: path seen from outside -> name of the entry."""
        listed = [info.filename for info in _open(self.root).infolist() if not info.is_dir()]
        names = [name for name in listed if p2pkit.is_image(name, partial(_head, self.root, name, True))]
        tops = {PurePosixPath(name).parts[0] for name in names}
        wrapped = len(tops) == 1 and not tops & {*SPLITS, *names}
        return {name.partition("/")[2] if wrapped else name: name for name in names}

    def has(self, folder: str) -> bool:
        """Say whether there is such a folder."""
        if self.archived:
            return any(name.startswith(f"{folder}/") for name in self._entries)
        return (self.root / folder).is_dir()

    def folders(self, within: str = "") -> list[str]:
        """Return the names of the folders directly in the root or in a folder; hidden ones do not count."""
        if self.archived:
            prefix = f"{within}/" if within else ""
            below = [name.removeprefix(prefix) for name in self._entries if name.startswith(prefix)]
            return sorted({name.partition("/")[0] for name in below if "/" in name})
        place = self.root / within
        entries = place.iterdir() if place.is_dir() else ()
        return sorted(
            entry.name for entry in entries if entry.is_dir() and not entry.name.startswith((".", "__MACOSX"))
        )

    def count(self, folder: str = "", *, deep: bool = True) -> int:
        """Return how many images a folder holds."""
        return len(self._below(folder, deep))

    def images(self, folder: str = "", *, deep: bool = True) -> dict[str, File]:
        """Find the images of a folder.

        Args:
            folder: Path below the root.
            deep: Whether to look into folders inside it.

        Returns:
            Name (path below `folder` without suffix) -> file, sorted by name.

        Raises:
            p2pkit.ComponentError: There is none, or two have the same name.
        """
        place = self.root / folder
        found: dict[str, list[File]] = {}
        for path in self._below(folder, deep):
            name = self._entries[path] if self.archived else path
            key = readable(p2pkit.without_suffix(PurePosixPath(path).relative_to(folder or ".")).as_posix())
            found.setdefault(key, []).append(File(self.root, name, self.archived))
        if not found:
            listed = f"; its folders: {some(self.folders())}" if not folder and self.folders() else ""
            remedy = "" if folder else f", or in folders {', '.join(SPLITS)}"
            remedy = f"put images ({', '.join(sorted(p2pkit.IMAGE_SUFFIXES))}) there{remedy}"
            raise _blame(f"{place} holds no images{listed}", remedy)
        twice = [readable(file.name) for files in found.values() if len(files) > 1 for file in files]
        if twice:
            raise _blame(f"images of the same name in {place}: {some(twice)}", "keep one of each name")
        return {key: found[key][0] for key in sorted(found)}

    def _below(self, folder: str, deep: bool) -> list[str]:
        prefix = f"{PurePosixPath(folder)}/" if folder else ""
        if self.archived:
            below = [name for name in self._entries if name.startswith(prefix)]
            return below if deep else [name for name in below if "/" not in name.removeprefix(prefix)]
        found = p2pkit.files_below(self.root / folder, deep=deep)
        paths = (path.relative_to(self.root).as_posix() for path in found)
        return [path for path in paths if p2pkit.is_image(path, partial(_head, self.root, path, False))]


def _head(root: Path, name: str, archived: bool) -> bytes:
    if not archived:
        with (root / name).open("rb") if (root / name).is_file() else io.BytesIO() as file:
            return file.read(_BEGINNING)
    try:
        with _open(root).open(name) as entry:
            return entry.read(_BEGINNING)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise OSError(f"the archive's entry can't be read: {error}") from None


def some(names: list[str], most: int = 8) -> str:
    """Join the first few names and say how many there are.

    Args:
        names: All of them.
        most: How many are shown.
    """
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def readable(name: str) -> str:
    """Return a name in which bytes that are no text are spelt out, and letters that have two spellings have one."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)


def _open(path: Path) -> zipfile.ZipFile:
    return _archive(path, path.stat().st_mtime_ns, os.getpid())


@lru_cache(maxsize=8)
def _archive(path: Path, changed: int, process: int) -> zipfile.ZipFile:
    """Keep archives open, since listing them is slow, but never share an open one with a forked process."""
    return zipfile.ZipFile(path)


def _blame(cause: str, remedy: str) -> p2pkit.ComponentError:
    return p2pkit.ComponentError(cause, remedy=remedy, parameter="root")
