"""Sources as networks see them, read from files, and what their fakes keep of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, get_args

import torch
from torch import Tensor

from p2pkit.errors import DataError, Problem
from p2pkit.images.beside import Beside, read_beside
from p2pkit.images.codec import Tag, head_of
from p2pkit.images.files import read_with_meta
from p2pkit.images.formats import memory_choice
from p2pkit.images.reading import Given, read_source, source_part
from p2pkit.images.tiff import read_georeference, rescaled
from p2pkit.inference.companions import Companions, Input
from p2pkit.types import PairSpec
from p2pkit.untyped import Plain


def check_asked(given: str, size: Sequence[int] | None = None) -> None:
    """Make sure that files can be read as it is asked for.

    Raises:
        DataError: There is no such thing to say of them, or no such size.
    """
    kinds = get_args(Given)
    if given not in kinds:
        raise DataError(Problem("given", f"files are never {given!r}", f"say one of {', '.join(kinds)}"))
    two = isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)
    if size is not None and not two:
        raise DataError(Problem("size", f"{size!r} is no height and width", "write two numbers of pixels, (256, 256)"))


@dataclass(frozen=True, slots=True)
class Taken:
    """A source that was read, and what its fake keeps of the file.

    Args:
        source: What the network is given, with what stands beside it.
        tags: A TIFF's place on earth.
        beside: What is beside the pixels.
        meta: The same of a plugin's format.
    """

    source: Input
    tags: list[Tag]
    beside: Beside
    meta: object = None


@dataclass(frozen=True)
class Sources:
    """How the sources of a network are made.

    Args:
        images: What it was trained on.
        companions: What it takes beside a source.
    """

    images: PairSpec
    companions: Companions

    @property
    def alone(self) -> Sources:
        """The same, without what stands beside a source."""
        return replace(self, companions=replace(self.companions, specs={}, needed=frozenset()))

    def read(
        self,
        files: Sequence[Path | IO[bytes]],
        kinds: tuple[str, str],
        *,
        given: Given = "auto",
        size: tuple[int, int] | None = None,
        extras: Plain | None = None,
        seed: int = 0,
    ) -> Taken:
        """Read the files of one source.

        Args:
            files: Paths or open files.
            kinds: The suffixes of the first one and of the fake's file.
            given: As for `Translator.translate`.
            size: Height and width to resize it to.
            extras: What stands beside it.
            seed: What noise is drawn by.

        Raises:
            OSError: They can't be read, or can't be made a source.
            DataError: What stands beside it is not what the network takes.
        """
        indexed = self.images.source.kind == "labels"
        held = [self._held(file, indexed, kinds[0]) for file in files]
        stored = [image for image, _ in held]
        source = self.make(stored, given, size)
        for file in files:
            if not isinstance(file, Path):
                file.seek(0)
        part = source_part(stored[0], self.images.reading, given)
        tags = self._tags(files[0], kinds, part, source) if part.shape == stored[0].shape else []
        shape = source.shape[1:]
        beside = read_beside(files[0], kinds, part, self.images, shape)
        kept = shape in (stored[0].shape[1:], (1, *stored[0].shape[1:])) and kinds[0] == kinds[1]
        return Taken(self.companions.read(source, extras or {}, seed), tags, beside, held[0][1] if kept else None)

    def _held(self, file: Path | IO[bytes], indexed: bool, kind: str) -> tuple[Tensor, object]:
        """Read a file as the data set did; what was sent, and lies nowhere, by p2pkit's own readers."""
        name, chosen = f"sent{kind}", self.images.reading.reader
        if not isinstance(file, Path):
            chosen = memory_choice(name, partial(head_of, file), chosen)
        return read_with_meta(file, indexed=indexed, name=name, reader=chosen)

    def make(self, stored: Sequence[Tensor], given: Given, size: tuple[int, int] | None) -> Tensor:
        """Return what the network is given of stored images.

        Raises:
            OSError: They can't be made a source.

        Shape: (C, H, W) each -> (C_source, H, W) in [-1, 1].
        """
        if len(stored) == 1:
            return read_source(stored[0], self.images, given=given, size=size)
        spec = self.images.source
        wanted = self.images.reading.stacked or tuple(image.shape[0] for image in stored)
        if len(wanted) != len(stored) or sum(wanted) != spec.channels:
            raise OSError(f"{len(stored)} files do not make a source of {spec.channels} channels")
        each = [replace(self.images, source=replace(spec, channels=channels)) for channels in wanted]
        parts = [read_source(image, images, given=given, size=size) for image, images in zip(stored, each, strict=True)]
        if any(part.shape[1:] != parts[0].shape[1:] for part in parts):
            raise OSError("the files of one source are of different sizes; say --size")
        return torch.cat(parts)

    def _tags(self, file: Path | IO[bytes], kinds: tuple[str, str], stored: Tensor, source: Tensor) -> list[Tag]:
        """Where on earth the fake of a TIFF lies."""
        if not set(kinds) <= {".tif", ".tiff"}:
            return []
        tags = read_georeference(file)
        if not tags:
            return []
        height, width = stored.shape[-2] / source.shape[-2], stored.shape[-1] / source.shape[-1]
        return tags if height == width == 1 else rescaled(tags, height, width)
