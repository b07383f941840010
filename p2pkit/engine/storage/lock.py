"""One process trains a run: who comes second is told who is at it."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from p2pkit.atomic_files import refusal
from p2pkit.errors import ModelError, Problem

LOCK = ".lock"
OWNER = ".owner"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a run's folder while it is trained; the system lets go of it when the process ends, however it does.

    Raises:
        ModelError: Another process trains it; says which.
        StorageError: The folder can't be written to.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        cause = f"this run is being trained by {_owner(folder)}"
        raise ModelError(Problem(str(folder), cause, "wait until it has ended, or train under another name")) from None
    except OSError as error:
        raise refusal(folder, error) from error
    try:
        mine = {"process": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        with suppress(OSError):  # who holds it is told as far as it is known
            (folder / OWNER).write_text(json.dumps(mine), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def _owner(folder: Path) -> str:
    try:
        owner = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"process {owner['process']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
