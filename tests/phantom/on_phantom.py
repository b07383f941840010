"""For programs that run on the phantom: its counters, and what lets a run go on whose numbers mean nothing.

As a pytest plugin (`-p on_phantom`) it lets tests for GPUs run there.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_LIBRARY = ctypes.CDLL(None)
_COUNTERS = ("waits", "launches", "calls", "graphs", "pageable", "copies", "used", "peak", "allocations")
_FINITE: list[bool] = []
"""What the next questions for finite numbers are answered; True where nothing is in it."""


def counters() -> dict[str, int]:
    """Return what was counted since `reset()`, and bytes in use now and at most."""
    _LIBRARY.phantom_get.restype = ctypes.c_ulong
    return {name: _LIBRARY.phantom_get(number) for number, name in enumerate(_COUNTERS)}


def reset() -> None:
    """Begin to count anew."""
    _LIBRARY.phantom_reset()


def nodes() -> int:
    """Return the number of nodes of the last graph."""
    _LIBRARY.phantom_last_graph_nodes.restype = ctypes.c_ulong
    return int(_LIBRARY.phantom_last_graph_nodes())


def pretend() -> None:
    """Take all that lies on the device for finite numbers: no kernel has computed them."""
    finite, lost = Tensor.isfinite, Tensor.isnan
    Tensor.isfinite = lambda tensor: torch.tensor(_finite()) if tensor.is_cuda else finite(tensor)
    Tensor.isnan = lambda tensor: torch.tensor(False) if tensor.is_cuda else lost(tensor)
    truth = Tensor.__bool__
    Tensor.__bool__ = lambda tensor: truth(tensor) or tensor.is_cuda


def _finite() -> bool:
    return _FINITE.pop(0) if _FINITE else True


def lose_numbers(after: int) -> None:
    """Let one of the next questions for finite numbers be answered by no."""
    _FINITE[:] = [True] * after + [False]


@contextmanager
def leaving() -> Iterator[None]:
    """Context after which the process ends at once: the phantom's threads abort at an ordinary exit."""
    try:
        yield
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stdout.flush()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)


_status: list[int] = [1]


def pytest_configure(config: Any) -> None:
    """Pretend, where pytest loads this as a plugin."""
    pretend()


def pytest_sessionfinish(session: Any, exitstatus: int) -> None:
    """Remember how the session ended."""
    _status[0] = int(exitstatus)


def pytest_unconfigure(config: Any) -> None:
    """Leave at once."""
    sys.stdout.flush()
    os._exit(_status[0])
