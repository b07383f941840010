"""How large an image may be, looked at before memory is taken."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MAX_PIXELS = "P2PKIT_MAX_PIXELS"
_DEFAULT = 2**26
_CHANNELS = 4
_LOWERED: ContextVar[tuple[int, str] | None] = ContextVar("lowered", default=None)


class TooLarge(OSError):
    """An image is of more pixels than are allowed."""


@contextmanager
def limited(pixels: int, setting: str) -> Iterator[None]:
    """Allow images of fewer pixels for a while, in this thread or task.

    Args:
        pixels: How many; more than are allowed anyway change nothing.
        setting: What a user changes to allow more.
    """
    token = _LOWERED.set((pixels, setting) if pixels < _own() else None)
    try:
        yield
    finally:
        _LOWERED.reset(token)


def max_pixels() -> int:
    """Return how many pixels an image may have: 8192 x 8192, or what the environment or `limited` says."""
    lowered = _LOWERED.get()
    return _own() if lowered is None else lowered[0]


def limit() -> str:
    """Say how many pixels an image may have, and what allows them."""
    lowered = _LOWERED.get()
    return f"the {max_pixels()} that {MAX_PIXELS if lowered is None else lowered[1]} allows"


def _own() -> int:
    given = os.environ.get(MAX_PIXELS, "")
    return int(given) if given.isdigit() and int(given) else _DEFAULT


def max_bytes() -> int:
    """Return how many bytes an image may take when it is unpacked."""
    return max_pixels() * _CHANNELS * 4


def check_size(height: int, width: int, channels: int = 1) -> None:
    """Refuse what would take too much memory; beyond four channels, channels count as pixels.

    Raises:
        TooLarge: The image is larger than the limit.
    """
    pixels = height * width * max(1, math.ceil(channels / _CHANNELS))
    if pixels > max_pixels():
        size = f"{width} x {height} pixels" + (f" of {channels} channels" if channels > _CHANNELS else "")
        raise TooLarge(f"is of {size}, more than {limit()}")
