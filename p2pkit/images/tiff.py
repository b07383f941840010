"""TIFF: any number of bands and pages, in the depth that they have, and where on earth they lie."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from p2pkit.images.limits import check_size
from p2pkit.untyped import Untyped

if TYPE_CHECKING:
    from numpy.typing import NDArray

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # its warnings are not for a user's screen

PLAIN = ("MINISBLACK", "RGB")
_GEOREFERENCE = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113)
_PIXEL_SCALE, _TIE_POINTS, _TRANSFORMATION = 33550, 33922, 34264
MADE_BY = "p2pkit write_image"
"""What files say of the software that wrote them."""
Tag = tuple[int, int, int, Untyped, bool]


def read_tiff(file: Path | IO[bytes]) -> NDArray[np.generic] | None:
    """Read all bands and pages as channels, (H, W) or (H, W, C); None where the colours are not plain ones.

    Raises:
        OSError: Pages are of different sizes, or the image is too large.
    """
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        pages = [page for page in tiff.series if not is_beside(page.keyframe)]
        first = pages[0]
        frame: Untyped = first.keyframe
        if frame.photometric.name not in PLAIN or frame.bitspersample not in (8, 16, 32, 64):
            return None
        if len(pages) > 1:
            shapes = " and ".join(" x ".join(map(str, page.shape)) for page in pages[:2])
            raise OSError(f"holds {len(pages)} images of different sizes, {shapes}; save the one that is meant")
        height, width = frame.imagelength, frame.imagewidth
        check_size(height, width, first.size // max(1, height * width))
        array = first.asarray()
        rows, columns = first.axes.index("Y"), first.axes.index("X")
        array = np.moveaxis(array, (rows, columns), (0, 1)).reshape(height, width, -1)
        orientation = frame.tags.get(274)
        array = _upright(array, int(orientation.value) if orientation is not None else 1)
    return array[..., 0] if array.shape[2] == 1 else array


def is_beside(frame: Untyped) -> bool:
    """Whether a page is a smaller copy or a mask of another one."""
    return bool(frame.is_reduced or frame.is_mask)


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
