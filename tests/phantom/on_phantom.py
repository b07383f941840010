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
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

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


_OVERWRITE = ("copy_", "fill_", "zero_")


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write, each tensor once an operation, as if nothing were cached."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what is asked, and count it."""
        made = func(*args, **(kwargs or {}))
        if not func.is_view and "empty" not in func.name():
            given = [*zip(func._schema.arguments, args, strict=False)]
            given += [(a, kwargs[a.name]) for a in func._schema.arguments if kwargs and a.name in kwargs]
            # Fused optimisers say that they change gradients, which they do where there is a scale.
            written = [_tensors(v) for a, v in given if a.alias_info and a.alias_info.is_write and a.name != "grads"]
            changed = [tensor for tensors in written for tensor in tensors]
            overwritten = {id(tensor) for tensor in changed if any(word in func.name() for word in _OVERWRITE)}
            read = {id(tensor): tensor for _, value in given for tensor in _tensors(value)}
            self.bytes += sum(tensor.nbytes for key, tensor in read.items() if key not in overwritten)
            self.bytes += sum(tensor.nbytes for tensor in changed)
            self.bytes += sum(tensor.nbytes for tensor in _tensors(made) if id(tensor) not in read)
        return made


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor) and leaf.is_cuda]


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
