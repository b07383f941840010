"""TIFFs that are larger than memory: read by rows, and written tile by tile with their pyramid."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from p2pkit.images.codec import MADE_BY, Tag
from p2pkit.images.lzw import by_libtiff
from p2pkit.images.tiff_pages import check_tiles, chosen, is_plain
from p2pkit.untyped import Untyped

if TYPE_CHECKING:
    from types import TracebackType

    from numpy.typing import NDArray

_SIDE = 256
_FEW = 16
"""Rows whose means are taken at a time: as floats they are eight times as large."""
_BIG = 2**31
"""Bytes from which on a file is a BigTIFF; what a plain one can address, halved."""


class TiffRows:
    """A TIFF of which any rows can be had without reading the others.

    Args:
        path: The file.
        page: Which of its images, as for the reader `tiff`.

    Raises:
        OSError: It can't be read by rows.
    """

    def __init__(self, path: Path, page: int | None = None) -> None:
        import tifffile

        self._file = tifffile.TiffFile(path)
        series = chosen(self._file, page)
        first: Untyped = series[0].keyframe
        turned = first.tags.get(274) is not None and first.tags[274].value != 1
        if len(series) > 1 or turned or not is_plain(first) or first.imagedepth > 1:
            self._file.close()
            raise OSError("is too large to be read at once, and not of a kind that can be read by rows")
        try:
            check_tiles(first)
        except OSError:
            self._file.close()
            raise
        pages: Untyped = series[0].pages
        self._pages: list[Untyped] = [page.aspage() for page in pages]
        for each in self._pages:
            by_libtiff(each)
        self.height: int = first.imagelength
        self.width: int = first.imagewidth
        self.channels: int = first.samplesperpixel * len(self._pages)
        self.compressed = bool(first.compression != 1)
        every: Untyped = self._file.pages
        beside = sum(bool(page.keyframe.is_reduced) for page in every)
        self.levels = max(len(series[0].levels) - 1, beside)

    def __enter__(self) -> TiffRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def read(self, first: int, last: int) -> NDArray[np.generic]:
        """Read rows from `first` to before `last`.

        Shape: (last - first, W, C).
        """
        pages = [self._of_page(page, first, last) for page in self._pages]
        return pages[0] if len(pages) == 1 else np.concatenate(pages, axis=2)

    def _of_page(self, page: Untyped, first: int, last: int) -> NDArray[np.generic]:
        apart = page.planarconfig == 2 and page.samplesperpixel > 1
        samples = 1 if apart else page.samplesperpixel
        planes = page.samplesperpixel if apart else 1
        made = np.zeros((planes, last - first, self.width, samples), page.dtype)
        if page.is_memmappable:
            row = self.width * samples * page.dtype.itemsize
            for plane in range(planes):
                self._file.filehandle.seek(page.dataoffsets[0] + (plane * self.height + first) * row)
                content = self._file.filehandle.read((last - first) * row)
                kind = page.dtype.newbyteorder(self._file.byteorder)
                made[plane] = np.frombuffer(content, kind).reshape(made[plane].shape)
        else:
            for index in self._segments(page, planes, first, last):
                self._decode(page, index, made, first)
        return np.moveaxis(made, 0, 2).reshape(last - first, self.width, -1)

    def _segments(self, page: Untyped, planes: int, first: int, last: int) -> Iterator[int]:
        """Number the strips or tiles that hold some of the rows."""
        side = page.tilelength if page.is_tiled else page.rowsperstrip
        across = math.ceil(self.width / page.tilewidth) if page.is_tiled else 1
        down = math.ceil(self.height / side)
        for plane in range(planes):
            for row in range(first // side, math.ceil(last / side)):
                yield from ((plane * down + row) * across + column for column in range(across))

    def _decode(self, page: Untyped, index: int, made: NDArray[np.generic], first: int) -> None:
        handle = self._file.filehandle
        if not page.databytecounts[index]:
            return
        handle.seek(page.dataoffsets[index])
        content = handle.read(page.databytecounts[index])
        tables = {} if page.jpegtables is None else {"jpegtables": page.jpegtables}
        segment, (plane, _, top, left, _), (_, height, width, _) = page.decode(content, index, **tables)
        if segment is None:
            return
        begin, end = max(first, top), min(first + made.shape[1], top + height, self.height)
        width = min(width, self.width - left)
        rows = segment[0, begin - top : end - top, :width]
        made[plane, begin - first : end - first, left : left + width] = rows


@dataclass(frozen=True)
class TiffShape:
    """What a TIFF is that is written by rows.

    Args:
        height: Rows.
        width: Columns.
        channels: Bands.
        kind: Type of the values.
        classes: Whether the values are indices of classes, which have no means.
    """

    height: int
    width: int
    channels: int
    kind: np.dtype[np.generic]
    classes: bool = False

    def half(self) -> TiffShape:
        """Return the next level of its pyramid."""
        return replace(self, height=self.height // 2, width=self.width // 2)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes unpacked."""
        return self.height * self.width * self.channels * self.kind.itemsize


def write_rows(
    path: Path, rows: Iterator[NDArray[np.generic]], shape: TiffShape, tags: list[Tag], *, levels: int, compressed: bool
) -> None:
    """Write a tiled TIFF whose rows come one after another, of which few are held.

    Args:
        path: The file.
        rows: Its rows, (h, W, C) each.
        shape: What it is.
        tags: Its place on earth.
        levels: Smaller copies, each of half the size.
        compressed: Whether it is packed.

    Raises:
        OSError: The disk refuses it.
    """
    import tifffile

    colour = "rgb" if shape.channels in (3, 4) and shape.kind == np.uint8 else "minisblack"
    layout: dict[str, Untyped] = {"planarconfig": "contig"} if shape.channels > 1 else {}
    if compressed:
        layout |= {"compression": "adobe_deflate", "predictor": True}
    levels = min(levels, int(math.log2(min(shape.height, shape.width))))
    own: dict[str, Untyped] = {"software": MADE_BY, "extratags": tags}
    with (
        tempfile.TemporaryDirectory(dir=path.parent) as temporary,
        tifffile.TiffWriter(path, bigtiff=shape.nbytes > _BIG) as file,
    ):
        for level in range(levels + 1):
            smaller = Path(temporary, str(level)) if level < levels else None
            tiles = _tiles(rows if smaller is None else _halved(rows, smaller, shape), shape)
            form = (shape.height, shape.width, *([shape.channels] if shape.channels > 1 else []))
            kind = {"subfiletype": 1} if level else own
            side = (_SIDE, _SIDE)
            file.write(
                tiles, shape=form, dtype=shape.kind, tile=side, photometric=colour, metadata=None, **kind, **layout
            )
            if smaller is not None:
                shape = shape.half()
                rows = _stored(smaller, shape)


def _tiles(rows: Iterator[NDArray[np.generic]], shape: TiffShape) -> Iterator[NDArray[np.generic]]:
    """Cut rows into tiles, those at the ends filled up with zeros."""
    for band in _bands(rows, _SIDE):
        down, right = _SIDE - band.shape[0], -shape.width % _SIDE
        full = np.pad(band, ((0, down), (0, right), (0, 0))) if down or right else band
        for left in range(0, full.shape[1], _SIDE):
            tile = full[:, left : left + _SIDE]
            yield np.ascontiguousarray(tile[..., 0] if shape.channels == 1 else tile)


def _bands(rows: Iterator[NDArray[np.generic]], height: int) -> Iterator[NDArray[np.generic]]:
    """Join and cut rows so that each band has a height; the last one may be lower."""
    held: list[NDArray[np.generic]] = []
    count = 0
    for some in rows:
        held.append(some)
        count += some.shape[0]
        while count >= height:
            joined = np.concatenate(held) if len(held) > 1 else held[0]
            yield joined[:height]
            held, count = [joined[height:]], count - height
    if count:
        yield np.concatenate(held)


def _halved(rows: Iterator[NDArray[np.generic]], file: Path, shape: TiffShape) -> Iterator[NDArray[np.generic]]:
    """Pass rows on, and append every four pixels' mean to a file; of classes one of the four."""
    with file.open("wb") as smaller:
        for band in _bands(rows, _SIDE):
            yield band
            for first in range(0, band.shape[0], _FEW):
                smaller.write(_half(band[first : first + _FEW], shape.classes).tobytes())


def _half(rows: NDArray[np.generic], classes: bool) -> NDArray[np.generic]:
    height, width = rows.shape[0] // 2, rows.shape[1] // 2
    even = rows[: 2 * height, : 2 * width]
    if classes:
        return even[::2, ::2]
    means: NDArray[np.float64] = even.astype(np.float64).reshape(height, 2, width, 2, -1).mean((1, 3))
    return (means.round() if np.issubdtype(rows.dtype, np.integer) else means).astype(rows.dtype)


def _stored(file: Path, shape: TiffShape) -> Iterator[NDArray[np.generic]]:
    row = shape.width * shape.channels
    with file.open("rb") as stored:
        for first in range(0, shape.height, _SIDE):
            count = min(_SIDE, shape.height - first) * row
            yield np.fromfile(stored, shape.kind, count).reshape(-1, shape.width, shape.channels)
    file.unlink()
