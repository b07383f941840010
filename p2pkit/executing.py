"""Work given to an executor, and taken from it as it is done; what a lost worker leaves is given anew."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from queue import SimpleQueue
from typing import TYPE_CHECKING

from p2pkit.errors import P2pkitError, Problem, first_line
from p2pkit.types.work import Resources, Tell, Work
from p2pkit.untyped import Json, Plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pkit.types.protocols import WorkExecutor


def do_work(work: Work, tell: Tell) -> Plain:
    """Make the call that a piece of work names; executors have it called where the work is to run.

    Args:
        work: The piece.
        tell: Called with plain data that says how far it is.

    Returns:
        What came of it, as plain data: an error is part of that, and only signals are raised.
    """
    module, _, function = work.call.partition(":")
    try:
        if work.version != (here := version("p2pkit")):
            cause = f"p2pkit is {here} where it ran, and {work.version} where it comes from"
            raise P2pkitError(Problem(work.name, cause, "install the same version on both"))
        return {"value": getattr(importlib.import_module(module), function)(tell, **work.arguments)}
    except P2pkitError as error:
        return {"problems": [asdict(problem) for problem in error.problems]}
    except Exception as error:  # whatever it is, the others go on
        traceback.print_exc(file=sys.stderr)
        return {"problems": [asdict(Problem(work.name, first_line(error, typed=True)))]}


@dataclass(frozen=True)
class Done:
    """What came of a piece of work.

    Args:
        work: The piece.
        value: What its function returned.
        problems: What was wrong, where it failed.
        lost: Whether it failed since its workers were lost.
    """

    work: Work
    value: Json = None
    problems: tuple[Problem, ...] = ()
    lost: bool = False


def perform(
    executor: WorkExecutor,
    works: Iterable[Work],
    resources: Resources,
    *,
    retries: int = 2,
    told: Callable[[Work, Plain], None] = lambda work, said: None,
    lost: Callable[[Work, str], None] = lambda work, why: None,
) -> Generator[Done, None, None]:
    """Have work done, and close the executor after it: put it into `closing`, so that this holds for errors too.

    Args:
        executor: Where it is done.
        works: The pieces.
        resources: What each needs.
        retries: How often a piece is given anew whose worker was lost.
        told: Called with what a piece tells, in the thread of whoever asks for the next outcome.
        lost: Called when a worker was lost, before its piece is given anew.

    Yields:
        What came of each piece, in the order in which they are done.
    """
    waiting = deque((work, 0) for work in works)
    running: dict[Future[Plain], tuple[Work, int]] = {}
    events: SimpleQueue[Future[Plain] | tuple[Work, Plain]] = SimpleQueue()
    try:
        while waiting or running:
            if waiting and events.empty():
                work, losses = waiting.popleft()
                future = executor.submit(work, resources, partial(_hear, events, work))
                running[future] = work, losses
                future.add_done_callback(events.put)
                continue
            event = events.get()
            if isinstance(event, tuple):
                told(*event)
                continue
            work, losses = running.pop(event)
            error = event.exception()
            if error is None:
                yield _done(work, event.result())
                continue
            why = first_line(error, typed=True)
            lost(work, why)
            if losses < retries:
                waiting.append((work, losses + 1))
            else:
                yield Done(work, problems=(_given_up(work, why, retries),), lost=True)
    finally:
        executor.close()


def perform_all(
    executor: WorkExecutor,
    works: Iterable[Work],
    resources: Resources,
    retries: int,
    *,
    told: Callable[[Work, Plain], None],
    warn: Callable[[str], None],
    lost: Callable[[Work], None] = lambda work: None,
) -> list[Done]:
    """Have all of some work done, as `perform` does, and warn the user of workers that were lost.

    Args:
        executor: Where it is done.
        works: The pieces.
        resources: What each needs.
        retries: How often a piece is given anew whose worker was lost.
        told: Called with what a piece tells.
        warn: Called with a sentence for the user.
        lost: Called before a piece is given anew.
    """

    def gone(work: Work, why: str) -> None:
        warn(f"{work.name} has lost its worker: {why}")
        lost(work)

    outcomes = perform(executor, works, resources, retries=retries, told=told, lost=gone)
    with closing(outcomes):
        return list(outcomes)


def _hear(events: SimpleQueue[Future[Plain] | tuple[Work, Plain]], work: Work, said: Plain) -> None:
    events.put((work, said))


def _done(work: Work, came: Plain) -> Done:
    return Done(work, came.get("value"), tuple(Problem(**problem) for problem in came.get("problems", ())))


def _given_up(work: Work, why: str, retries: int) -> Problem:
    times = f"{retries + 1} times" if retries else "once"
    return Problem(work.name, f"its worker was lost {times}, and it is not tried again: {why}", "see executor.retries")
