"""PNG in 16 bits of several channels, which Pillow narrows to 8."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from p2pkit.images.codec import MADE_BY

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AFTER_HEADER = 33


def deep_png(array: NDArray[np.generic]) -> bytes:
    """Encode an image (H, W, C) of uint16, and note by what it was made."""
    import imagecodecs

    encoded = bytes(imagecodecs.png_encode(np.ascontiguousarray(array)))
    text = b"tEXtSoftware\0" + MADE_BY.encode()
    chunk = struct.pack(">I", len(text) - 4) + text + struct.pack(">I", zlib.crc32(text))
    return encoded[:_AFTER_HEADER] + chunk + encoded[_AFTER_HEADER:]
