"""Processes that read: one that is killed is replaced once, and the epoch goes on with the batch that was missing."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from torch.utils.data import DataLoader

from p2pkit.errors import DataError, Problem

T = TypeVar("T")

_DEATH = re.compile(r"DataLoader worker \(pid")


def read_by_workers(make: Callable[[int], DataLoader[T]], name: Callable[[int], str]) -> Iterator[T]:
    """Yield what workers read.

    Args:
        make: Makes the loader that begins after a number of batches.
        name: Says what the batch of a number is of.

    Raises:
        DataError: A worker was killed for the second time.
    """
    done, killed = 0, 0
    while True:
        try:
            for batch in _begun(make(done)):
                yield batch
                done += 1
            return
        except RuntimeError as error:
            if not _DEATH.match(str(error)):
                raise
            killed += 1
            if killed == 2:
                raise DataError(_problem(name(done))) from error


def _begun(loader: DataLoader[T]) -> Iterator[T]:
    """Start a loader, whose handler would else raise a worker's death anywhere, even in the middle of an update."""
    if loader.num_workers == 0 or threading.current_thread() is not threading.main_thread():
        return iter(loader)
    before = signal.getsignal(signal.SIGCHLD)
    try:
        return iter(loader)
    finally:
        signal.signal(signal.SIGCHLD, before if before is not None else signal.SIG_DFL)


def ignore_interrupts(worker: int) -> None:
    """Leave it to the main process what a signal to the whole group means; for a worker's start."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _problem(name: str) -> Problem:
    cause = f"a process that reads was killed twice, at or after {name}"
    return Problem("engine.workers", cause, "is memory short? lower engine.workers, or set it to 0")
