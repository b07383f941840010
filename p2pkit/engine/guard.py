"""Ends a process whose main thread hears no signal: it waits, deep in a library, for a process that is gone.

gloo says so when a process is gone; NCCL's kernels just wait on the GPU, and Python's handlers with them. torchrun
would then kill this process too, and trackers would show a run that goes on for ever.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from p2pkit.engine.fate import loss, speaks
from p2pkit.engine.interrupt import Interrupt
from p2pkit.engine.parallel import joined
from p2pkit.errors import TrainingError

GRACE = 15.0
"""Seconds from a signal until the main thread must have heard it; torchrun kills after 30."""


@contextmanager
def guarded(interrupt: Interrupt, ended: Callable[[TrainingError], None]) -> Iterator[None]:
    """Context in which a signal that the main thread can't hear ends the process, where there are several.

    Args:
        interrupt: What hears signals, if the main thread can.
        ended: Called with the error before the process ends.
    """
    if not joined() or threading.current_thread() is not threading.main_thread():
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
    heard: socket.socket, over: threading.Event, interrupt: Interrupt, ended: Callable[[TrainingError], None]
) -> None:
    with heard:
        while number := heard.recv(1):
            if number[0] in (signal.SIGINT, signal.SIGTERM) and not over.wait(GRACE) and interrupt.signal is None:
                _leave(TrainingError(loss()), ended)


def _leave(error: TrainingError, ended: Callable[[TrainingError], None]) -> None:
    try:
        ended(error)
        if speaks():
            sys.stderr.write(f"error:\n  {error}\n")
            sys.stderr.flush()
    finally:
        os._exit(2)
