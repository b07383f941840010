"""Signals: the first asks a run to save and leave; a main thread that can't hear one is ended by a watchdog."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from p2pkit.engine.distributed.collectives import all_reduce_signal_async, is_initialized
from p2pkit.engine.distributed.failure import is_reporter, lost_process_problem
from p2pkit.engine.distributed.world import world
from p2pkit.errors import Stopped, TrainingError
from p2pkit.untyped import Untyped

GRACE = 15.0
"""Seconds from a signal until the main thread must have heard it; torchrun kills after 30."""
ALONE = 120.0
"""The same for a process by itself: on a slow machine one call of its step may take long, and nobody else waits."""


@contextmanager
def signal_watchdog(
    interrupt: GracefulExit, ended: Callable[[BaseException], None] = lambda error: None
) -> Iterator[None]:
    """Context in which a signal that the main thread can't hear ends the process.

    It can't while it waits for other processes, be it to join them or in a collective, or in a backward pass for a
    compiler that the same signal, sent to the whole group, has ended.

    Args:
        interrupt: What hears signals, if the main thread can.
        ended: Called with the error before the process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, woken = socket.socketpair()
    woken.setblocking(False)
    before = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
    over = threading.Event()
    threading.Thread(target=_watch, args=(heard, over, interrupt, ended), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        over.set()
        woken.close()


def _watch(
    heard: socket.socket, over: threading.Event, interrupt: GracefulExit, ended: Callable[[BaseException], None]
) -> None:
    grace = GRACE if world().several else ALONE
    with heard:
        while number := heard.recv(1):
            if number[0] in (signal.SIGINT, signal.SIGTERM) and not over.wait(grace) and interrupt.signal is None:
                _leave(number[0], ended)


def _leave(number: int, ended: Callable[[BaseException], None]) -> None:
    """End the process from another thread than the main one."""
    error: BaseException = Stopped(number)
    said, code = f"{error}, which the main thread did not hear for {ALONE:.0f} s\n", 128 + number
    if world().several:
        error = TrainingError(lost_process_problem(ask=is_initialized()))
        said, code = f"error:\n  {error}\n", 2
    try:
        ended(error)
        if not is_initialized() or is_reporter():  # who has not joined may find nobody to ask
            sys.stderr.write(said)
            sys.stderr.flush()
    finally:
        os._exit(code)


class GracefulExit:
    """Context in which a signal raises `Stopped`; in `deferred` the first one only sets `signal`, its number."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._deferred = False
        self._before: dict[int, Untyped] = {}

    @contextmanager
    def deferred(self) -> Iterator[GracefulExit]:
        """Context of the loop, which looks at `signal` after each step, so as to save and leave."""
        self._deferred = True
        try:
            yield self
        finally:
            self._deferred = False

    def __enter__(self) -> GracefulExit:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        again = self.signal is not None
        if again and number == signal.SIGTERM:
            return  # leaving is under way, and whoever sends it to a group and to each process sends it twice
        self.signal = number
        if not self._deferred or (again and number == signal.SIGINT):
            raise Stopped(number)


def signal_of_any(leave: GracefulExit) -> int | None:
    """Return the signal that came to this process, or to another one of the run.

    Args:
        leave: What has heard of this process's signals.
    """
    return all_reduce_signal_async(lambda: leave.signal)()
