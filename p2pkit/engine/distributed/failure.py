"""What ends one process of a run ends them all, with one cause, told once."""

from __future__ import annotations

import functools
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from p2pkit.engine.distributed.world import restarts, world
from p2pkit.errors import Problem, Stopped, TrainingError, first_line

PATIENCE = timedelta(minutes=10)
"""How long a process waits for the others before it gives the run up."""
_LAST_WORD = 3.0


@contextmanager
def propagate_failure() -> Iterator[None]:
    """Let the error that ends one process be the cause that the others end with.

    Raises:
        TrainingError: Another process is gone; says why, where that one could.
        Stopped: A signal ended another process.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if world().several and torchrun_store.cache_info().currsize:  # else asking for the store may take minutes
            with suppress(RuntimeError):  # torchrun, who keeps it, may be gone
                rendezvous_store().set("signal", str(getattr(error, "signal", int(signal.SIGINT))))
        raise
    except Exception as error:
        if not world().several:
            raise
        _hear_no_more()
        if _is_loss(error):
            problem, number = lost_process_problem(), _signal_of_another()
            raise (Stopped(number) if number else TrainingError(problem)) from error
        if is_reporter():
            rendezvous_store().set("word", first_line(error))
        raise


def _hear_no_more() -> None:
    """Go on to the end: torchrun tells all that is left to end as soon as one process has."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def is_reporter() -> bool:
    """Whether it falls to this process to tell the user why the run ends: to the first one that asks."""
    here = world()
    if not here.several:
        return True
    try:
        return bool(rendezvous_store().compare_set("teller", "", str(here.rank)) == str(here.rank).encode())
    except RuntimeError:  # torchrun, who keeps the store, may be gone
        return True


@functools.cache
def torchrun_store() -> Store:
    """Return what torchrun keeps for all processes, those of earlier starts among them: a few words by name."""
    kept: Store = next(rendezvous("env://", timeout=PATIENCE))[0]
    return kept


@functools.cache
def rendezvous_store() -> Store:
    """Return the part of it in which processes say why a run ends; a start does not read the last words of others."""
    return PrefixStore(f"start {restarts()}", torchrun_store())


def _is_loss(error: Exception) -> bool:
    """Whether an error says no more than that another process did not answer; gloo's have no type of their own."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "/gloo/" in str(error))


def lost_process_problem(*, ask: bool = True) -> Problem:
    """Say why another process does not answer.

    Args:
        ask: Whether to look for the word that one that went by an error has left.
    """
    remedy = "the run goes on from its last checkpoint by p2pkit train --resume RUN"
    deadline = time.monotonic() + _LAST_WORD
    try:
        while ask and not _has_word() and time.monotonic() < deadline:
            time.sleep(0.1)
        if ask and rendezvous_store().check(["word"]):
            return Problem(
                "", f"another process of this run has failed: {rendezvous_store().get('word').decode()}", remedy
            )
    except RuntimeError:
        pass
    cause = "another process of this run does not answer: killed, out of memory, or its machine is lost"
    return Problem("", cause, f"{remedy}; torchrun's summary has its exit code")


def _has_word() -> bool:
    return any(rendezvous_store().check([key]) for key in ("word", "signal"))


def _signal_of_another() -> int | None:
    """Return the signal that another process says it was ended by."""
    try:
        return int(rendezvous_store().get("signal")) if rendezvous_store().check(["signal"]) else None
    except RuntimeError:
        return None
