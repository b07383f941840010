"""Who works on what: processes, also on several machines, claim a unit of work by making a file, which only one can.

A claim that was given up or whose process is dead is never removed: whoever wants the unit makes the claim of the next
number, which again only one can. So no two processes ever take the same unit at once.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

BEAT = 15.0
"""Seconds between two signs of life."""
PATIENCE = 180.0
"""Seconds without a sign of life after which a process of another machine is taken for dead."""
_RELEASED = "released"
_SAME_START = 5.0  # seconds by which a clock that is being set moves the time a process is said to have started at


def take(folder: Path, unit: int) -> Claim | None:
    """Claim a unit of work; None where another process has it.

    Args:
        folder: Where claims lie.
        unit: The unit's number.
    """
    earlier = _claims(folder, unit)
    if earlier and _holds(earlier[-1]):
        return None
    path = folder / f"{unit:04}.claim-{len(earlier)}"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(f"{_place()} {os.getpid()}:{_started(os.getpid())}")
    except FileExistsError:
        return None
    return Claim(path)


def is_taken(folder: Path, unit: int) -> bool:
    """Tell whether a living process has a unit of work."""
    claims = _claims(folder, unit)
    return bool(claims) and _holds(claims[-1])


class Claim:
    """A unit of work that is this process's; while it is entered, a thread gives signs of life.

    Args:
        path: The claim's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._done = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Claim:
        self._beating.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._beating.join()
        self.release()

    def release(self) -> None:
        """Give the unit back."""
        self.path.write_text(_RELEASED, encoding="utf-8")

    def _beat(self) -> None:
        while not self._done.wait(BEAT):
            with suppress(OSError):  # a network folder that is away for a moment; the next beat may reach it
                os.utime(self.path)


def _claims(folder: Path, unit: int) -> list[Path]:
    return sorted(folder.glob(f"{unit:04}.claim-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def _holds(path: Path) -> bool:
    signed = path.read_text(encoding="utf-8")
    if signed == _RELEASED:
        return False
    place, _, process = signed.rpartition(" ")
    if place == _place() and process:
        number, _, started = process.partition(":")
        return abs(_started(int(number)) - float(started)) < _SAME_START
    return _now(path.parent) - path.stat().st_mtime < PATIENCE


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


def _now(folder: Path) -> float:
    """Return the time by the clock that dates the claims, which may be a file server's."""
    with tempfile.NamedTemporaryFile(prefix="clock-", dir=folder) as probe:
        return os.fstat(probe.fileno()).st_mtime
