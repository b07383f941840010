"""Who works on a trial: its machine knows at once whether that process lives, others by its latest sign of life.

Of Optuna's storages only databases have heartbeats; an attribute of the trial is the same in all.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.trial import FrozenTrial

BEAT = 30.0
"""Seconds between two signs of life."""
PATIENCE = 180.0
"""Seconds without a sign of life after which a process of another machine is taken for dead."""
_HOLDER = "holder"
_SAME_START = 5.0  # seconds by which a clock that is being set moves the time a process is said to have started at


@contextmanager
def held(trial: Trial, name: str = "") -> Iterator[None]:
    """Context in which a trial is this process's, and a thread gives signs of life.

    Args:
        trial: The trial.
        name: What the process is called by who has begun it, and who may know first that it is lost.
    """
    done = threading.Event()

    def sign() -> None:
        trial.set_user_attr(_HOLDER, [_place(), os.getpid(), _started(os.getpid()), time.time(), name])

    def beat() -> None:
        while not done.wait(BEAT):
            with suppress(Exception):  # a storage that is away for a moment; the next beat may reach it
                sign()

    sign()
    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        yield
    finally:
        done.set()
        beating.join()


def is_alive(trial: FrozenTrial) -> bool:
    """Tell whether the process that works on a trial lives."""
    if _HOLDER not in trial.user_attrs:  # it was taken a moment ago, or whoever did that has died just then
        begun = trial.datetime_start or datetime.now()
        return (datetime.now() - begun).total_seconds() < PATIENCE
    place, process, started, beat, *_ = trial.user_attrs[_HOLDER]
    here = place == _place()
    return bool(abs(_started(process) - started) < _SAME_START if here else time.time() - beat < PATIENCE)


def is_held_by(trial: FrozenTrial, name: str) -> bool:
    """Tell whether a process of this name works on a trial."""
    return name in trial.user_attrs.get(_HOLDER, ())[4:]


def _started(process: int) -> float:
    """Return when a process of this machine started, which tells it from an earlier one of its number; -1 for none."""
    try:
        return float(psutil.Process(process).create_time())
    except psutil.Error:
        return -1.0


def _place() -> str:
    """Return the machine's name, with what tells containers on it apart."""
    with suppress(OSError):
        return f"{socket.gethostname()} {re.sub(r'[^0-9]', '', os.readlink('/proc/self/ns/pid'))}"
    return socket.gethostname()
