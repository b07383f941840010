"""LZW in TIFFs, by libtiff: tifffile's own decoder reads memory that nobody wrote where a stream is damaged."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from p2pkit.untyped import Untyped

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LZW = 5
_SHORT, _LONG = 3, 4
_HEAD = 256
"""Bytes before the strip: room for all tags."""
_Decoded = tuple["NDArray[np.generic] | None", tuple[int, ...], tuple[int, ...]]


def by_libtiff(page: Untyped) -> None:
    """Let a page of tifffile's have its strips or tiles decoded by libtiff, if they are packed by LZW.

    Args:
        page: A page; it is changed.
    """
    if page.compression != _LZW:
        return
    placed = page.decode

    def decode(content: bytes | None, index: int, /, **how: Untyped) -> _Decoded:
        _, place, shape = placed(None, index, **how)
        return None if content is None else _decoded(page, content, shape), place, shape

    page.decode = decode


def _decoded(page: Untyped, content: bytes, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Decode one strip or tile, (depth, height, width, samples), as a file of its own."""
    import imagecodecs

    alone: NDArray[np.generic] = imagecodecs.tiff_decode(_head(page, len(content), shape) + content)
    return alone.reshape(shape)


def _head(page: Untyped, size: int, shape: tuple[int, ...]) -> bytes:
    """Return all of a TIFF of one strip but the strip itself, which comes right behind it."""
    order = page.parent.byteorder
    depth, rows, width, samples = shape
    height = depth * rows
    tags = [
        (256, _LONG, width),
        (257, _LONG, height),
        (258, _SHORT, page.bitspersample),
        (259, _SHORT, _LZW),
        (262, _SHORT, 1),  # colours are none of its business
        (266, _SHORT, page.fillorder),
        (273, _LONG, _HEAD),
        (277, _SHORT, samples),
        (278, _LONG, height),
        (279, _LONG, size),
        (317, _SHORT, page.predictor),
        (339, _SHORT, page.sampleformat),
    ]
    head = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(tags))
    for code, kind, value in tags:
        head += struct.pack(f"{order}HHIHxx" if kind == _SHORT else f"{order}HHII", code, kind, 1, value)
    return head.ljust(_HEAD, b"\0")
