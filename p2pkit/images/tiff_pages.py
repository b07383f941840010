"""Which of a TIFF's images is meant, and whether it is one that can be read."""

from __future__ import annotations

from p2pkit.images.limits import check_size
from p2pkit.untyped import Untyped

PLAIN = ("MINISBLACK", "RGB")
"""Colours that need no other reader."""
BITS = (8, 16, 32, 64)


def chosen(tiff: Untyped, page: int | None) -> list[Untyped]:
    """Return the images of an open file, without smaller copies and masks, or the one that is meant.

    Raises:
        OSError: There is none of that number.
    """
    frames = [(series, series.keyframe) for series in tiff.series]
    images = [series for series, frame in frames if not (frame.is_reduced or frame.is_mask)]
    if page is not None and page >= len(images):
        raise OSError(f"holds {len(images)} images, from 0 to {len(images) - 1}, and none of number {page}")
    return images if page is None else images[page : page + 1]


def check_tiles(page: Untyped) -> None:
    """Refuse a page whose tiles can't be: decoders take memory by what it says of them.

    Raises:
        OSError: They are of more pixels than an image may have.
    """
    if page.is_tiled:
        check_size(page.tiledepth * page.tilelength, page.tilewidth)


def colours_of(frame: Untyped) -> str:
    """Return the kind of a page's colours, as TIFF calls it."""
    return str(getattr(frame.photometric, "name", frame.photometric))


def is_plain(frame: Untyped) -> bool:
    """Whether a page's values are what they are, in whole bytes."""
    return colours_of(frame) in PLAIN and frame.bitspersample in BITS
