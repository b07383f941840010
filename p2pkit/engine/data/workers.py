"""Processes that read: one that is killed or freezes is replaced once, and the epoch goes on with the missing batch."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children
from multiprocessing.connection import wait
from typing import Generic, TypeVar

import torch
from torch.utils.data import DataLoader, get_worker_info

from p2pkit.errors import DataError, Problem

T = TypeVar("T")
_PATIENCE = 5.0


def _unheard(text: str) -> None:
    """Drop it."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Processes that read.

    Args:
        count: How many; 0 for this process alone.
        timeout: Seconds that a batch may take, before who reads it counts as frozen; None for no limit.
        note: Hears of each that was replaced.
    """

    count: int = 0
    timeout: float | None = None
    note: Callable[[str], None] = _unheard


ALONE = Workers()


class Places:
    """What each process is reading at present, in memory that all share.

    Args:
        count: How many processes there are.
    """

    def __init__(self, count: int) -> None:
        self._at = torch.full((count, 2), -1)  # of each process its id, and the number of what it reads
        self._at.share_memory_()  # type: ignore[no-untyped-call]  # torch's

    @contextmanager
    def reading(self, number: int) -> Iterator[None]:
        """Context in which a process reads something; outside of the processes it does nothing."""
        info = get_worker_info()
        if info is None:
            yield
            return
        self._at[info.id] = torch.tensor([os.getpid(), number])
        yield
        self._at[info.id, 1] = -1  # not where reading failed or never ended

    def of(self, processes: set[int | None]) -> list[int]:
        """Return what these processes are reading."""
        return sorted(number for process, number in self._at.tolist() if process in processes and number >= 0)


def read_by_workers(
    make: Callable[[int, Places], DataLoader[T]],
    workers: Workers,
    *,
    name: Callable[[int], str],
    name_batch: Callable[[int], str],
) -> Iterator[T]:
    """Yield what workers read.

    Args:
        make: Makes the loader that begins after a number of batches, and whose processes note their places.
        workers: The processes.
        name: Says what the number that a process noted stands for.
        name_batch: Says what the batch of a number is of, for a process that read nothing when it was lost.

    Raises:
        DataError: A worker was lost for the second time.
    """
    done, again = 0, False
    while True:
        places = Places(workers.count)
        crew = _Crew(make(done, places), places, workers.timeout)
        try:
            with crew:
                for batch in crew:
                    yield batch
                    done += 1
            return
        except _LostError as lost:
            where = f"while it read {', '.join(map(name, lost.at))}" if lost.at else f"at or after {name_batch(done)}"
            cause = f"a process that reads {lost} {where}"
            if again:
                raise DataError(_problem(f"{cause}; another one was lost before", lost.frozen)) from lost
            workers.note(f"{cause}; another one reads in its place")
            again = True


class _LostError(Exception):
    def __init__(self, what: str, at: list[int], *, frozen: bool) -> None:
        super().__init__(what)
        self.at = at
        self.frozen = frozen


class _Crew(Generic[T]):
    """The processes of one loader, from their start to their end; whichever is left after an error is killed."""

    def __init__(self, loader: DataLoader[T], places: Places, timeout: float | None) -> None:
        before = {process.pid for process in active_children()}
        self._batches = _begun(loader)
        self._processes = [process for process in active_children() if process.pid not in before]
        self._places = places
        self._timeout = timeout
        self._since: float | None = None
        self._over = threading.Event()
        self._frozen: list[int] | None = None

    def __enter__(self) -> None:
        atexit.register(self._kill)  # multiprocessing would wait for ever for one that is frozen
        if self._timeout is not None and self._processes:
            threading.Thread(target=self._watch, args=(self._timeout,), daemon=True).start()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        if kind is not None:
            self._kill()
            for process in self._processes:
                process.join(_PATIENCE)
        atexit.unregister(self._kill)

    def __iter__(self) -> Iterator[T]:
        while True:
            self._since = time.monotonic()
            try:
                batch = next(self._batches)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:  # torch's own, or whatever fetching from the dead raises
                lost = self._lost()
                if lost is None:
                    raise
                raise lost from error
            finally:
                self._since = None
            yield batch

    def _lost(self) -> _LostError | None:
        """Return what has become of a process that is gone, which it may be a moment after an error came of it."""
        gone = wait([process.sentinel for process in self._processes], timeout=1)
        for process in self._processes:
            if process.sentinel in gone:
                process.join()
        dead = {process.pid for process in self._processes if process.exitcode}
        if not dead:
            return None
        if self._frozen is not None:
            return _LostError(f"has not answered for {self._timeout:g} seconds", self._frozen, frozen=True)
        return _LostError("was killed", self._places.of(dead), frozen=False)

    def _watch(self, timeout: float) -> None:
        """Kill the processes when a batch takes too long; the main thread hears of their death as of any other."""
        while not self._over.wait(min(1.0, timeout / 4)):
            since = self._since
            if since is not None and time.monotonic() - since > timeout:
                self._frozen = self._places.of({process.pid for process in self._processes})
                self._kill()
                return

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()


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


def _problem(cause: str, frozen: bool) -> Problem:
    if frozen:
        remedy = "does its disk or server answer? where reading takes as long, give it more, or null for no limit"
        return Problem("engine.worker_timeout", cause, remedy)
    return Problem("engine.workers", cause, "is memory short? lower engine.workers, or set it to 0")
