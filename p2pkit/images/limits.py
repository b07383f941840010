"""How large an image may be, looked at before memory is taken."""

from __future__ import annotations

import math
import os

MAX_PIXELS = "P2PKIT_MAX_PIXELS"
_DEFAULT = 2**26
_CHANNELS = 4


def max_pixels() -> int:
    """Return how many pixels an image may have: 8192 x 8192, or what the environment says."""
    given = os.environ.get(MAX_PIXELS, "")
    return int(given) if given.isdigit() and int(given) else _DEFAULT


def max_bytes() -> int:
    """Return how many bytes an image may take when it is unpacked."""
    return max_pixels() * _CHANNELS * 4


def check_size(height: int, width: int, channels: int = 1) -> None:
    """Refuse what would take too much memory; beyond four channels, channels count as pixels.

    Raises:
        OSError: The image is larger than the limit.
    """
    pixels = height * width * max(1, math.ceil(channels / _CHANNELS))
    if pixels > max_pixels():
        size = f"{width} x {height} pixels" + (f" of {channels} channels" if channels > _CHANNELS else "")
        raise OSError(f"is of {size}, more than the {max_pixels()} that {MAX_PIXELS} allows")
