"""Images that lie in a file as NumPy arrays."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np

_LENGTH = slice(8, 10)


def array_header(data: bytes | bytearray) -> tuple[int, tuple[int, ...], np.dtype[Any]]:
    """Read what stands before an array's values.

    Args:
        data: The array's file, or its beginning.

    Returns:
        Where the values begin, their shape and their type.

    Raises:
        ValueError: It is no array as `np.save` writes one.
    """
    start = _LENGTH.stop + int.from_bytes(data[_LENGTH], "little")
    return start, *_parsed(bytes(data[:start]))


@lru_cache(256)
def _parsed(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Parse a header, which is the same for all images of a data set."""
    stream = io.BytesIO(header)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"an array of version {version}")
    shape, fortran, kind = np.lib.format.read_array_header_1_0(stream)
    if fortran:
        raise ValueError("an array in Fortran's order")
    return shape, kind
