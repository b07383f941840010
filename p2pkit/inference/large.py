"""TIFFs that are too large to be read at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from p2pkit.images.convert import stored_type, to_stored
from p2pkit.images.files import image_tensor, writing_whole
from p2pkit.images.formats import reader_of
from p2pkit.images.reading import read_source
from p2pkit.images.tiff import Tiff, read_georeference
from p2pkit.images.tiff_windows import TiffShape, write_rows
from p2pkit.inference.jobs import TIFF, Job
from p2pkit.inference.tiles import WHOLE, Rows, Tiling
from p2pkit.types import FileRows, ImageSpec, PairSpec, optional

_ROWS = 64
"""Rows of a large image that become stored values at a time."""


@dataclass(frozen=True)
class LargeTiff:
    """A TIFF that is read, translated and written by rows.

    Args:
        path: The file.
        images: What the network was trained on.
        height: Its rows.
        width: Its columns.
        levels: Smaller copies that it holds.
        compressed: Whether it is packed.
    """

    path: Path
    images: PairSpec
    height: int
    width: int
    levels: int
    compressed: bool

    @classmethod
    def found(cls, job: Job, images: PairSpec, tiling: Tiling) -> LargeTiff | None:
        """Return the source of a job if it is a TIFF that is too large to be translated at once.

        Raises:
            OSError: It is, and it can't be read by rows.
        """
        path = job.sources[0]
        tiffs = path.suffix.lower() in TIFF and job.out.suffix.lower() in TIFF
        if len(job.sources) > 1 or not tiffs or not tiling.tile or _pixels(path) <= WHOLE:
            return None
        if images.reading.half != "whole" or images.reading.edges is not None or images.reading.percentiles:
            return None
        with _opened(path, images) as rows:
            return cls(path, images, rows.height, rows.width, rows.levels, rows.compressed)

    @contextmanager
    def rows(self) -> Iterator[Rows]:
        """Open the file, and give what returns its rows as stored."""
        with _opened(self.path, self.images) as stored:
            yield lambda first, last: image_tensor(stored.read(first, last))

    def see(self, part: Tensor) -> Tensor:
        """Turn a part of the file into what the network sees; what it shows can't be told by a part."""
        anything = replace(self.images, reading=replace(self.images.reading, painted=()))
        return read_source(part, anything)

    def write(self, out: Path, fakes: Iterable[Tensor]) -> Path:
        """Write a fake by its rows, with the source's georeference and as many smaller copies.

        Args:
            out: The file.
            fakes: Its rows in parts, as the network makes them.

        Raises:
            OSError: It can't be written.
        """
        target = self.images.target
        shape = TiffShape(self.height, self.width, _channels(target), _kind(target), target.kind == "labels")
        rows = (few.permute(1, 2, 0).numpy() for few in _stored_rows(fakes, target))
        with writing_whole(out) as partial:
            tags = read_georeference(self.path)
            write_rows(partial, rows, shape, tags, levels=self.levels, compressed=self.compressed)
        return out


def _stored_rows(fakes: Iterable[Tensor], target: ImageSpec) -> Iterator[Tensor]:
    """Yield the rows of a fake as stored, a few at a time; those that are done are let go of before more are made."""
    for fake in fakes:
        for first in range(0, fake.shape[1], _ROWS):
            yield to_stored(fake[None, :, first : first + _ROWS], target)[0]
        del fake


def _opened(path: Path, images: PairSpec) -> FileRows:
    """Open a file as the data set reads its sources."""
    rows = optional.rows(reader_of(path, choice=images.reading.reader) or Tiff())
    if rows is None:
        raise OSError("is too large to be read at once, and its reader does not read by rows")
    return rows(path)


def _pixels(path: Path) -> int:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        return int(page.imagelength * page.imagewidth)


def _channels(spec: ImageSpec) -> int:
    return 1 if spec.kind == "labels" else spec.channels


def _kind(spec: ImageSpec) -> np.dtype[np.generic]:
    return np.dtype(torch.empty(0, dtype=stored_type(spec)).numpy().dtype)
