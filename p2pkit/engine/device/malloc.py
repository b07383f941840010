"""Memory that is freed in one step and wanted again in the next.

The C library gives large blocks back to the system at once, and the system fills each page with zeros before it hands
it out again: on a CPU that is a tenth of a step's time. Told to keep them, it hands out the same pages.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST, _NEVER = 2**31 - 1, -1
_USUAL = 32 * 2**20
"""What glibc's threshold grows to by itself where large blocks come and go."""
_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")

_asked = [False]


@contextmanager
def keep_freed_memory(kept: bool = True) -> Iterator[None]:
    """Keep freed memory while this is entered, and give it back at the end; only glibc knows how.

    Args:
        kept: Whether to; `False` is what glibc does by itself, for a comparison within.
    """
    _asked.append(kept)
    _change(_asked[-2], kept)
    try:
        yield
    finally:
        _change(_asked.pop(), _asked[-1])


def _change(before: bool, kept: bool) -> None:
    library = _glibc()
    if library is None or before == kept:
        return
    library.mallopt(_MMAP_THRESHOLD, _LARGEST if kept else _USUAL)
    library.mallopt(_TRIM_THRESHOLD, _NEVER if kept else 2 * _USUAL)
    if not kept:
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    """Return glibc, unless its settings are the user's own."""
    own = any(name in os.environ for name in _OWN) or "threshold" in os.environ.get("GLIBC_TUNABLES", "")
    return None if own or platform.libc_ver()[0] != "glibc" else ctypes.CDLL(None)
