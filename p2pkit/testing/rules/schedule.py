"""Rules for schedules of the learning rate."""

from __future__ import annotations

import math

from p2pkit.testing.rule import require, rule
from p2pkit.testing.subject import Subject
from p2pkit.types import RateSchedule, RunLength

LENGTHS = RunLength(1), RunLength(7, 1, 3), RunLength(1000, 1, 1000), RunLength(200, 20, 100), RunLength(60, 20)


def _made(subject: Subject, length: RunLength) -> RateSchedule:
    made: RateSchedule = subject.component.build(length, subject.params)
    require(callable(made), "The factory has to return a function of the step.")
    return made


@rule("schedule")
def factor(subject: Subject) -> None:
    """Its factor is a finite number of 0 or more in each step, however long the run is."""
    for length in LENGTHS:
        made = _made(subject, length)
        for step in range(length.steps):
            found = made(step)
            fits = isinstance(found, int | float) and 0 <= found < math.inf
            where = f"In step {step} of {length.steps} its factor is {found!r}"
            require(fits, f"{where}: return a finite number of 0 or more.")


@rule("schedule")
def some_rate(subject: Subject) -> None:
    """Some step has a learning rate above 0."""
    made = _made(subject, LENGTHS[3])
    above = any(made(step) > 0 for step in range(LENGTHS[3].steps))
    require(above, "Its factor is 0 in all of 200 steps, so that nothing would be learnt.")


@rule("schedule")
def resumes(subject: Subject) -> None:
    """Its factor depends on the step alone, whatever was asked before: a run is resumed from any step."""
    length = LENGTHS[1]
    before = _made(subject, length)
    whole = [before(step) for step in range(length.steps)]
    for step in reversed(range(length.steps)):
        alone, again = _made(subject, length)(step), before(step)
        sentence = f"In step {step} its factor is {whole[step]:.4g} after the steps before it, and"
        remedy = "compute it from the step alone, and count no calls"
        require(alone == whole[step] == again, f"{sentence} {alone:.4g} or {again:.4g} otherwise: {remedy}.")
