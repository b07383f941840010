"""Processes: Python in ones of its own, which import nothing of the working folder, and which one a number means."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

from p2pkit.untyped import Json

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Keeps Python from putting the working folder, where anybody's mlflow.py may lie, before all packages."""


def environment(**variables: str) -> dict[str, str]:
    """Return the environment for a process of Python and all that it starts itself.

    Args:
        **variables: What is to be different from this process's own.
    """
    return {**os.environ, **SAFE_PATH, **variables}


PATIENCE = 180.0
"""Seconds without a sign of life after which a process of another machine is taken for dead."""
_SAME_START = 5.0  # seconds by which a clock that is being set moves the time a process is said to have started at
Sign = Sequence[Json]
"""A sign of life as plain data: place, process, when that started, when it was given, and by what name."""


def sign_of_life(name: str = "") -> Sign:
    """Return that this process lives, for whoever may ask later or elsewhere."""
    return [this_place(), os.getpid(), started(os.getpid()), time.time(), name]


def still_lives(sign: Sign) -> bool:
    """Tell whether the process of a sign lives: of this machine that is known, others have to sign again and again."""
    place, process, begun, beat, *_ = sign
    here = place == this_place()
    return bool(abs(started(process) - begun) < _SAME_START if here else time.time() - beat < PATIENCE)


def started(process: int) -> float:
    """Return when a process of this machine started, which tells it from an earlier one of its number; -1 for none."""
    import psutil  # not where a command line is to answer at once

    try:
        return float(psutil.Process(process).create_time())
    except psutil.Error:
        return -1.0


def this_place() -> str:
    """Return the machine's name, with what tells containers on it apart."""
    with suppress(OSError):
        return f"{socket.gethostname()} {re.sub(r'[^0-9]', '', os.readlink('/proc/self/ns/pid'))}"
    return socket.gethostname()
