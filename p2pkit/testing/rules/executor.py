"""Rules for executors, which are tried with small pieces of work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from p2pkit.errors import DataError
from p2pkit.testing.rule import require, rule
from p2pkit.testing.subject import Subject
from p2pkit.testing.works import piece, refuse
from p2pkit.types import Resources, Tell, Work, WorkExecutor
from p2pkit.untyped import Plain

SMALL = Resources(gpus=0)
PATIENCE = 120.0
"""Seconds in which a place has to answer."""


@contextmanager
def _made(subject: Subject) -> Iterator[WorkExecutor]:
    made: WorkExecutor = subject.build()
    require(isinstance(made, WorkExecutor), "The factory has to return an object with submit and close.")
    try:
        yield made
    finally:
        made.close()


def _ignore(said: Plain) -> None:
    """Hear nothing."""


def _came(executor: WorkExecutor, work: Work, tell: Tell = _ignore) -> Plain:
    return executor.submit(work, SMALL, tell).result(PATIENCE)


@rule("executor")
def each_its_own(subject: Subject) -> None:
    """Of several pieces of work each gets what its own call returns."""
    with _made(subject) as executor:
        futures = [executor.submit(piece("add", numbers=[1, n]), SMALL, _ignore) for n in range(5)]
        found = [future.result(PATIENCE).get("value") for future in futures]
    require(found == [1, 2, 3, 4, 5], f"Sums of 1 and 0 to 4 came back as {found}: return what p2pkit.do_work returns.")


@rule("executor")
def told(subject: Subject) -> None:
    """What work tells is heard in its order, and by whoever gave it, as far as it is heard."""
    heard: list[Plain] = []
    with _made(subject) as executor:
        _came(executor, piece("add", numbers=[3, 4, 5]), heard.append)
    said = [number for each in heard if isinstance(number := each.get("number"), int)]
    fits = len(said) == len(heard) and said == sorted(set(said) & {3, 4, 5})
    require(fits, f"The work told of 3, 4 and 5, and {heard} was heard: pass on each as it was said, in order.")


@rule("executor")
def failed(subject: Subject) -> None:
    """Work that fails is no lost worker: its sentences come back, and the executor goes on."""
    try:
        refuse(_ignore)
    except DataError as error:
        wanted = {"problems": [asdict(problem) for problem in error.problems]}
    with _made(subject) as executor:
        try:
            came = _came(executor, piece("refuse"))
        except Exception as error:
            sentence = f"Its future raised {type(error).__name__} where the work had failed"
            raise AssertionError(f"{sentence}: return what p2pkit.do_work returns.") from error
        again = _came(executor, piece("add", numbers=[1])).get("value")
    require(came == wanted, f"Work that failed came back as {came}: return what p2pkit.do_work returns.")
    require(again == 1, "After work that failed it does no more.")


@rule("executor")
def lost(subject: Subject) -> None:
    """Where a worker dies the future raises, and other work is done."""
    with _made(subject) as executor:
        here = os.getpid()
        doomed = executor.submit(piece("die", spare=here), SMALL, _ignore)
        error = doomed.exception(PATIENCE)
        alone = error is None and doomed.result().get("value") == here
        again = _came(executor, piece("add", numbers=[1])).get("value")
    require(error is not None or alone, "A worker died, and its future has a result: let it raise what was seen.")
    require(again == 1, "After a worker that died it does no more.")


@rule("executor")
def closes(subject: Subject) -> None:
    """It can be closed twice, whether or not it was used, and nothing is submitted any more."""
    with _made(subject) as executor:
        executor.close()
    with _made(subject) as executor:
        _came(executor, piece("add", numbers=[1]))
        executor.close()
