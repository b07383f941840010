"""TIFF: any number of bands and pages, in the depth that they have, and where on earth they lie."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from p2pkit.images.codec import MADE_BY, Codec, Tag, Written
from p2pkit.images.limits import check_size
from p2pkit.images.lzw import by_libtiff
from p2pkit.images.tiff_pages import BITS, PLAIN, check_tiles, chosen, colours_of, is_plain
from p2pkit.images.tiff_windows import TiffRows
from p2pkit.types import FileRows
from p2pkit.untyped import Untyped

if TYPE_CHECKING:
    from numpy.typing import NDArray

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its warnings are not for a user's screen

_INVERTED = "MINISWHITE"
_PACKED = 12
_RPC = 50844
_GEOREFERENCE = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113, _RPC)
_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION = 33550, 33922, 34264
_RPC_ROWS, _RPC_COLUMNS = (2, 7), (3, 8)
"""Where in it a rational polynomial's offset and scale of lines, and of samples, stand."""
_BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


class Tiff(Codec):
    """TIFF and BigTIFF of any depth: all bands and pages are channels; a georeference is kept.

    Args:
        page: Which of a file's images is taken, where they are of different sizes, from 0.
    """

    suffixes = (".tif", ".tiff")

    def __init__(
        self,
        *,
        page: Annotated[
            int | None,
            Field(ge=0, description="Which of a file's images is taken, from 0; null: the one that there is."),
        ] = None,
    ) -> None:
        self.page = page

    def sniff(self, head: bytes) -> bool:
        """Say whether it begins as a TIFF does."""
        return head[:4] in _BEGINNINGS

    def decode(self, file: IO[bytes]) -> NDArray[np.generic] | None:
        """Read all bands and pages; None where the colours are not plain ones."""
        return read_tiff(file, self.page)

    def keeps(self, kind: np.dtype[np.generic], channels: int, suffix: str) -> bool:
        """It keeps all."""
        return True

    def encode(self, file: IO[bytes], array: NDArray[np.generic], suffix: str, beside: Written) -> None:
        """Write an image (H, W, C) with its place on earth and its colours' profile."""
        write_tiff(file, array, beside.tags, beside.profile)

    def rows(self, path: Path) -> FileRows:
        """Open a file to read any of its rows without the others.

        Raises:
            OSError: It can't be read by rows.
        """
        return TiffRows(path, self.page)


def read_tiff(file: Path | IO[bytes], page: int | None = None) -> NDArray[np.generic] | None:
    """Read all bands and pages as channels, (H, W) or (H, W, C); None where the colours are not plain ones.

    Raises:
        OSError: Pages are of different sizes and none is chosen, or the image is too large.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        pages = chosen(tiff, page)
        first = pages[0]
        frame: Untyped = first.keyframe
        inverted = colours_of(frame) == _INVERTED
        if not (is_plain(frame) or (inverted and frame.bitspersample in BITS)):
            _check_depth(frame)
            return None
        if len(pages) > 1:
            shapes = " and ".join(" x ".join(map(str, page.shape)) for page in pages[:2])
            remedy = "save the one that is meant, or name its page: {use: tiff, params: {page: 0}}"
            raise OSError(f"holds {len(pages)} images of different sizes, {shapes}; {remedy}")
        height, width = frame.imagelength, frame.imagewidth
        check_size(height, width, first.size // max(1, height * width))
        check_tiles(frame)
        for each in {id(page.keyframe): page.keyframe for page in first.pages if page is not None}.values():
            by_libtiff(each)
        array = first.asarray()
        rows, columns = first.axes.index("Y"), first.axes.index("X")
        array = np.moveaxis(array, (rows, columns), (0, 1)).reshape(height, width, -1)
        orientation = frame.tags.get(274)
        array = _upright(array, int(orientation.value) if orientation is not None else 1)
        if inverted and array.dtype.kind == "u":
            np.invert(array, out=array)
    return array[..., 0] if array.shape[2] == 1 else array


def _check_depth(frame: Untyped) -> None:
    """Refuse values of which Pillow, which knows more kinds of colours, would leave 8 bits."""
    bits = frame.bitspersample
    packed_greys = colours_of(frame) in PLAIN and bits == _PACKED and frame.samplesperpixel == 1
    if isinstance(bits, tuple) or (bits > 8 and not packed_greys):
        raise OSError(
            f"is a TIFF of {colours_of(frame)} in {bits} bits, which can't be read; save it as RGB of 16 bits"
        )


def _upright(array: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    flips = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}.get(orientation, ())
    return np.flip(array, flips) if flips else array


def read_georeference(file: Path | IO[bytes]) -> list[Tag]:
    """Return the tags that say where on earth a TIFF lies, and which of its values mean that nothing is known."""
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        tags = tiff.pages.first.tags
        found = [tags[code] for code in _GEOREFERENCE if code in tags]
        return [(tag.code, int(tag.dtype), tag.count, tag.value, True) for tag in found]


def rescaled(tags: list[Tag], rows: float, columns: float) -> list[Tag]:
    """Return the tags of the same place in pixels that are `rows` times as high and `columns` times as wide."""
    changed = []
    for code, kind, count, value, once in tags:
        numbers = list(value) if isinstance(value, tuple) else value
        if code == _PIXEL_SCALE:
            numbers[0], numbers[1] = numbers[0] * columns, numbers[1] * rows
        elif code == _TIE_POINTS:
            numbers = [n / (columns, rows)[i % 6] if i % 6 < 2 else n for i, n in enumerate(numbers)]
        elif code == _TRANSFORMATION:
            numbers = [n * (columns, rows)[i % 4] if i % 4 < 2 else n for i, n in enumerate(numbers)]
        elif code == _RPC:
            apart = dict.fromkeys(_RPC_ROWS, rows) | dict.fromkeys(_RPC_COLUMNS, columns)
            numbers = [n / apart.get(i, 1) for i, n in enumerate(numbers)]
        changed.append((code, kind, count, tuple(numbers) if isinstance(numbers, list) else numbers, once))
    return changed


def write_tiff(file: Path | IO[bytes], array: NDArray[np.generic], tags: list[Tag], profile: bytes = b"") -> None:
    """Write an image (H, W, C) of any depth and number of bands, with its place on earth and its colours' profile."""
    import tifffile

    channels = array.shape[2]
    squeezed = array[..., 0] if channels == 1 else array
    colour = "rgb" if channels in (3, 4) and array.dtype == np.uint8 else "minisblack"
    layout: dict[str, Untyped] = {"planarconfig": "contig"} if channels > 1 else {}
    layout |= {"iccprofile": profile} if profile else {}
    tifffile.imwrite(file, squeezed, photometric=colour, metadata=None, software=MADE_BY, extratags=tags, **layout)
